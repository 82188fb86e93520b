"""Refunds that somebody makes in Stripe's Dashboard, early fraud warnings and reviews."""

from __future__ import annotations

import pytest

from billing.models import (
    InboundWebhook,
    Payment,
    PaymentAlert,
    Refund,
)
from billing.refunds import requests as refunds
from billing.refunds.preview import NotRefundable, preview
from billing.tests import bank as banks
from billing.tests.money_stage import agree, select
from stripe_sandbox import disputes, warnings
from stripe_sandbox import refunds as at_stripe

pytestmark = pytest.mark.django_db
Kind = PaymentAlert.Kind


bank, ungranted = banks.bank, banks.ungranted  # the fixtures


@pytest.fixture
def plan(bank, alice) -> Payment:
    bank.save_card(alice)
    select(alice, "creator", bank.now())
    bank.work()
    return Payment.objects.get()


def ask(bank, payment) -> None:
    shown = preview(Payment.objects.get(pk=payment.pk), bank.now()).shown
    refunds.request(payment, shown=shown, reason="Asked for.", by=None, now=bank.now())
    bank.work()


def in_dashboard(bank, payment, cents: int):
    world = bank.box.world
    made = at_stripe.make(world, bank.charge_of(payment), cents, reason=None, metadata={})
    bank.work()
    return made


def test_a_refund_made_at_stripe_asks_for_a_person_once(bank, alice, plan):
    made = in_dashboard(bank, plan, 1_000)
    bank.advance(minutes=5)

    alert = PaymentAlert.objects.get()
    assert (alert.kind, alert.amount_cents, alert.payment) == (Kind.FOREIGN_REFUND, 1_000, plan)
    assert alert.reference == made.id and alert.closed_at is None
    assert agree(alice) == 250_000, "nothing is decided without a person"
    assert {one.last_error for one in InboundWebhook.objects.all()} == {""}


@pytest.mark.parametrize("kind", ["refund.created", "charge.refunded"])
def test_either_event_tells_it(bank, alice, plan, kind):
    world = bank.box.world
    url, secret = world.webhooks.pop()
    known = {event.id for event in world.store.events}
    in_dashboard(bank, plan, 1_000)
    for event in world.store.events:
        if event.id not in known and event["type"] == kind:
            InboundWebhook.objects.create(
                source="stripe",
                event_id=event.id,
                type=kind,
                payload=dict(event.body),
                received_at=bank.now(),
                due_at=bank.now(),
            )
    world.webhooks.append((url, secret))
    bank.work()
    assert PaymentAlert.objects.get().amount_cents == 1_000


def test_what_was_paid_back_there_is_not_paid_back_twice(bank, alice, plan):
    in_dashboard(bank, plan, 1_000)
    assert preview(plan, bank.now()).amount_cents == 3_900
    ask(bank, plan)
    assert bank.kept_cents() == 0
    assert Refund.objects.get().state == Refund.State.PAID_BACK
    assert PaymentAlert.objects.count() == 1, "our own refund is none of somebody's"


def test_our_refund_of_what_is_paid_back_there_meanwhile_comes_before_a_person(bank, alice, plan):
    shown = preview(plan, bank.now()).shown
    refunds.request(plan, shown=shown, reason="Asked for.", by=None, now=bank.now())
    in_dashboard(bank, plan, 4_900)  # before our worker has sent ours

    bank.work()

    [made] = bank.refunds()
    refund = Refund.objects.get()
    assert (made[0], bank.kept_cents()) == (4_900, 0)
    assert refund.state == Refund.State.REFUSED and "at Stripe already" in refund.failure
    assert PaymentAlert.objects.get().amount_cents == 4_900


def test_of_one_that_can_never_be_granted_it_is_the_end(bank, ungranted):
    Payment.objects.all().run_now(bank.now())
    bank.work()
    assert Payment.objects.dead().exists(), "it needs a person"

    in_dashboard(bank, ungranted, 4_900)
    bank.work()

    payment = Payment.objects.get()
    assert (payment.state, payment.dead_at) == (Payment.State.REFUNDED, None)
    assert bank.kept_cents() == 0


def test_where_all_was_paid_back_there_nothing_is_left(bank, alice, plan):
    in_dashboard(bank, plan, 4_900)
    with pytest.raises(NotRefundable, match="at Stripe already"):
        preview(plan, bank.now())


def test_one_of_theirs_that_the_bank_refuses_needs_nobody_any_more(bank, alice, plan):
    made = in_dashboard(bank, plan, 1_000)
    at_stripe.fail(bank.box.world, made, "unknown")
    bank.work()
    assert PaymentAlert.objects.get().closed_because == "the bank refused it"
    assert preview(plan, bank.now()).amount_cents == 4_900


def test_one_that_comes_back_after_a_dispute_took_the_credits_asks_for_a_person(bank, alice, plan):
    """The bank took what that refund had left of the charge; the customer has neither now."""
    world = bank.box.world
    made = in_dashboard(bank, plan, 1_000)
    row = disputes.open_(world, bank.charge_of(plan))
    assert row["amount"] == 3_900
    disputes.move_on(world, row, "lost")
    bank.work()
    PaymentAlert.objects.update(closed_at=bank.now(), closed_because="seen")
    assert agree(alice) == 0

    at_stripe.fail(world, made, "unknown")
    bank.work()

    alert = PaymentAlert.objects.get()
    assert (alert.amount_cents, alert.closed_at) == (0, None)
    assert "give credits, or pay it" in alert.detail
    alert.closed_at = bank.now()
    alert.save()
    world.emit("refund.failed", made)  # told again
    bank.work()
    assert PaymentAlert.objects.get().closed_at


def test_an_early_warning_is_told_until_nothing_is_left_to_do(bank, alice, plan):
    warnings.warn(bank.box.world, bank.charge_of(plan))
    bank.work()
    alert = PaymentAlert.objects.get()
    assert (alert.kind, alert.detail) == (Kind.EARLY_WARNING, "made_with_stolen_card")
    assert alert.closed_at is None

    ask(bank, plan)
    alert.refresh_from_db()
    assert alert.closed_because == "refunded or disputed"


def test_a_warning_that_comes_after_the_dispute_is_no_news(bank, alice, plan):
    warnings.warn(bank.box.world, bank.charge_of(plan))
    disputes.open_(bank.box.world, bank.charge_of(plan))
    bank.work()
    assert not PaymentAlert.objects.filter(closed_at=None).exists()


def test_a_review_is_told_while_it_is_open(bank, alice, plan):
    row = warnings.open_review(bank.box.world, bank.charge_of(plan))
    bank.work()
    assert PaymentAlert.objects.get().kind == Kind.REVIEW
    warnings.close_review(bank.box.world, row, "approved")
    bank.work()
    assert PaymentAlert.objects.get().closed_because == "closed at Stripe"
