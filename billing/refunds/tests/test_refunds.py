"""Refunds by staff against both sandboxes: what is paid back, what is taken, how each ends."""

from __future__ import annotations

from datetime import timedelta

import pytest

from billing import ledger, metronome
from billing.models import (
    AutoRecharge,
    CreditGrant,
    Dispute,
    Payment,
    PaymentAttempt,
    Purchase,
    Refund,
    Subscription,
    Wallet,
)
from billing.packs import requests as packs
from billing.refunds import flow
from billing.refunds import requests as refunds
from billing.refunds.preview import NotRefundable, preview
from billing.subscriptions import choose
from billing.sync import contracts
from billing.tests.money_stage import (
    Killed,
    agree,
    balance,
    burn,
    drain_killed,
    save,
    select,
)
from mails.models import OutboundMail
from stripe_sandbox import disputes
from stripe_sandbox import refunds as at_bank

pytestmark = pytest.mark.django_db
State = Refund.State


@pytest.fixture
def plan(bank, alice) -> Payment:
    """A Creator plan, $49.00 for 250,000 credits, charged and granted."""
    bank.save_card(alice)
    select(alice, "creator", bank.now())
    bank.work()
    payment = Payment.objects.get()
    assert payment.grant
    return payment


def top_up(bank, customer, cents: int = 2_500, key: str = "form-1") -> Payment:
    shown = packs.preview(customer=customer, amount_cents=cents, now=bank.now())
    bought = packs.buy(
        customer=customer,
        amount_cents=cents,
        shown_credits=shown.credits,
        key=key,
        now=bank.now(),
    )
    bank.work()
    bought.refresh_from_db()
    assert bought.state == Purchase.State.GRANTED, bought.last_error
    return Payment.objects.get(pk=bought.payment_id)


def ask(bank, payment: Payment, by=None, reason: str = "You asked for it.") -> Refund:
    found = preview(Payment.objects.get(pk=payment.pk), bank.now())
    return refunds.request(payment, shown=found.shown, reason=reason, by=by, now=bank.now())


def why_not(bank, payment: Payment) -> str:
    with pytest.raises(NotRefundable) as refused:
        preview(Payment.objects.get(pk=payment.pk), bank.now())
    return str(refused.value)


def only() -> Refund:
    return Refund.objects.get()


# --- How much -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spent", "reserved", "cents", "credits"),
    [
        (0, 0, 4_900, 250_000),
        (125_000, 0, 2_450, 125_000),
        (100_000, 50_000, 1_960, 100_000),  # what is reserved is not left
        (83_333, 0, 3_266, 166_667),  # 3266.67 down
        (1, 0, 4_899, 249_999),
        (249_900, 0, 1, 100),  # 1.96 cents
    ],
)
def test_the_share_of_the_price_that_is_left_in_credits(
    bank, alice, plan, spent, reserved, cents, credits
):
    if spent:
        burn(bank.stage, alice, spent)
        bank.work()
    if reserved:
        wallet = Wallet.objects.get()
        ledger.reserve(wallet_id=wallet.pk, key="r", amount=reserved, now=bank.now())

    found = preview(plan, bank.now())
    assert (found.amount_cents, found.credits) == (cents, credits)
    ask(bank, plan)
    assert Wallet.objects.get().available == 0
    bank.work()

    refund = only()
    assert (refund.state, refund.amount_cents, refund.credits) == (State.PAID_BACK, cents, credits)
    assert bank.refunds() == [(cents, "succeeded")]
    assert bank.kept_cents() == 4_900 - cents
    assert agree(alice) == 250_000 - spent - credits
    assert Payment.objects.get().state == Payment.State.REFUNDED


@pytest.mark.parametrize("spent", [250_000, 249_950])
def test_where_no_cent_is_left_nothing_is_refunded(bank, alice, plan, spent):
    burn(bank.stage, alice, spent)
    assert why_not(bank, plan).startswith("Nothing is left to pay back")


def test_after_an_upgrade_no_more_is_paid_back_than_was_charged(bank, alice, plan):
    """The old payment gave its share to the new plan, so only the rest of it is left."""
    burn(bank.stage, alice, 125_000)
    bank.work()
    select(alice, "pro", bank.now(), key="form-2")
    bank.work()
    new = Payment.objects.exclude(pk=plan.pk).get()
    assert new.amount_cents == 14_900 - 2_450
    assert why_not(bank, plan).startswith("Nothing is left")

    found = preview(new, bank.now())
    assert (found.price_cents, found.amount_cents) == (14_900, 12_450)
    burn(bank.stage, alice, 500_000)
    assert preview(new, bank.now()).amount_cents == 7_450  # half of the price
    ask(bank, new)
    bank.work()
    assert bank.kept_cents() == 4_900 + 12_450 - 7_450
    assert not Subscription.objects.live().exists()


def test_a_pack_is_refunded_like_a_plan_and_the_plan_goes_on(bank, alice, plan):
    pack = top_up(bank, alice)
    burn(bank.stage, alice, 250_000 + 25_000)  # the plan's first
    bank.work()

    found = preview(pack, bank.now())
    assert (found.amount_cents, found.credits, found.ends) == (1_875, 75_000, None)
    ask(bank, pack)
    bank.work()

    assert agree(alice) == 0
    assert choose.current_plan(alice)
    assert bank.refunds() == [(1_875, "succeeded")]


# --- What ends with it ----------------------------------------------------------------------------


def test_the_plan_ends_at_once_and_nothing_is_charged_afterwards(bank, alice, plan):
    save(alice, bank.now(), threshold=25_000, to=200_000)
    bank.work()
    assert preview(plan, bank.now()).switches_recharge_off

    ask(bank, plan)

    row = Subscription.objects.get()
    assert (row.state, row.due_at) == (Subscription.State.ENDED, None)
    assert not AutoRecharge.objects.get().enabled
    bank.advance(days=70)
    assert bank.kept_cents() == 0
    assert Payment.objects.count() == 1


def test_the_customer_is_told_once(bank, alice, plan):
    ask(bank, plan)
    bank.work()
    bank.advance(hours=1)

    mail = OutboundMail.objects.get(kind="payment.refunded")
    assert (mail.data["amount_cents"], mail.data["credits"]) == (4_900, 250_000)
    assert alice.banners.filter(kind="payment.refunded", closed_at=None).count() == 1
    assert OutboundMail.objects.get(kind="plan.ended").data["reason"] == "refunded"


# --- Once, and only as it was shown ---------------------------------------------------------------


def test_a_payment_is_refunded_once(bank, alice, plan, staff):
    found = preview(plan, bank.now())
    ask(bank, plan, by=staff)
    assert only().by == staff
    for _ in range(2):
        with pytest.raises(NotRefundable, match="once"):
            refunds.request(plan, shown=found.shown, reason="again", by=None, now=bank.now())
        bank.work()
    assert bank.refunds() == [(4_900, "succeeded")]


def test_what_has_changed_since_it_was_shown_is_shown_anew(bank, alice, plan):
    found = preview(plan, bank.now())
    burn(bank.stage, alice, 125_000)

    with pytest.raises(refunds.NotAgreed) as refused:
        refunds.request(plan, shown=found.shown, reason="r", by=None, now=bank.now())

    assert refused.value.preview.amount_cents == 2_450
    assert not Refund.objects.exists()
    assert Payment.objects.get().state == Payment.State.CHARGED
    assert choose.current_plan(alice) and balance(alice) == 125_000


def test_not_while_another_plan_is_set_up_nor_without_a_charge(bank, alice, plan):
    select(alice, "pro", bank.now(), key="form-2")
    assert "being set up" in why_not(bank, plan)
    bank.work()
    Payment.objects.filter(pk=plan.pk).update(state="failed", grant=None)
    assert why_not(bank, plan) == "Nothing is to be paid back: the payment is failed."


# --- Killed, lost and refused ---------------------------------------------------------------------

CALLS = {
    "before Metronome": (contracts, "set_amount"),
    "before Stripe": (flow, "_sent"),
    "before it is settled": (flow, "_settle"),
}


@pytest.mark.parametrize("point", CALLS)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_any_point_it_is_paid_back_once(bank, alice, plan, monkeypatch, point, after):
    module, name = CALLS[point]
    real = getattr(module, name)

    def dies(*args, **kwargs):
        monkeypatch.setattr(module, name, real)
        if after:
            real(*args, **kwargs)
        raise Killed

    ask(bank, plan)
    monkeypatch.setattr(module, name, dies)
    assert drain_killed(bank.stage)
    bank.work()

    assert only().state == State.PAID_BACK
    assert bank.refunds() == [(4_900, "succeeded")]
    assert agree(alice) == 0
    assert OutboundMail.objects.filter(kind="payment.refunded").count() == 1


@pytest.mark.parametrize("hours", [0, 19, 21, 72])
@pytest.mark.parametrize("trouble", ["timeout_before", "timeout_after", "error_after"])
def test_an_answer_that_got_lost_pays_back_once(bank, alice, plan, trouble, hours):
    bank.box.faults.add("/v1/refunds", trouble, times=1)
    ask(bank, plan)
    bank.stage.drain()
    assert only().state == State.TAKEN_BACK
    if hours:
        Refund.objects.all().schedule(bank.now() + timedelta(hours=hours))
        bank.advance(hours=hours)
    bank.advance(minutes=10)

    assert only().state == State.PAID_BACK
    assert bank.refunds() == [(4_900, "succeeded")]


def test_what_the_bank_refuses_days_later_comes_back_before_a_person(bank, alice, plan):
    ask(bank, plan)
    bank.work()
    bank.advance(days=3)
    [made] = bank.box.world.store.refunds
    at_bank.fail(bank.box.world, made, "expired_or_canceled_card")
    bank.work()

    refund = only()
    assert refund.state == State.REFUSED
    assert "expired or canceled card" in refund.failure
    assert Payment.objects.get().state == Payment.State.REFUNDING
    assert balance(alice) == 0  # the customer is still owed the money

    assert told(alice) == ["payment.refunded", "payment.refund_failed"]
    bank.advance(days=1)
    assert told(alice)[2:] == []

    refunds.send_again(refund, bank.now())
    bank.work()
    assert only().state == State.PAID_BACK
    assert bank.refunds() == [(4_900, "failed"), (4_900, "succeeded")]
    assert only().number == 2
    assert told(alice) == ["payment.refunded", "payment.refund_failed", "payment.refunded"]
    assert banners_of(alice) == ["payment.refunded"]


def told(customer) -> list[str]:
    """What its customer was told of the refund, by mail and in this order."""
    mails = OutboundMail.objects.filter(user=customer.user, kind__startswith="payment.refund")
    return list(mails.order_by("created_at", "pk").values_list("kind", flat=True))


def banners_of(customer) -> list[str]:
    shown = customer.banners.filter(kind__startswith="payment.refund", closed_at=None)
    return list(shown.values_list("kind", flat=True))


def came_back(bank, payment) -> Refund:
    ask(bank, payment)
    bank.work()
    [made] = bank.box.world.store.refunds
    at_bank.fail(bank.box.world, made, "expired_or_canceled_card")
    bank.work()
    return only()


def test_what_came_back_may_be_paid_by_hand(bank, alice, plan):
    refund = came_back(bank, plan)
    refunds.settle_by_hand(refund, how="bank transfer 17", now=bank.now())

    assert (only().state, only().failure) == (State.PAID_BACK, "Paid by hand: bank transfer 17")
    assert sorted(told(alice)) == [
        "payment.refund_failed",
        "payment.refunded",
        "payment.refunded",
    ]
    assert OutboundMail.objects.filter(data__how="bank transfer 17").count() == 1
    assert Payment.objects.get().state == Payment.State.REFUNDED
    with pytest.raises(refunds.NotPossible):
        refunds.send_again(only(), bank.now())


def test_what_came_back_may_be_called_off_and_its_credits_return(bank, alice, plan):
    refund = came_back(bank, plan)
    refunds.call_off(refund, bank.now())
    bank.work()

    assert only().state == State.CALLED_OFF
    assert agree(alice) == 250_000
    told_of = OutboundMail.objects.get(kind="payment.refund_failed", data__is_called_off=True)
    assert (told_of.data["credits"], told_of.data["is_plan"]) == (250_000, True)
    payment = Payment.objects.get()
    assert (payment.state, payment.failure, payment.grant_id) == ("charged", "", plan.grant_id)
    assert payment.settled_at
    assert not choose.current_plan(alice)  # a plan that ended stays so
    ask(bank, plan)
    bank.work()
    assert bank.kept_cents() == 0 and agree(alice) == 0


@pytest.mark.parametrize("step", ["set_amount", "restore"])
def test_killed_while_credits_are_given_back_they_come_back_once(
    bank, alice, plan, monkeypatch, step
):
    refund = came_back(bank, plan)
    refunds.call_off(refund, bank.now())
    module = contracts if step == "set_amount" else ledger
    real = getattr(module, step)

    def dies(*args, **kwargs):
        monkeypatch.setattr(module, step, real)
        real(*args, **kwargs)
        raise Killed

    monkeypatch.setattr(module, step, dies)
    assert drain_killed(bank.stage)
    bank.work()
    assert agree(alice) == 250_000
    assert only().state == State.CALLED_OFF


def test_a_disputed_charge_is_left_to_the_dispute(bank, alice, plan):
    bank.box.world.webhooks.clear()  # we do not know of it
    disputes.open_(bank.box.world, bank.charge_of(plan))
    ask(bank, plan)
    bank.work()

    refund = only()
    assert refund.state == State.CALLED_OFF
    assert "dispute" in refund.failure
    assert (bank.refunds(), agree(alice)) == ([], 250_000)

    Dispute.objects.create(
        payment=plan,
        customer=alice,
        gateway="stripe",
        reference="dp_1",
        state="withdrawn",
        created_at=bank.now(),
    )
    assert "Leave it to the dispute" in why_not(bank, plan)


# --- Credits that can never be granted ------------------------------------------------------------


def test_a_pack_whose_credits_can_never_be_granted_is_paid_back_whole(
    bank, alice, plan, monkeypatch
):
    def refuse(*args, **kwargs):
        raise metronome.MetronomeRejected("no such product", status=400)

    monkeypatch.setattr(metronome, "add_grant", refuse)
    packs.buy(customer=alice, amount_cents=2_500, shown_credits=100_000, key="f", now=bank.now())
    bank.work()
    purchase = Purchase.objects.get()
    assert purchase.dead_at and purchase.payment.state == "charged"

    found = preview(purchase.payment, bank.now())
    assert (found.amount_cents, found.credits, found.grant) == (2_500, 0, None)
    ask(bank, purchase.payment, reason="Its credits could not be granted.")
    bank.work()

    purchase.refresh_from_db()
    assert (purchase.state, purchase.dead_at, purchase.due_at) == ("failed", None, None)
    assert purchase.payment.state == Payment.State.REFUNDED
    assert bank.kept_cents() == 4_900
    bank.advance(days=1)
    assert agree(alice) == 250_000


def test_credits_on_their_way_are_not_paid_back(bank, alice, plan, monkeypatch):
    monkeypatch.setattr(
        metronome,
        "add_grant",
        lambda **_: (_ for _ in ()).throw(metronome.MetronomeUnavailable("away")),
    )
    packs.buy(customer=alice, amount_cents=2_500, shown_credits=100_000, key="f", now=bank.now())
    bank.work()
    payment = Purchase.objects.get().payment
    assert payment.state == "charged"
    assert "on their way" in why_not(bank, payment)


def test_credits_that_are_at_metronome_after_all_are_found_before_anything_is_paid(
    bank, alice, plan, monkeypatch
):
    payment = top_up(bank, alice)
    grant_id = payment.grant_id
    # We lost its grant: as if the worker had died before it was mirrored, and given up since.
    Payment.objects.filter(pk=payment.pk).update(grant=None)
    Purchase.objects.update(state="charged", grant=None, dead_at=bank.now(), due_at=bank.now())
    CreditGrant.objects.filter(pk=grant_id).update(key="unknown")
    ask(bank, payment)
    bank.work()

    refund = only()
    assert (refund.state, refund.failure) == (State.CALLED_OFF, flow.CREDITS_ARE_THERE)
    assert bank.refunds() == []
    assert Payment.objects.get(pk=payment.pk).dead_at


def end_before_it_is_noted(bank, payment: Payment) -> None:
    """As if the worker had died between granting and noting that, and the plan had ended since."""
    Payment.objects.filter(pk=payment.pk).update(grant=None, due_at=bank.now(), dead_at=bank.now())
    Subscription.objects.update(state="ended", ended_at=bank.now(), due_at=None)


def test_a_plan_that_ended_before_its_credits_were_noted_is_not_paid_back_beside_them(
    bank, alice, plan
):
    end_before_it_is_noted(bank, plan)

    assert why_not(bank, plan) == "Its credits are there: press Retry on the payment."
    Payment.objects.all().run_now(bank.now())
    bank.work()

    payment = Payment.objects.get()
    assert (payment.state, payment.grant_id, payment.dead_at) == ("charged", plan.grant_id, None)
    found = ask(bank, payment)
    bank.work()
    assert (found.amount_cents, found.credits) == (4_900, 250_000)
    assert agree(alice) == 0 and bank.kept_cents() == 0


def test_credits_of_a_plan_of_which_only_metronome_knows_are_found_before_it_is_paid_back(
    bank, alice, plan
):
    key = CreditGrant.objects.get().key
    end_before_it_is_noted(bank, plan)
    CreditGrant.objects.update(key="not read yet")
    ask(bank, plan)
    bank.work()

    refund = only()
    assert (refund.state, refund.failure) == (State.CALLED_OFF, flow.CREDITS_ARE_THERE)
    assert bank.refunds() == []
    CreditGrant.objects.update(key=key)
    Payment.objects.all().run_now(bank.now())
    bank.work()
    assert Payment.objects.get().grant_id == plan.grant_id


def test_the_attempt_that_was_paid_is_the_one_refunded(bank, alice, plan):
    ask(bank, plan)
    PaymentAttempt.objects.update(outcome="cancelled")
    bank.work()
    assert only().dead_at and only().last_error.endswith("took nothing for this payment")
    refunds.call_off(only(), bank.now())
    bank.work()
    assert only().state == State.CALLED_OFF
    assert agree(alice) == 250_000
