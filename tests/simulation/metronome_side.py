"""What the invariants ask about Metronome, over a line that never fails."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch

from metronome import Metronome

from accounts.models import Customer
from billing import metronome
from billing.models import Contract
from sandbox import Sandbox
from sandbox.invoices import GRACE
from usage.models import UsageEvent


class MetronomeSide:
    hotline: Metronome
    sandbox: Sandbox

    def grants_at_metronome(self, customer: Customer, key: str) -> int:
        with patch.object(metronome, "client", lambda: self.hotline):
            commits = metronome.commits(customer_id=customer.metronome_id or "")
        return sum(commit.description == key for commit in commits)

    def customers_at_metronome(self, alias: str) -> int:
        return len(list(self.hotline.v1.customers.list(ingest_alias=alias)))

    def names_at_metronome(self, customer: Customer) -> list[str]:
        found = self.hotline.v1.customers.retrieve(customer_id=customer.metronome_id or "").data
        return [found.name, *found.ingest_aliases]

    def contracts_at_metronome(self, customer: Customer) -> int:
        return len(list(self.hotline.v2.contracts.list(customer_id=customer.metronome_id or "")))

    def balance_at_metronome(self, customer: Customer) -> Decimal:
        with patch.object(metronome, "client", lambda: self.hotline):
            return metronome.net_balance(customer_id=customer.metronome_id or "")

    def owed_for_usage(self, customer: Customer) -> Decimal:
        """What Metronome invoices the customer for usage that no credits paid."""
        invoices = self.hotline.v1.customers.invoices.list(customer_id=customer.metronome_id or "")
        return sum((Decimal(str(invoice.total)) for invoice in invoices if invoice.type == "USAGE"), Decimal(0))

    def switch_recharges_off(self) -> None:
        """By hand, in Metronome's own interface; it cancels what is not paid yet."""
        for contract in Contract.objects.filter(recharge_enabled=True).select_related("customer"):
            self.hotline.v2.contracts.edit(
                customer_id=contract.customer.metronome_id or "",
                contract_id=contract.metronome_id or "",
                update_prepaid_balance_threshold_configuration={"is_enabled": False},
            )

    def counted_too_late(self) -> Counter[Any]:
        """Credits by customer whose usage came when the invoice of its month was final: Metronome takes none for that."""
        credits: Counter[Any] = Counter()
        for event in self.events_at_metronome():
            month_end = (event.timestamp.replace(day=1) + timedelta(days=32)).replace(day=1, hour=0, minute=0, second=0)
            if event.received_at >= month_end + GRACE:
                usage = UsageEvent.objects.get(transaction_id=event.id)
                credits[usage.customer_id] += usage.credits
        return credits

    def events_at_metronome(self) -> list[Any]:
        return list(self.sandbox.world.store.events.rows.values())
