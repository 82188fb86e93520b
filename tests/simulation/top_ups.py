"""Customers who buy credits, and who set recharges with a limit: what they were shown, and what may
be charged for it."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.utils import timezone

from accounts.models import Customer
from billing import plans, recharge
from billing.models import AutoRecharge, Payment, Purchase, Recharge
from billing.packs import requests as packs
from billing.payments import pay_page
from billing.payments import requests as payments
from billing.payments.gateways import GatewayDeclined
from billing.payments.requests import charge_key
from billing.recharge import limits
from billing.recharge.requests import own_workflow_id
from jobs.errors import Rejected, Unavailable

from . import money_kept
from .money_kept import TAKEN
from .payers import BAD_CARDS, GOOD_CARDS, Payers

if TYPE_CHECKING:
    from .world import World

AT_PAGE = "-page"  # ends the keys of forms that lead to Stripe's page, as in `pages.top_up`
BETWEEN_THREE = timedelta(minutes=10)
State = Payment.State


class TopUps(Payers):
    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        # What was shown before it was confirmed, by key of the form: cents, and credits of a pack.
        self.shown: dict[str, tuple[int, int | None]] = {}
        # Every limit that a customer has ever set; None is that of three recharges.
        self.limits: dict[UUID, set[int | None]] = {}
        self.pay_pages: list[tuple[UUID, str]] = []  # opened, by payment

    def top_up(self) -> None:
        """Somebody buys credits, perhaps by two clicks, or by an old form."""
        customer = self.anyone()
        cents = self.dice.choice([500, 1_000, 1_000, 1_234, 2_500])
        if customer:
            with suppress(packs.PurchaseRefused):
                found = packs.preview(customer=customer, amount_cents=cents, now=self.now())
                key = self.dice.choice([self.key("pack"), *self.forms_of(customer, cents)])
                self.shown.setdefault(key, (found.total_cents, found.credits))
                self.note_wish(customer)
                for _ in range(self.dice.choice([1, 1, 2])):
                    packs.buy(
                        customer=customer,
                        amount_cents=found.amount_cents,
                        shown_tax_cents=found.tax_cents,
                        shown_credits=found.credits,
                        key=key,
                        now=self.now(),
                    )

    def forms_of(self, customer: Any, cents: int) -> list[str]:
        mine = Purchase.objects.filter(customer=customer, amount_cents=cents)
        mine = mine.exclude(key__endswith=AT_PAGE)
        return list(mine.order_by("pk").values_list("key", flat=True))

    def top_up_at_page(self) -> None:
        """The same with any card, at Stripe's page: in one tab or two, and perhaps by an old form.
        Its tab is closed, or they go on there at once."""
        if not (customer := self.anyone()):
            return
        with suppress(packs.PurchaseRefused, Unavailable, Rejected, GatewayDeclined):
            old = Purchase.objects.filter(customer=customer, key__endswith=AT_PAGE).order_by("pk")
            keys = [self.key("pack") + AT_PAGE, *old.values_list("key", flat=True)]
            self.go_to_page(customer, self.dice.choice(keys))
        if self.dice.random() < 0.6:
            self.visit_pay_page()

    def go_to_page(self, customer: Customer, key: str) -> None:
        """Agree to what the page will charge, by one click or two. Raises what buying raises."""
        again = Purchase.objects.filter(key=key).values_list("amount_cents", flat=True)
        cents = again.first() or self.dice.choice([500, 1_000, 1_234, 2_500])
        found = packs.preview(customer=customer, amount_cents=cents, now=self.now())
        self.shown.setdefault(key, (found.total_cents, found.credits))
        self.note_wish(customer)
        for _ in range(self.dice.choice([1, 1, 2])):
            purchase, url = packs.buy_at_page(
                customer=customer,
                amount_cents=found.amount_cents,
                shown_tax_cents=found.tax_cents,
                shown_credits=found.credits,
                is_card_kept=bool(found.is_card_kept),
                key=key,
                urls=_ways_back,
                now=self.now(),
            )
            if url:
                self.pay_pages.append((purchase.payment_id, url))

    def visit_pay_page(self) -> None:
        """Somebody pays there, goes back, or only looks; the page may be an old one, of something
        that was called off, or be opened again from our side."""
        if not self.pay_pages:
            return
        with self.chaos.elsewhere():
            known = Payment.objects.in_bulk([payment_id for payment_id, _ in self.pay_pages])
        waiting = [one for one in self.pay_pages if known[one[0]].state == State.AT_PAGE]
        old = not waiting or (not self.chaos.calm and self.dice.random() < 0.2)
        payment_id, url = self.dice.choice(self.pay_pages if old else waiting)
        payment = known[payment_id]
        if self.dice.random() < 0.2:
            with suppress(Unavailable, Rejected, GatewayDeclined):
                url = pay_page.open_page(payment, now=self.now()) or url
        act = self.dice.choice(["pay", "pay", "pay", "leave"] + ["look"] * (not self.chaos.calm))
        if act == "pay":
            number = self.dice.choice([*GOOD_CARDS, *BAD_CARDS])
            with self.chaos.elsewhere():
                back = self._type_card(url, number)
            if back and self.dice.random() < 0.7:
                customer = payment.customer
                pay_page.came_back(customer=customer, payment_id=payment_id, now=self.now())
        elif act == "leave" and payments.is_unpaid(payment):
            payments.call_off(payment, failure=pay_page.LEFT, now=self.now())

    def leave_pay_pages(self) -> None:
        """Whoever has not paid yet never will."""
        for payment in Payment.objects.filter(state=State.AT_PAGE).order_by("created_at"):
            payments.call_off(payment, failure=pay_page.LEFT, now=self.now())

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
            self.note_wish(customer)
            for _ in range(self.dice.choice([1, 1, 2])):
                recharge.save_settings(
                    **numbers, enabled=enabled, shown_cents=due_cents, key=key, now=self.now()
                )


def _ways_back(payment: Payment) -> tuple[str, str]:
    page = f"http://testserver/billing/payments/{payment.pk}"
    return f"{page}/paid/", f"{page}/left/"


def keep_their_limits(world: World) -> None:
    """By what Stripe has charged: never more than was shown, or than the month's limit, and
    never three recharges in ten minutes."""
    charges = world.paid_by_key()
    if not charges:
        return
    rows = Recharge.objects.exclude(payment=None).select_related("payment").order_by("pk")
    by_customer: dict[UUID, list[tuple[datetime, int, Recharge]]] = {}
    for row in rows:
        assert row.payment
        key = charge_key(row.payment)
        if charge := charges.get(key):
            assert charge.paid_at
            charged = (charge.paid_at, charge.amount_cents, row)
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
        payment = purchase.payment
        assert (payment.amount_cents, purchase.credits) == world.shown[purchase.key]
        assert payment.net_cents == purchase.amount_cents
        charge = charges.get(charge_key(payment))
        assert charge is None or charge.amount_cents == payment.amount_cents


def failed_is_not_charged(world: World) -> None:
    """What was taken for a top-up that failed is not kept; only a bank may decide over it."""
    charged = Purchase.objects.filter(state="failed", payment__state__in=TAKEN)
    intents, charges = world.stripe.world.store.payment_intents, world.stripe.world.store.charges
    for purchase in charged.select_related("payment"):
        intent = intents[purchase.payment.gateway_reference]
        assert charges[intent["latest_charge"]]["disputed"], f"{purchase} failed, and is charged"


def agree() -> None:
    """Every top-up is over, each charge is credits, and who is paused is so for a reason."""
    assert not Purchase.objects.open().exists(), list(Purchase.objects.open())
    assert not Purchase.objects.filter(settled_at=None).exists()
    for purchase in Purchase.objects.select_related("payment", "grant"):
        payment = purchase.payment
        is_paid = payment.state in TAKEN and (payment.grant is not None)
        assert is_paid == (purchase.state == Purchase.State.GRANTED)
        if purchase.grant:
            credits = purchase.grant.granted + money_kept.taken_of(purchase.grant)
            assert credits == purchase.credits, purchase
    for row in AutoRecharge.objects.exclude(paused_until_at=None):
        assert row.enabled and row.paused_until_at > timezone.now(), (
            "paused for longer than a month"
        )
        contract = row.customer.contract
        assert not contract.recharge_enabled, "paused, and on at Metronome"
