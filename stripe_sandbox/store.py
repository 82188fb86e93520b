"""The tables of the sandbox, one for each kind of object."""

from pathlib import Path

from metronome_sandbox.kit.store import Store as _Store
from metronome_sandbox.kit.store import Table
from stripe_sandbox import records
from stripe_sandbox.records import Resource

# By the beginning of its id an object is found in its table.
PREFIXES = {
    "cus": "customers",
    "pm": "payment_methods",
    "seti": "setup_intents",
    "pi": "payment_intents",
    "ch": "charges",
    "re": "refunds",
    "dp": "disputes",
    "cs": "sessions",
    "evt": "events",
    "issfr": "warnings",
    "prv": "reviews",
    "taxcalc": "calculations",
    "bps": "portal_sessions",
    "txn": "balance_transactions",
}


class Store(_Store):
    def __init__(self, path: str | Path | None = None) -> None:
        super().__init__()
        self.resources: dict[str, Table[Resource]] = {}
        for name in PREFIXES.values():
            table = Table(self, Resource, name)
            self.resources[name] = table
            setattr(self, name, table)
        self.agenda = Table(self, records.Due)
        self.deliveries = Table(self, records.Delivery)
        self.replies = Table(self, records.Reply)
        self.switches = Table(self, records.Switch)
        if path is not None:
            self.open(path)

    customers: Table[Resource]
    payment_methods: Table[Resource]
    setup_intents: Table[Resource]
    payment_intents: Table[Resource]
    charges: Table[Resource]
    refunds: Table[Resource]
    disputes: Table[Resource]
    sessions: Table[Resource]
    events: Table[Resource]
    warnings: Table[Resource]
    reviews: Table[Resource]
    calculations: Table[Resource]
    portal_sessions: Table[Resource]
    balance_transactions: Table[Resource]

    def by_id(self, row_id: str) -> Resource | None:
        """An object of any kind."""
        name = PREFIXES.get(row_id.partition("_")[0])
        return self.resources[name].get(row_id) if name else None
