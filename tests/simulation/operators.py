"""What operators do, here and at Metronome, with no regard for what is under way."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from io import StringIO
from unittest.mock import patch

from django.core.management import CommandError, call_command

from accounts.models import Customer
from billing import ledger, metronome, plans
from billing.hours import floor_hour
from billing.models import Contract, Drift
from billing.subscriptions import complimentary
from billing.sync.drift import approve_drift
from billing.sync.schedule import run_now
from usage import credit_back
from usage.models import Generation
from vocalis.operations import deletion

from .stage import Stage


class Operators(Stage):
    def add_grant_at_metronome(self) -> None:
        """Someone adds credits in Metronome's own interface; we hear of it by webhook or by the
        sweep."""
        contract = (
            Contract.objects.exclude(metronome_id=None)
            .select_related("customer")
            .order_by("id")
            .first()
        )
        if contract and contract.customer.metronome_id:
            starts_at = floor_hour(self.now()) + timedelta(hours=self.dice.choice([0, 0, 0, 1]))
            ends_at = starts_at + timedelta(hours=self.dice.choice([1, 5, 200]))
            amount = self.dice.choice([1, 999, 30_000])
            with patch.object(metronome.client, "client", lambda: self.hotline):
                product_id = metronome.credits_product_id()
            self.hotline.v2.contracts.edit(
                customer_id=contract.customer.metronome_id,
                contract_id=contract.metronome_id,
                add_credits=[
                    {
                        "product_id": product_id,
                        "name": "ComplimentaryGrant",
                        "priority": plans.PRIORITY_COMPLIMENTARY,
                        "access_schedule": {
                            "credit_type_id": metronome.credit_type_id(),
                            "schedule_items": [
                                {
                                    "amount": amount,
                                    "starting_at": starts_at,
                                    "ending_before": ends_at,
                                }
                            ],
                        },
                    }
                ],
            )

    def archive_at_metronome(self) -> None:
        """Someone takes such a grant away again, spent or not."""
        for contract in (
            Contract.objects.exclude(metronome_id=None).select_related("customer").order_by("id")
        ):
            customer_id, contract_id = (
                contract.customer.metronome_id or "",
                contract.metronome_id or "",
            )
            with patch.object(metronome.client, "client", lambda: self.hotline):
                made_by_hand = [
                    commit
                    for commit in metronome.commits(customer_id=customer_id)
                    if commit.name == "ComplimentaryGrant"
                ]
            if made_by_hand:
                commit = self.dice.choice(made_by_hand)
                archived = [{"id": commit.id}]
                self.taken_away[commit.id] = (
                    contract.customer_id,
                    int(sum(segment.amount for segment in commit.segments)),
                )
                self.hotline.v2.contracts.edit(
                    customer_id=customer_id, contract_id=contract_id, archive_credits=archived
                )
                return

    def give(self) -> None:
        customer = self.anyone()
        if customer:
            key = self.key("complimentary")
            for _ in range(self.dice.choice([1, 1, 2])):
                complimentary.give(
                    customer=customer,
                    credits=5_000,
                    reason="kindness",
                    by=self.staff,
                    key=key,
                    days=self.dice.choice([1, 30]),
                    now=self.now(),
                )

    def credit_back(self) -> None:
        done = list(
            Generation.objects.filter(state=Generation.State.DONE).order_by("created_at", "key")
        )
        if done:
            generation = self.dice.choice(done)
            for _ in range(self.dice.choice([1, 1, 2])):
                credit_back.credit_back(
                    generation=generation, by=self.staff, reason="noise", now=self.now()
                )

    def look_twice(self) -> None:
        """An impatient operator has everybody reconciled a minute after usage was sent, and again a
        few seconds later."""
        self.work()
        self.advance(seconds=ledger.BALANCE_LAG_SECONDS + 1)
        for _ in range(2):
            for customer in Customer.objects.order_by("user_id"):
                run_now(customer.pk, self.now())
            self.work()
            self.advance(seconds=self.dice.randint(5, 20))

    def agree_to_drifts(self) -> None:
        for drift in Drift.objects.filter(state=Drift.State.OPEN, approved_by=None):
            approve_drift(drift, user=self.staff, now=self.now())

    def run_a_command(self) -> None:
        """Any of the commands that look and repair, in the middle of everything; it may be killed,
        and run again."""
        command = self.dice.choice(
            [
                ("reconcile_balances", "--fix", "--by", self.staff.email),
                ("backfill_usage", "--since", "30d"),
                ("backfill_customers", "--all"),
                ("backfill_contracts", "--all"),
                ("replay_webhooks", "--since", "36h"),
                ("retry_dead",),
                ("prune_audio",),
            ]
        )
        self.log.append(f"  {command[0]}")
        with suppress(CommandError):
            call_command(*command, stdout=StringIO(), stderr=StringIO())

    def delete_customer(self) -> None:
        customer = self.anyone()
        if customer:
            self._delete(customer)

    def delete_meanwhile(self) -> None:
        """While another process stands still: at worst for so long that a worker has told Metronome
        before it goes on."""
        self.delete_customer()
        if self.dice.random() < 0.5:
            self.advance(minutes=3)
            self.work()

    def finish_deletions(self) -> None:
        """A run that was killed had closed the account, and found no time to forget its owner."""
        for customer in Customer.objects.filter(user__is_active=False).exclude(
            user__first_name=deletion.NAME
        ):
            self._delete(customer)

    @staticmethod
    def _delete(customer: Customer) -> None:
        with suppress(CommandError):
            call_command(
                "delete_customer",
                str(customer.pk),
                "--no-input",
                stdout=StringIO(),
                stderr=StringIO(),
            )
