"""A charge that never got its credits, and whose dispute is won, ends as these."""

from __future__ import annotations

import pytest

from billing import metronome
from billing.disputes import flow, owed
from billing.models import (
    CreditGrant,
    Dispute,
    Payment,
    PaymentAttempt,
    PaymentMethod,
    Purchase,
    Recharge,
    Subscription,
)
from billing.packs import requests as packs
from billing.payments import pay_page, processing
from billing.payments import requests as payments
from billing.refunds import requests as refunds
from billing.refunds.preview import NotRefundable, preview
from billing.sync import contracts
from billing.tests import till as tills
from billing.tests.bank import down
from billing.tests.money_stage import Killed, agree, drain_killed, establish, save
from mails.models import OutboundMail
from stripe_sandbox import disputes

pytestmark = pytest.mark.django_db
shop, till = tills.shop, tills.till  # the fixtures


@pytest.fixture
def pack(bank, alice, monkeypatch) -> Payment:
    """$25.00 for a top-up that Metronome refuses, so that its job needs a person."""

    def refuse(*_, **__):
        raise metronome.MetronomeRejected("no such product", status=400)

    bank.save_card(alice)
    packs.buy(customer=alice, amount_cents=2_500, shown_credits=100_000, key="f", now=bank.now())
    with monkeypatch.context() as away:
        away.setattr(contracts, "grant", refuse)
        bank.work()
    assert Purchase.objects.get().dead_at
    return Payment.objects.get()


def dispute(bank, payment, *statuses, work: bool = True):
    row = disputes.open_(bank.box.world, bank.charge_of(payment))
    for status in statuses:
        if work:
            bank.work()
        disputes.move_on(bank.box.world, row, status)
    bank.work()
    return row


def granted(bank, alice, credits: int) -> Payment:
    """Nothing waits any more; the credits are on both sides, once, and the money is ours."""
    payment = Payment.objects.get()
    assert (payment.state, payment.dead_at, payment.due_at) == ("charged", None, None)
    assert payment.grant and CreditGrant.objects.count() == 1
    assert agree(alice) == payment.grant.granted == credits
    assert bank.refunds() == []
    return payment


@pytest.mark.parametrize("work", [True, False], ids=["each told", "told late"])
def test_a_plan_that_has_ended_is_paid_out_in_credits_for_a_month(bank, alice, ungranted, work):
    dispute(bank, ungranted, "under_review", "won", work=work)

    grant = granted(bank, alice, 250_000).grant
    assert 30 <= (grant.ends_at - bank.now()).days <= 31
    assert Subscription.objects.get().state == "ended"
    assert OutboundMail.objects.get(kind="payment.disputed", data__state="won").data["is_owed"]
    bank.advance(days=1)
    granted(bank, alice, 250_000)


def test_it_is_found_ungranted_only_after_the_dispute_was_won(bank, alice, ungranted):
    """Its plan was alive as the bank decided, and was ended by hand since."""
    Subscription.objects.update(state="active", plan="creator", due_at=None)
    dispute(bank, ungranted, "won")
    assert Payment.objects.get().grant is None

    Subscription.objects.update(state="ended")
    bank.advance(hours=1)

    granted(bank, alice, 250_000)


def test_staff_cannot_pay_back_what_is_just_being_granted(bank, alice, ungranted, monkeypatch):
    with monkeypatch.context() as away:
        away.setattr(contracts, "grant", down)
        dispute(bank, ungranted, "won")
        with pytest.raises(NotRefundable, match="granted by themselves"):
            preview(Payment.objects.get(), bank.now())
    bank.advance(minutes=5)
    granted(bank, alice, 250_000)


@pytest.mark.parametrize("first", ["refund", "dispute"])
def test_a_refund_that_stripe_refuses_ends_as_credits(bank, alice, ungranted, first):
    """Asked for before we hear of the dispute: Stripe pays nothing back any more."""
    found = preview(ungranted, bank.now())
    if first == "dispute":
        row = disputes.open_(bank.box.world, bank.charge_of(ungranted))
    refunds.request(ungranted, shown=found.shown, reason="Sorry.", by=None, now=bank.now())
    if first == "refund":
        row = disputes.open_(bank.box.world, bank.charge_of(ungranted))
    bank.work()
    disputes.move_on(bank.box.world, row, "won")
    bank.work()
    bank.advance(hours=1)

    granted(bank, alice, 250_000)


def test_a_top_up_that_was_given_up_goes_on(bank, alice, pack):
    found = preview(pack, bank.now())
    row = disputes.open_(bank.box.world, bank.charge_of(pack))
    refunds.request(pack, shown=found.shown, reason="Sorry.", by=None, now=bank.now())
    bank.work()
    assert Purchase.objects.get().state == "failed"

    disputes.move_on(bank.box.world, row, "won")
    bank.work()
    bank.advance(hours=1)

    granted(bank, alice, 100_000)
    purchase = Purchase.objects.get()
    assert (purchase.state, purchase.failure) == ("granted", "")
    assert 364 <= (purchase.grant.ends_at - bank.now()).days <= 365


def test_a_recharge_that_was_given_up_goes_on(bank, alice, monkeypatch):
    """Saving the settings charged it at once; Metronome refused its credits."""

    def refuse(*_, **__):
        raise metronome.MetronomeRejected("no such product", status=400)

    establish(bank.stage, alice, credits=10_000)
    with monkeypatch.context() as away:
        away.setattr(contracts, "grant", refuse)
        save(alice, bank.now(), threshold=25_000, to=110_000)
        bank.work()
    assert Recharge.objects.get().dead_at
    payment = Payment.objects.get()
    row = disputes.open_(bank.box.world, bank.charge_of(payment))
    shown = preview(payment, bank.now()).shown
    refunds.request(payment, shown=shown, reason="Sorry.", by=None, now=bank.now())
    bank.work()
    assert (Recharge.objects.get().state, Payment.objects.get().state) == ("failed", "charged")

    disputes.move_on(bank.box.world, row, "won")
    bank.work()
    bank.advance(hours=1)

    assert (Recharge.objects.get().state, Recharge.objects.get().failure) == ("granted", "")
    assert Payment.objects.get().grant == Recharge.objects.get().grant
    assert agree(alice) == 110_000


def test_what_was_won_and_granted_may_still_be_lost(bank, alice, ungranted):
    row = dispute(bank, ungranted, "won")
    granted(bank, alice, 250_000)

    disputes.move_on(bank.box.world, row, "lost")
    bank.work()

    assert agree(alice) == 0
    assert (Dispute.objects.get().credits_taken, Dispute.objects.get().state) == (250_000, "lost")


def test_what_the_bank_had_given_back_and_an_appeal_turned_is_owed_again(bank, alice, ungranted):
    row = dispute(bank, ungranted, "lost")
    assert Payment.objects.get().state == "refunded"

    bank.box.world.change(bank.box.world.store.disputes, row, status="won")
    flow.notice(ungranted, gateway="stripe", reference=row.id, now=bank.now())
    bank.work()

    granted(bank, alice, 250_000)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_while_it_is_granted_it_is_granted_once(bank, alice, ungranted, monkeypatch, after):
    real = contracts.grant

    def dies(*args, **kwargs):
        monkeypatch.setattr(contracts, "grant", real)
        if after:
            real(*args, **kwargs)
        raise Killed

    row = dispute(bank, ungranted)
    monkeypatch.setattr(contracts, "grant", dies)
    disputes.move_on(bank.box.world, row, "won")
    bank.box.tick()
    assert drain_killed(bank.stage)
    bank.work()

    granted(bank, alice, 250_000)


def test_an_upgrade_that_failed_owes_the_share_that_was_charged(alice):
    failed = Subscription(plan="pro", state="failed", paid_back_cents=4_900)
    payment = Payment(amount_cents=5_000, period=0)
    whole = Subscription(plan="pro", state="ended", paid_back_cents=4_900)
    credits = owed.plans.PLANS["pro"].credits

    assert owed.credits_owed(payment, failed) == credits * 5_000 // 9_900
    assert owed.credits_owed(payment, whole) == credits


# --- Money taken for what had ended ---------------------------------------------------------------


def paid_too_late(till, bank_takes_it: bool = True):
    """A top-up is called off while its customer pays it, and then goes to the bank."""
    page = till.go()
    payment = Payment.objects.get()
    payments.call_off(payment, failure=pay_page.LEFT, now=till.shop.now())
    till.pay(page)
    [charge] = till.shop.box.world.store.charges
    row = disputes.open_(till.shop.box.world, charge) if bank_takes_it else None
    till.work()
    return row


@pytest.mark.parametrize(("end", "credits"), [("won", 100_000), ("lost", 0)])
def test_what_was_called_off_paid_and_disputed_is_decided_by_the_bank(till, end, credits):
    row = paid_too_late(till)
    payment = Payment.objects.get()
    assert (payment.state, payment.last_error) == ("charged", "")
    keeps_no_card(till)

    disputes.move_on(till.shop.box.world, row, end)
    till.work()
    till.advance(hours=1)
    till.work()

    assert agree(till.customer) == credits
    assert Dispute.objects.get().state == end
    assert not Payment.objects.charged_not_granted().exists()


@pytest.mark.parametrize("end", ["won", "lost"])
def test_what_was_paid_back_before_it_was_disputed_ends_as_that(till, end):
    """Stripe has paid it back and answered 500, which it repeats until it forgets the key."""
    till.shop.box.faults.add("/v1/refunds", "error_after", status=500, times=1)
    paid_too_late(till, bank_takes_it=False)
    [charge] = till.shop.box.world.store.charges
    assert charge["amount_refunded"] and not PaymentAttempt.objects.get().refund_reference
    row = disputes.open_(till.shop.box.world, charge)
    till.work()
    till.advance(hours=25)
    till.work()

    disputes.move_on(till.shop.box.world, row, end)
    till.work()
    till.advance(hours=1)
    till.work()

    [refund] = till.shop.box.world.store.refunds
    assert PaymentAttempt.objects.get().refund_reference == refund.id
    assert Payment.objects.get().state == "failed"
    assert agree(till.customer) == 0


def test_what_was_given_up_here_paid_and_disputed_keeps_no_card(till):
    """A page that we could not close, as if we had never heard that it was opened."""
    page = till.go()
    Payment.objects.cancel(state="failed", failure="An operator gave it up.")
    PaymentAttempt.objects.update(outcome="cancelled")
    till.work()
    assert Purchase.objects.get().state == "failed"
    till.pay(page)
    row = disputes.open_(till.shop.box.world, *till.shop.box.world.store.charges)
    till.work()
    payment = Payment.objects.get()
    assert (payment.state, payment.last_error) == ("charged", "")
    keeps_no_card(till)

    disputes.move_on(till.shop.box.world, row, "won")
    till.work()
    till.advance(hours=1)
    till.work()

    assert agree(till.customer) == 100_000
    assert Purchase.objects.get().state == "granted"


def keeps_no_card(till) -> None:
    """The card that was typed in for what had ended is not kept, here or at Stripe."""
    assert not PaymentMethod.objects.exists()
    assert not [one for one in till.shop.box.world.store.payment_methods if one["customer"]]


def test_an_attempt_that_had_ended_is_taken_if_the_payment_failed(bank, alice, ungranted):
    """We learn of it by an event only: the payment had failed long ago."""
    Payment.objects.update(state="failed", failure="It was called off.", due_at=None)
    PaymentAttempt.objects.update(outcome="cancelled")
    row = dispute(bank, ungranted)
    arrive_again(bank, ungranted)
    assert Payment.objects.get().state == "charged"
    assert PaymentAttempt.objects.get().outcome == "paid"

    disputes.move_on(bank.box.world, row, "won")
    bank.work()

    granted(bank, alice, 250_000)


def arrive_again(bank, payment) -> None:
    intent = bank.box.world.store.payment_intents[payment.gateway_reference]
    bank.box.world.emit("payment_intent.succeeded", intent)
    bank.work()


def test_nobody_is_asked_of_what_the_bank_decides(bank, alice, ungranted):
    dispute(bank, ungranted)
    assert processing.advance(Payment.objects.get(), bank.now()) > bank.now()
