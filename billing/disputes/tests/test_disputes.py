"""Disputes over their whole lives, against both sandboxes; their events in any order and twice."""

from __future__ import annotations

import random

import pytest

from billing import ledger
from billing import recharge as recharges
from billing.disputes import flow
from billing.inbox import receive
from billing.models import (
    AutoRecharge,
    CreditGrant,
    Dispute,
    InboundWebhook,
    Payment,
    Refund,
    Subscription,
    Wallet,
)
from billing.packs import requests as packs
from billing.refunds import requests as refunds
from billing.refunds.preview import preview
from billing.subscriptions import choose
from billing.sync import contracts
from billing.tests.bank import down
from billing.tests.money_stage import Killed, agree, balance, burn, drain_killed, save, select
from mails.models import OutboundMail
from stripe_sandbox import disputes

pytestmark = pytest.mark.django_db
State = Dispute.State


@pytest.fixture
def plan(bank, alice) -> Payment:
    """A Creator plan, $49.00 for 250,000 credits, with auto-recharge on."""
    bank.save_card(alice)
    select(alice, "creator", bank.now())
    bank.work()
    save(alice, bank.now(), threshold=25_000, to=200_000)
    bank.work()
    return Payment.objects.get()


def open_dispute(bank, payment, **fields):
    row = disputes.open_(bank.box.world, bank.charge_of(payment), **fields)
    bank.work()
    return row


def move_on(bank, row, status: str) -> None:
    disputes.move_on(bank.box.world, row, status)
    bank.work()


def facts(customer) -> dict:
    """What a dispute may change, for comparing two lives."""
    wallet = Wallet.objects.get(customer=customer)
    plan = Subscription.objects.get(customer=customer)
    dispute = Dispute.objects.get()
    return {
        "state": dispute.state,
        "taken": dispute.credits_taken,
        "frozen": bool(wallet.frozen_at),
        "balance": wallet.balance,
        "recharge": getattr(AutoRecharge.objects.first(), "enabled", None),
        "next_plan": plan.next_plan,
        "plan": plan.state,
    }


def held(**changed) -> dict:
    return {
        "state": "withdrawn",
        "taken": None,
        "frozen": True,
        "balance": 250_000,
        "recharge": False,
        "next_plan": "none",
        "plan": "active",
    } | changed


# --- What each state does -------------------------------------------------------------------------


def test_withdrawn_money_holds_everything_that_costs(bank, alice, plan):
    open_dispute(bank, plan)

    assert facts(alice) == held()
    with pytest.raises(ledger.WalletFrozen):
        ledger.reserve(wallet_id=Wallet.objects.get().pk, key="k", amount=1, now=bank.now())
    with pytest.raises(choose.OnHold):
        select(alice, "creator", bank.now(), key="again")
    with pytest.raises(choose.OnHold):
        select(alice, "pro", bank.now(), key="more")
    with pytest.raises(packs.PurchaseRefused, match="on hold"):
        packs.preview(customer=alice, amount_cents=2_500, now=bank.now())
    assert recharges.why_not_on(alice).startswith("Your credits are on hold")
    assert flow.holding(alice.pk) == Dispute.objects.get()
    bank.advance(days=40)
    assert Payment.objects.count() == 1
    assert Subscription.objects.get().state == "ended"
    assert OutboundMail.objects.get(kind="plan.ended").data["reason"] == "disputed"


def test_a_plan_that_is_just_beginning_is_not_renewed(bank, alice, monkeypatch):
    row = disputed_before_its_credits(bank, alice, monkeypatch)

    assert row["status"] == "needs_response"
    assert facts(alice) == held(recharge=None)
    bank.advance(days=40)
    assert Payment.objects.count() == 1
    assert Subscription.objects.get().state == "ended"


def test_credits_that_come_after_it_was_lost_go_too(bank, alice, monkeypatch):
    disputed_before_its_credits(bank, alice, monkeypatch, then="lost")

    bank.advance(minutes=2)

    assert facts(alice) == held(state="lost", taken=250_000, balance=0, recharge=None)
    agree(alice)


@pytest.mark.parametrize(("end", "state"), [("lost", "refunded"), ("won", "charged")])
def test_a_charge_that_is_never_granted_waits_for_the_bank(bank, ungranted, end, state):
    """Lost, it is refunded; won, it ends as its credits. Nobody is asked."""
    row = open_dispute(bank, ungranted)
    Payment.objects.update(due_at=bank.now(), dead_at=bank.now())  # it was found ungranted before

    Dispute.objects.all().run_now(bank.now(), state=State.INQUIRY)
    bank.work()
    assert not Payment.objects.get().dead_at
    move_on(bank, row, end)

    payment = Payment.objects.get()
    assert (payment.state, payment.dead_at, payment.due_at) == (state, None, None)
    assert bool(payment.grant) == (end == "won")


@pytest.mark.parametrize("is_read", [True, False])
def test_credits_that_nobody_has_noted_go_with_the_money(bank, alice, plan, is_read):
    """The worker that granted them was killed before it noted them, and the plan has ended since.
    Another one may have read them from Metronome, or not yet."""
    key = CreditGrant.objects.get().key
    Subscription.objects.update(state="ended", ended_at=bank.now(), due_at=None)
    Payment.objects.filter(pk=plan.pk).update(grant=None, due_at=bank.now())
    if not is_read:
        CreditGrant.objects.update(key="not read yet")
    move_on(bank, open_dispute(bank, plan), "lost")
    if not is_read:
        payment = Payment.objects.get()
        assert (payment.state, payment.dead_at) == ("charged", None)
        CreditGrant.objects.update(key=key)
        bank.advance(hours=1)

    assert Dispute.objects.get().credits_taken == 250_000
    assert Payment.objects.get().grant_id == plan.grant_id
    assert agree(alice) == 0


def disputed_before_its_credits(bank, alice, monkeypatch, then=""):
    """The bank takes the first month's money while Metronome does not answer. Then it does."""
    bank.save_card(alice)
    select(alice, "creator", bank.now())
    with monkeypatch.context() as away:
        away.setattr(contracts, "grant", down)
        bank.work()
        row = open_dispute(bank, Payment.objects.get())
        if then:
            move_on(bank, row, then)
    bank.advance(minutes=10)
    return row


def test_an_inquiry_only_marks(bank, alice, plan):
    row = open_dispute(bank, plan, is_inquiry=True)
    untouched = held(state="inquiry", frozen=False, recharge=True, next_plan="")
    assert facts(alice) == untouched
    assert alice.banners.filter(kind="payment.disputed", closed_at=None).count() == 1

    move_on(bank, row, "warning_closed")
    assert facts(alice) == untouched | {"state": "closed"}
    assert not alice.banners.filter(kind="payment.disputed", closed_at=None).exists()


def test_an_inquiry_that_becomes_a_dispute_holds(bank, alice, plan):
    row = open_dispute(bank, plan, is_inquiry=True)
    move_on(bank, row, "needs_response")
    assert facts(alice) == held()


def test_a_won_dispute_unfreezes_and_nothing_that_costs_comes_back_by_itself(bank, alice, plan):
    row = open_dispute(bank, plan)
    move_on(bank, row, "under_review")
    move_on(bank, row, "won")

    assert facts(alice) == held(state="won", frozen=False)
    assert agree(alice) == 250_000
    select(alice, "creator", bank.now(), key="go on")  # the customer's word
    assert Subscription.objects.get().next_plan == ""
    assert [mail.data["state"] for mail in told()] == ["withdrawn", "won"]
    assert not alice.banners.filter(kind="payment.disputed", closed_at=None).exists()


def told():
    return OutboundMail.objects.filter(kind="payment.disputed").order_by("created_at", "key")


@pytest.mark.parametrize(("spent", "left"), [(0, 250_000), (200_000, 50_000), (250_000, 0)])
def test_a_lost_one_takes_what_is_left_and_never_more(bank, alice, plan, spent, left):
    recharges.switch_off(customer_id=alice.pk, now=bank.now())
    if spent:
        burn(bank.stage, alice, spent)
        bank.work()
    row = open_dispute(bank, plan)
    move_on(bank, row, "lost")

    dispute = Dispute.objects.get()
    assert (dispute.credits_taken, dispute.taken_at is not None) == (left, True)
    assert agree(alice) == 0
    wallet = Wallet.objects.get()
    assert wallet.frozen_by == [dispute.hold]
    ledger.set_frozen(wallet_id=wallet.pk, frozen=False, now=bank.now())  # by staff only
    bank.advance(days=1)
    assert not Wallet.objects.get().frozen_at


def test_only_the_credits_of_that_payment_go(bank, alice, plan):
    packs.buy(customer=alice, amount_cents=2_500, shown_credits=100_000, key="f", now=bank.now())
    bank.work()
    row = open_dispute(bank, plan)
    move_on(bank, row, "lost")
    assert agree(alice) == 100_000


def test_what_was_reserved_before_is_waited_for(bank, alice, plan):
    wallet = Wallet.objects.get()
    reserved = ledger.reserve(wallet_id=wallet.pk, key="r", amount=1_000, now=bank.now())
    row = open_dispute(bank, plan)
    move_on(bank, row, "lost")
    assert (balance(alice), Dispute.objects.get().credits_taken) == (250_000, None)

    ledger.capture(reservation_id=reserved.id, now=bank.now(), amount=400)
    bank.advance(minutes=2)
    assert (balance(alice), Dispute.objects.get().credits_taken) == (0, 249_600)


def test_what_is_reserved_of_a_wallet_that_staff_has_unfrozen_goes_once_it_is_free(
    bank, alice, plan
):
    wallet = Wallet.objects.get()
    row = open_dispute(bank, plan)
    flow.unfreeze(alice.pk, bank.now())
    reserved = ledger.reserve(wallet_id=wallet.pk, key="r", amount=1_000, now=bank.now())
    move_on(bank, row, "lost")
    dispute = Dispute.objects.get()
    assert (balance(alice), dispute.credits_taken, dispute.taken_at) == (1_000, 249_000, None)

    ledger.capture(reservation_id=reserved.id, now=bank.now(), amount=400)
    bank.advance(minutes=2)

    assert (balance(alice), Dispute.objects.get().credits_taken) == (0, 249_600)
    assert Dispute.objects.get().taken_at and CreditGrant.objects.get().granted == 400


def test_a_bank_may_take_back_what_was_won(bank, alice, plan):
    row = open_dispute(bank, plan)
    move_on(bank, row, "won")
    move_on(bank, row, "lost")
    assert facts(alice) == held(state="lost", balance=0, taken=250_000)


# --- Whose freeze it is ---------------------------------------------------------------------------


def test_a_lost_one_takes_what_a_refund_gives_back_only_afterwards(bank, alice, plan):
    """The bank has decided before the refund has found out that it cannot pay anything back."""
    found = preview(plan, bank.now())
    refunds.request(plan, shown=found.shown, reason="Asked.", by=None, now=bank.now())
    row = disputes.open_(bank.box.world, bank.charge_of(plan))
    disputes.move_on(bank.box.world, row, "lost")
    dispute = flow.notice(plan, gateway="stripe", reference=row.id, now=bank.now())
    assert flow.advance(dispute, bank.now()), "waits for the credits"

    bank.work()
    bank.advance(minutes=11)

    assert Refund.objects.get().state == "called_off"
    assert Dispute.objects.get().credits_taken == 250_000
    assert agree(alice) == 0


def test_a_won_dispute_leaves_what_staff_has_frozen(bank, alice, plan):
    wallet = Wallet.objects.get()
    ledger.set_frozen(wallet_id=wallet.pk, frozen=True, now=bank.now())
    row = open_dispute(bank, plan)
    assert len(Wallet.objects.get().frozen_by) == 2
    move_on(bank, row, "won")

    wallet.refresh_from_db()
    assert (wallet.frozen_by, wallet.frozen_at is not None) == (["staff"], True)
    assert flow.holding(alice.pk) is None


def test_two_disputes_hold_each_by_itself(bank, alice, plan):
    packs.buy(customer=alice, amount_cents=2_500, shown_credits=100_000, key="f", now=bank.now())
    bank.work()
    first = open_dispute(bank, plan)
    second = open_dispute(bank, Payment.objects.get(kind="pack"))
    move_on(bank, first, "won")
    assert Wallet.objects.get().frozen_at
    move_on(bank, second, "won")
    assert not Wallet.objects.get().frozen_at


def test_staff_may_unfreeze_before_the_bank_decides(bank, alice, plan):
    row = open_dispute(bank, plan)
    ledger.set_frozen(wallet_id=Wallet.objects.get().pk, frozen=False, now=bank.now())
    move_on(bank, row, "under_review")
    assert not Wallet.objects.get().frozen_at
    move_on(bank, row, "lost")
    assert not Wallet.objects.get().frozen_at
    assert balance(alice) == 0


# --- Events in any order --------------------------------------------------------------------------

LIVES = {
    "won": (False, ["under_review", "won"]),
    "lost": (False, ["under_review", "lost"]),
    "lost at once": (False, ["lost"]),
    "lost after it was won": (False, ["won", "lost"]),
    "inquiry": (True, ["warning_under_review", "warning_closed"]),
    "inquiry that grows": (True, ["needs_response", "lost"]),
}


def arrive(bank, event) -> None:
    """One event arrives, once more if it did before."""
    InboundWebhook.objects.filter(event_id=event.id).delete()
    payload = dict(event.body)
    receive.store(source=InboundWebhook.Source.STRIPE, payload=payload, now=bank.now())
    bank.stage.drain()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("life", LIVES)
def test_events_in_any_order_and_twice_end_the_same(bank, alice, plan, life, seed):
    is_inquiry, moves = LIVES[life]
    bank.box.world.webhooks.clear()
    dice, world = random.Random(seed), bank.box.world
    before = {event.id for event in world.store.events}

    def maybe_arrive() -> None:
        events = [event for event in world.store.events if event.id not in before]
        for event in dice.sample(events, dice.randint(0, min(2, len(events)))):
            arrive(bank, event)

    row = disputes.open_(world, bank.charge_of(plan), is_inquiry=is_inquiry)
    for status in moves:
        maybe_arrive()
        disputes.move_on(world, row, status)
    events = [event for event in world.store.events if event.id not in before]
    for event in dice.sample(events, len(events)) + events[::-1]:
        arrive(bank, event)

    ends = {
        "won": held(state="won", frozen=False),
        "inquiry": held(state="closed", frozen=False, recharge=True, next_plan=""),
    }
    assert facts(alice) == ends.get(life, held(state="lost", balance=0, taken=250_000))
    assert {one.last_error for one in InboundWebhook.objects.all()} == {""}
    states = [mail.data["state"] for mail in told()]
    assert len(states) == len(set(states))
    assert agree(alice) == facts(alice)["balance"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("name", ["set_amount", "reduce"])
def test_killed_while_credits_are_taken_they_go_once(bank, alice, plan, monkeypatch, name, after):
    module = contracts if name == "set_amount" else ledger
    row, real = open_dispute(bank, plan), getattr(module, name)

    def dies(*args, **kwargs):
        monkeypatch.setattr(module, name, real)
        if after:
            real(*args, **kwargs)
        raise Killed

    disputes.move_on(bank.box.world, row, "lost")
    bank.box.tick()
    monkeypatch.setattr(module, name, dies)
    assert drain_killed(bank.stage)
    bank.work()
    assert agree(alice) == 0
    assert Dispute.objects.get().credits_taken == 250_000


def test_a_dispute_of_nobody_is_left_alone(bank, alice, plan):
    event = InboundWebhook.objects.create(
        source="stripe",
        event_id="evt_x",
        type="charge.dispute.created",
        payload={"data": {"object": {"id": "dp_1", "object": "dispute"}}},
        received_at=bank.now(),
        due_at=bank.now(),
    )
    bank.work()
    event.refresh_from_db()
    assert event.outcome == "ignored: no payment of ours"


def test_a_charge_whose_answer_got_lost_is_found_by_its_metadata(bank, alice, plan):
    plan.tries.update(gateway_reference="")
    open_dispute(bank, plan)
    assert Dispute.objects.get().payment == plan
