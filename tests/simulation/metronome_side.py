"""What the invariants ask about Metronome, over a line that never fails."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
from django.conf import settings
from metronome import Metronome

from accounts.models import Customer
from billing.models import Contract
from metronome_sandbox import Sandbox
from metronome_sandbox.invoices import GRACE
from usage.models import UsageEvent


class MetronomeSide:
    hotline: Metronome  # to the product's eyes as good as the client of the product
    line: httpx.Client
    sandbox: Sandbox

    def grants_at_metronome(self, customer: Customer, key: str) -> int:
        commits = self.sandbox.world.store.commits.of_customer(customer.metronome_id or "")
        return sum(commit.description == key for commit in commits)

    def customers_at_metronome(self, alias: str) -> int:
        return len(self._pages("GET", f"/v1/customers?ingest_alias={alias}"))

    def names_at_metronome(self, customer: Customer) -> list[str]:
        found = self._ask("GET", f"/v1/customers/{customer.metronome_id}")["data"]
        return [found["name"], *found["ingest_aliases"]]

    def aliases_at_metronome(self) -> set[str]:
        return {
            alias
            for customer in self.sandbox.world.store.customers
            for alias in customer.ingest_aliases
        }

    def contracts_at_metronome(self, customer: Customer) -> int:
        return len(self.sandbox.world.store.contracts.of_customer(customer.metronome_id or ""))

    def balance_at_metronome(self, customer: Customer) -> Decimal:
        kinds = [{"balance_types": ["PREPAID_COMMIT"]}, {"balance_types": ["CREDIT"]}]
        body = {
            "customer_id": customer.metronome_id,
            "credit_type_id": settings.VOCALIS_CREDIT_TYPE_ID,
            "filters": kinds,
        }
        return Decimal(
            self._ask("POST", "/v1/contracts/customerBalances/getNetBalance", body)["data"][
                "balance"
            ]
        )

    def usage_lines(self, customer: Customer) -> list[dict[str, Any]]:
        """The lines of all invoices of usage, drafts and final ones."""
        invoices = self._pages("GET", f"/v1/customers/{customer.metronome_id}/invoices?limit=100")
        return [
            line
            for invoice in invoices
            if invoice["type"] == "USAGE"
            for line in invoice["line_items"]
        ]

    def _pages(self, method: str, path: str) -> list[Any]:
        answer = self._ask(method, path)
        assert not answer["next_page"], "more than one page"
        return list(answer["data"])

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        """Metronome's own JSON: that the SDK reads it right is seen whenever the product asks."""
        answer = self.line.request(method, path, json=body)
        answer.raise_for_status()
        return json.loads(answer.text, parse_float=Decimal, parse_int=Decimal)

    def switch_recharges_off(self) -> None:
        """By hand, in Metronome's own interface; it cancels what is not paid yet."""
        for contract in Contract.objects.filter(recharge_enabled=True).select_related("customer"):
            self.hotline.v2.contracts.edit(
                customer_id=contract.customer.metronome_id or "",
                contract_id=contract.metronome_id or "",
                update_prepaid_balance_threshold_configuration={"is_enabled": False},
            )

    def counted_too_late(self) -> Counter[Any]:
        """Credits by customer whose usage came when the invoice of its month was final: Metronome
        takes none for that."""
        credits: Counter[Any] = Counter()
        for event in self.events_at_metronome():
            month_end = (event.timestamp.replace(day=1) + timedelta(days=32)).replace(
                day=1, hour=0, minute=0, second=0
            )
            if event.received_at >= month_end + GRACE:
                usage = UsageEvent.objects.get(transaction_id=event.id)
                credits[usage.customer_id] += usage.credits
        return credits

    def events_at_metronome(self) -> list[Any]:
        return list(self.sandbox.world.store.events.rows.values())
