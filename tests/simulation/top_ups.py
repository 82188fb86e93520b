"""Customers who buy credits, and who set recharges with a limit: what they were shown, and what may
be charged for it."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.utils import timezone

from billing import plans, recharge
from billing.models import AutoRecharge, Payment, Purchase, Recharge
from billing.models import ChargeAtTestGateway as Charge
from billing.packs import requests as packs
from billing.payments.requests import charge_key
from billing.recharge import limits
from billing.recharge.requests import own_workflow_id

from .operators import Operators

if TYPE_CHECKING:
    from .world import World

BETWEEN_THREE = timedelta(minutes=10)


class TopUps(Operators):
    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        # What was shown before it was confirmed, by key of the form: cents, and credits of a pack.
        self.shown: dict[str, tuple[int, int | None]] = {}
        # Every limit that a customer has ever set; None is that of three recharges.
        self.limits: dict[UUID, set[int | None]] = {}
        self.confirmed: dict[str, datetime] = {}  # charges, by key: when the bank was told

    def top_up(self) -> None:
        """Somebody buys credits, perhaps by two clicks, or by an old form."""
        customer = self.anyone()
        cents = self.dice.choice([500, 1_000, 1_000, 1_234, 2_500])
        if customer:
            with suppress(packs.PurchaseRefused):
                found = packs.preview(customer=customer, amount_cents=cents, now=self.now())
                key = self.dice.choice([self.key("pack"), *self.forms_of(customer, cents)])
                self.shown.setdefault(key, (found.amount_cents, found.credits))
                for _ in range(self.dice.choice([1, 1, 2])):
                    packs.buy(
                        customer=customer,
                        amount_cents=found.amount_cents,
                        shown_credits=found.credits,
                        key=key,
                        now=self.now(),
                    )

    def forms_of(self, customer: Any, cents: int) -> list[str]:
        mine = Purchase.objects.filter(customer=customer, amount_cents=cents)
        return list(mine.order_by("pk").values_list("key", flat=True))

    def set_recharge(self) -> None:
        """Settings with a limit; what they charge at once is looked at and agreed to."""
        customer = self.anyone()
        if not customer:
            return
        threshold = self.dice.choice([20_000, 45_000, 60_000])
        target = threshold + self.dice.choice([40_000, 40_001, 77_777])
        enabled = self.dice.random() < 0.8
        limit = self.dice.choice([None, None, 2_000, 5_000, 40_000])
        key = UUID(int=self.dice.getrandbits(128))
        numbers: dict[str, Any] = {
            "customer": customer,
            "threshold_credits": threshold,
            "recharge_to_credits": target,
            "limit_cents": limit,
        }
        with suppress(recharge.SettingsInvalid, recharge.NotShown):
            found = recharge.preview(**numbers, now=self.now()) if enabled else None
            due_cents = found.due_cents if found else 0
            self.shown[own_workflow_id(key)] = (due_cents, None)
            self.limits.setdefault(customer.pk, set()).add(limit)
            for _ in range(self.dice.choice([1, 1, 2])):
                recharge.save_settings(
                    **numbers, enabled=enabled, shown_cents=due_cents, key=key, now=self.now()
                )


def keep_their_limits(world: World) -> None:
    """By what the gateway has charged: never more than was shown, or than the month's limit, and
    never three recharges in ten minutes."""
    charges = {charge.key: charge for charge in Charge.objects.filter(state=Charge.State.PAID)}
    if not charges:
        return
    rows = Recharge.objects.exclude(payment=None).select_related("payment").order_by("pk")
    by_customer: dict[UUID, list[tuple[datetime, int, Recharge]]] = {}
    for row in rows:
        assert row.payment
        key = charge_key(row.payment)
        if charge := charges.get(key):
            moment = world.confirmed.get(key, charge.created_at)
            charged = (moment, charge.amount_cents, row)
            by_customer.setdefault(row.customer_id, []).append(charged)
            if row.is_own:
                assert charge.amount_cents == world.shown[row.workflow_id][0], "not what was shown"
    for customer_id, charged in by_customer.items():
        for first, third in zip(charged, charged[2:], strict=False):
            assert third[0] - first[0] >= BETWEEN_THREE, "three recharges in ten minutes"
        assert all(one[0] <= other[0] for one, other in pairwise(charged))
        for number, (moment, _, row) in enumerate(charged):
            month = limits.month_of(moment)
            until_now = [cents for at, cents, _ in charged[: number + 1] if at >= month[0]]
            if row.limit_cents not in world.limits[customer_id]:
                assert None in world.limits[customer_id], "a limit that nobody set"
                assert len(until_now) <= plans.RECHARGE_LIMIT_RECHARGES, f"{row} is a fourth"
            assert sum(until_now) <= row.limit_cents, f"{row} exceeds {row.limit_cents} cents"
    for purchase in Purchase.objects.select_related("payment"):
        assert (purchase.amount_cents, purchase.credits) == world.shown[purchase.key]
        charge = charges.get(charge_key(purchase.payment))
        assert charge is None or charge.amount_cents == purchase.amount_cents


def agree() -> None:
    """Every top-up is over, each charge is credits, and who is paused is so for a reason."""
    assert not Purchase.objects.open().exists(), list(Purchase.objects.open())
    assert not Purchase.objects.filter(settled_at=None).exists()
    for purchase in Purchase.objects.select_related("payment", "grant"):
        is_paid = purchase.payment.state == Payment.State.CHARGED
        assert is_paid == (purchase.state == Purchase.State.GRANTED)
        assert not is_paid or (purchase.grant and purchase.grant.granted == purchase.credits)
    for row in AutoRecharge.objects.exclude(paused_until_at=None):
        assert row.enabled and row.paused_until_at > timezone.now(), (
            "paused for longer than a month"
        )
        contract = row.customer.contract
        assert not contract.recharge_enabled, "paused, and on at Metronome"
