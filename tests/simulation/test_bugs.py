"""Bugs that are put in: each kind of wrong with money is noticed by the invariants.

One short story without bad luck has everything that may go wrong in it: a plan, an upgrade, a
top-up, one that is declined, a recharge, two refunds, and two disputes that are lost. It holds
without the bug.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from fractions import Fraction
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from accounts.models import Customer
from billing import ledger, plans, recharge
from billing.disputes import flow as disputes
from billing.inbox import stripe_money_back
from billing.models import Dispute, Payment, Purchase, Recharge, Refund, Subscription
from billing.packs import flow as packs
from billing.packs import requests as top_ups
from billing.payments import tax
from billing.recharge import by_metronome, limits
from billing.recharge import flow as recharges
from billing.recharge import settings as recharge_settings
from billing.recharge.requests import own_workflow_id
from billing.refunds import preview as refunds
from billing.refunds import requests as refund_requests
from billing.subscriptions import change, choose
from billing.sync import contracts
from billing.tests.stripe_stage import CONFIRMED, GOOD
from stripe_sandbox import declining
from stripe_sandbox import disputes as banks

from .gated import GIVES_UP_AFTER, GatedWorld
from .taxed import TaxedWorld
from .world import World

THRESHOLD, RECHARGE_TO = 300_000, 400_000  # above what the plan and the top-up bring
WAIT_MINUTES = 20
NEVER_CONFIRMED_HOURS = GIVES_UP_AFTER // timedelta(hours=1) + 1


class UnpaidWorld(GatedWorld):
    """One in which Metronome is not paid at first."""


def tell(kind: type[World]) -> None:
    """The story, and what must hold after each step and once all work is done."""
    world = kind(4)
    with world.running(), world.chaos.at_peace():
        world.perform(world.sign_up)
        customer = Customer.objects.get()
        if isinstance(world, TaxedWorld):
            while max(world.rates[customer.pk]) == 0:
                world.move(customer)
        world.perform(lambda: world.save_card(customer, GOOD))
        settle(world)
        choose_plan(world, customer, "creator")
        world.perform(lambda: world._request(customer, 5_000, "standard"))
        settle(world)
        world.keeps_the_rule(customer, "pro")  # less is left of the credits than of the time
        world.advance(hours=140)
        settle(world)
        world.keeps_the_rule(customer, "pro")  # and the other way round
        choose_plan(world, customer, "pro")
        top_up(world, customer)
        declining.add(world.stripe.world, {"decline_code": "generic_decline", "times": 1})
        top_up(world, customer)
        world.perform(lambda: world._request(customer, 900, "standard"))
        settle(world)
        if isinstance(world, UnpaidWorld):
            metronome_is_not_paid(world, customer)
        switch_recharges_on(world, customer, limit_cents=4_000)  # too little for one
        switch_recharges_on(world, customer, limit_cents=9_000)
        refund(world, Payment.objects.get(kind="pack", state="charged"))
        refund(world, Payment.objects.get(subscription__plan="creator"))
        world.keeps_the_rule(customer, "creator")
        lose(world, Payment.objects.filter(kind="recharge", state="charged").first())
        lose(world, Payment.objects.get(subscription__plan="pro"))
        for _ in range(3):
            world.advance(minutes=WAIT_MINUTES)
            settle(world)
        world.at_rest()


def settle(world: World) -> None:
    for _ in range(4):
        for one in world.workers:
            one.drain()
        world.advance(seconds=30)
    world.check()


def choose_plan(world: World, customer: Customer, plan: str) -> None:
    world.keeps_the_rule(customer, plan)
    shown = choose.preview_plan(customer=customer, plan=plan, now=world.now()).shown
    key = world.key("plan")
    world.agreed[customer.pk, f"{plan}:{key}"] = shown
    choose.select_plan(customer=customer, plan=plan, key=key, now=world.now(), shown=shown)
    settle(world)


def top_up(world: World, customer: Customer) -> None:
    found = top_ups.preview(customer=customer, amount_cents=2_500, now=world.now())
    key = world.key("pack")
    world.shown[key] = found.total_cents, found.credits
    top_ups.buy(
        customer=customer,
        amount_cents=found.amount_cents,
        shown_tax_cents=found.tax_cents,
        shown_credits=found.credits,
        key=key,
        now=world.now(),
    )
    settle(world)


def switch_recharges_on(world: World, customer: Customer, *, limit_cents: int) -> None:
    """At a balance below the threshold: one is charged at once, if the limit allows it."""
    key = UUID(int=limit_cents)
    numbers = {
        "customer": customer,
        "threshold_credits": THRESHOLD,
        "recharge_to_credits": RECHARGE_TO,
        "limit_cents": limit_cents,
    }
    found = recharge.preview(**numbers, now=world.now())
    due_cents = found.due_cents if found else 0
    world.shown[own_workflow_id(key)] = due_cents, None
    world.limits.setdefault(customer.pk, set()).add(limit_cents)
    recharge.save_settings(**numbers, enabled=True, shown_cents=due_cents, key=key, now=world.now())
    settle(world)


def metronome_is_not_paid(world: World, customer: Customer) -> None:
    """One charge of Metronome's is declined, and one waits for a confirmation that never comes."""
    declining.add(world.stripe.world, {"decline_code": "generic_decline", "times": 1})
    switch_recharges_on(world, customer, limit_cents=20_000)
    world.perform(lambda: world.save_card(customer, CONFIRMED))
    settle(world)
    switch_recharges_on(world, customer, limit_cents=21_000)
    world.advance(hours=NEVER_CONFIRMED_HOURS)
    settle(world)
    world.perform(lambda: world.save_card(customer, GOOD))
    settle(world)


def refund(world: World, payment: Payment) -> None:
    world.goes_with_what_is_left(payment)
    found = refunds.preview(payment, world.now())
    world._confirm(payment, found.shown, (found.amount_cents, found.credits), 1)
    settle(world)


def lose(world: World, payment: Payment | None) -> None:
    """The customer disputes it at the bank, which decides for the customer."""
    if payment is None:
        return  # with some bugs
    store = world.stripe.world.store
    intent = store.payment_intents[payment.gateway_reference]
    charge = store.charges[intent["latest_charge"]]
    if charge["status"] != "succeeded":
        return  # the same
    row = banks.open_(world.stripe.world, charge, is_inquiry=False)
    settle(world)
    banks.move_on(world.stripe.world, row, "lost")
    settle(world)


def but(module: Any, **changed: Any) -> SimpleNamespace:
    """The module with some of its functions changed, for one of those that use it."""
    return SimpleNamespace(**{**vars(module), **changed})


def nothing(*_: Any, **__: Any) -> None:
    pass


def halved(function: Callable[..., int]) -> Callable[..., int]:
    return lambda *arguments: function(*arguments) // 2


def doubled(function: Callable[..., int]) -> Callable[..., int]:
    return lambda *arguments: 2 * function(*arguments)


def halved_share(*arguments: Any) -> Fraction:
    return TIME_LEFT(*arguments) / 2


def at_once(former: Subscription | None, plan: plans.Plan, now: datetime) -> change.Kind:
    """A lower plan begins at once, too."""
    kind = KIND_OF(former, plan, now)
    return change.Kind.UPGRADE if kind == change.Kind.DOWNGRADE else kind


def granted_unpaid(purchase: Purchase, now: datetime) -> None:
    packs._move(purchase, Purchase.State.CHARGED, charged_at=now)


def granted_without_credits(row: Purchase | Recharge, now: datetime) -> None:
    move = packs._move if isinstance(row, Purchase) else recharges._move
    move(row, "granted", settled_at=now)


def granted_twice(recharge: Recharge, now: datetime) -> None:
    """We grant what Metronome has granted already."""
    contracts.grant(
        recharge.customer,
        key=f"again-{recharge.pk}",
        name=plans.RECHARGE_COMMIT_NAME,
        credits=1_000,
        starts_at=now,
        ends_at=now + timedelta(days=365),
        priority=plans.PRIORITY_PACK,
        paid_cents=100,
        now=now,
    )
    GRANT_RECHARGE(recharge, now)


def kept_credits(found: refunds.Preview, now: datetime) -> int:
    assert found.grant
    return found.grant.granted


KIND_OF, TIME_LEFT, GRANT_RECHARGE, TAX_ON, UNRESERVED = (
    change.kind_of,
    change.time_left,
    recharges._grant,
    tax.on,
    ledger.unreserved,
)
LOSES_NOTHING = but(ledger, unreserved=lambda *_: 0)
PAID = by_metronome.STATES["paid"]
UNCHECKED = (tax, "check", lambda *_: "")
Bug = tuple[Any, str, Any]
BUGS: dict[str, tuple[type[World], list[Bug]]] = {
    "charged above the limit": (World, [(limits.Month, "allows", lambda *_: True)]),
    "more is paid back of a plan than is left": (World, [(change, "min", max)]),
    "time alone counts in an upgrade": (
        World,
        [(change, "credits_left", lambda *_: Fraction(1))],
    ),
    "credits alone count in an upgrade": (
        World,
        [(change, "time_left", lambda *_: Fraction(1))],
    ),
    "an upgrade pays back too little": (World, [(change, "time_left", halved_share)]),
    "a lower plan is charged at once": (World, [(change, "kind_of", at_once)]),
    "half is refunded": (
        World,
        [(refunds, "ledger", but(ledger, unreserved=halved(UNRESERVED)))],
    ),
    "a refund leaves its credits": (World, [(refund_requests, "_take", kept_credits)]),
    "a top-up is granted without payment": (
        World,
        [(packs, "POINTS", packs.POINTS | {"requested": granted_unpaid})],
    ),
    "a top-up is paid without grant": (
        World,
        [(packs, "POINTS", packs.POINTS | {"charged": granted_without_credits})],
    ),
    "a dispute is ignored": (World, [(stripe_money_back, "_attempt", nothing)]),
    "a dispute freezes nothing": (World, [(disputes, "ledger", but(ledger, set_frozen=nothing))]),
    "a dispute stops nothing": (World, [(disputes, "_stop_charges", nothing)]),
    "a lost dispute takes nothing": (World, [(disputes, "ledger", LOSES_NOTHING)]),
    "tax is not refunded": (TaxedWorld, [(refunds, "_tax_on", lambda *_: 0)]),
    "tax is refunded twice": (TaxedWorld, [(refunds, "_tax_on", doubled(refunds._tax_on))]),
    "tax is computed twice": (TaxedWorld, [(tax, "on", doubled(TAX_ON)), UNCHECKED]),
    "no tax is charged": (TaxedWorld, [(tax, "on", lambda *_: 0), UNCHECKED]),
    "Stripe does not work the tax out": (TaxedWorld, [UNCHECKED]),
    "a lost dispute takes nothing with tax": (TaxedWorld, [(disputes, "ledger", LOSES_NOTHING)]),
    "we charge as well": (
        GatedWorld,
        [(recharge_settings, "gate", SimpleNamespace(is_metronomes=lambda: False))],
    ),
    "paid at Metronome, and not granted": (
        GatedWorld,
        [(recharges, "POINTS", recharges.POINTS | {"released": granted_without_credits})],
    ),
    "granted by Metronome and by us": (
        GatedWorld,
        [(recharges, "POINTS", recharges.POINTS | {"released": granted_twice})],
    ),
    "what Metronome says of a charge is ignored": (
        GatedWorld,
        [(by_metronome, "record", lambda **_: SimpleNamespace(pk=0))],
    ),
    "what was declined at Metronome counts as paid": (
        UnpaidWorld,
        [(by_metronome, "STATES", by_metronome.STATES | {"failed": PAID})],
    ),
    "what waits for a confirmation at Metronome counts as paid": (
        UnpaidWorld,
        [(by_metronome, "STATES", by_metronome.STATES | {"pending": PAID})],
    ),
    "a dispute of Metronome's charge is ignored": (
        GatedWorld,
        [(stripe_money_back, "by_metadata", nothing), (stripe_money_back, "_attempt", nothing)],
    ),
    "a lost dispute takes nothing of Metronome's": (
        GatedWorld,
        [(disputes, "ledger", LOSES_NOTHING)],
    ),
}


@pytest.mark.timeout(300)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", [World, TaxedWorld, GatedWorld, UnpaidWorld])
def test_the_story_holds(kind):
    tell(kind)

    assert Refund.objects.filter(state="paid_back").count() == 2
    assert Dispute.objects.filter(state="lost").count() == 2
    assert Purchase.objects.filter(state="failed").count() == 1
    unpaid = Recharge.objects.filter(payment__is_by_metronome=True, state="failed")
    outcomes = unpaid.order_by("pk").values_list("payment__tries__outcome", flat=True)
    assert list(outcomes) == (["declined", "cancelled"] if kind is UnpaidWorld else [])


@pytest.mark.any_database  # the bugs are in Python; the story is told on both, above
@pytest.mark.timeout(300)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", BUGS)
def test_a_bug_is_noticed(monkeypatch, name):
    kind, bugs = BUGS[name]
    for module, attribute, bug in bugs:
        monkeypatch.setattr(module, attribute, bug, raising=attribute != "min")

    with pytest.raises(AssertionError):
        tell(kind)
