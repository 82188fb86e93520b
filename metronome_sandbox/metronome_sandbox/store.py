"""The tables of the sandbox."""

from pathlib import Path

from metronome_sandbox import records
from metronome_sandbox.kit.store import Store as _Store
from metronome_sandbox.kit.store import Table


class Store(_Store):
    def __init__(self, path: str | Path | None = None) -> None:
        super().__init__()
        self.customers = Table(self, records.Customer)
        self.credit_types = Table(self, records.CreditType)
        self.metrics = Table(self, records.Metric)
        self.products = Table(self, records.Product)
        self.rate_cards = Table(self, records.RateCard)
        self.rates = Table(self, records.Rate)
        self.packages = Table(self, records.Package)
        self.contracts = Table(self, records.Contract)
        self.commits = Table(self, records.Commit)
        self.recurring = Table(self, records.Recurring)
        self.subscriptions = Table(self, records.Subscription)
        self.invoices = Table(self, records.Invoice)
        self.workflows = Table(self, records.Workflow)
        self.edits = Table(self, records.Edit)
        self.alerts = Table(self, records.Alert)
        self.alert_states = Table(self, records.AlertState)
        self.offsets = Table(self, records.OffsetNotification)
        self.switches = Table(self, records.Switch)
        self.events = Table(self, records.Event)
        self.agenda = Table(self, records.Due)
        self.deliveries = Table(self, records.Delivery)
        self.taken = Table(self, records.Taken)
        self.replies = Table(self, records.Reply)
        self.field_keys = Table(self, records.CustomFieldKey)
        self.billing_configurations = Table(self, records.BillingConfiguration)
        if path is not None:
            self.open(path)
