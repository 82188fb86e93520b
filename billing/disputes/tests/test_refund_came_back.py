"""A refund that the bank sends back, of a payment whose dispute is lost: nobody has both money and
credits, and nobody has neither."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from billing import ledger
from billing.models import Dispute, Payment, Refund
from billing.packs import requests as packs
from billing.payments import kept
from billing.refunds import requests as refunds
from billing.refunds.preview import preview
from billing.sync import contracts
from billing.tests.money_stage import Killed, agree, burn, drain_killed
from mails.models import OutboundMail
from stripe_sandbox import disputes
from stripe_sandbox import refunds as at_bank

pytestmark = pytest.mark.django_db


class Story:
    """$25.00 for 100,000 credits, some of which are spent; and what becomes of both."""

    def __init__(self, bank, customer, spent: int) -> None:
        self.bank, self.customer, self.world = bank, customer, bank.box.world
        bank.save_card(customer)
        packs.buy(
            customer=customer, amount_cents=2_500, shown_credits=100_000, key="f", now=bank.now()
        )
        bank.work()
        if spent:
            burn(bank.stage, customer, spent)
            bank.advance(minutes=5)

    @property
    def payment(self) -> Payment:
        return Payment.objects.get()

    @property
    def refund(self) -> Refund:
        return Refund.objects.get()

    def staff_refunds(self) -> None:
        shown = preview(self.payment, self.bank.now()).shown
        refunds.request(self.payment, shown=shown, reason="Asked.", by=None, now=self.bank.now())
        self.bank.work()
        assert self.refund.state == "paid_back"

    def is_disputed(self) -> None:
        self.dispute = disputes.open_(self.world, self.bank.charge_of(self.payment))
        self.bank.work()

    def is_lost(self) -> None:
        disputes.move_on(self.world, self.dispute, "lost")
        self.bank.work()

    def comes_back(self) -> None:
        [made] = self.world.store.refunds
        at_bank.fail(self.world, made, "lost_or_stolen_card")
        self.bank.work()
        assert self.refund.state == "refused"

    def gives_credits_back(self) -> None:
        refunds.call_off(self.refund, self.bank.now())
        self.bank.work()
        self.bank.advance(minutes=11)

    def sends_again(self) -> None:
        """Stripe pays nothing back of a charge that is disputed."""
        refunds.send_again(self.refund, self.bank.now())
        self.bank.work()
        self.bank.advance(minutes=11)

    def ends(self, *, credits: int, kept_cents: int, taken: int) -> None:
        """What the customer can spend, what is with us, and what the lost dispute took."""
        self.bank.advance(hours=1)
        assert agree(self.customer) == credits
        assert kept.kept_cents(self.payment) == kept_cents == self.kept_at_stripe()
        assert Dispute.objects.get().credits_taken == taken
        assert (self.payment.state, self.payment.last_error) == ("charged", "")
        assert not Refund.objects.dead().exists() and not Dispute.objects.dead().exists()

    def kept_at_stripe(self) -> int:
        return self.bank.kept_cents() + sum(
            line["amount"] for line in self.dispute["balance_transactions"]
        )


STEPS: list[list[Callable[[Story], None]]] = [
    [Story.is_lost, Story.comes_back, Story.gives_credits_back],
    [Story.is_lost, Story.comes_back, Story.sends_again],
    [Story.comes_back, Story.is_lost, Story.gives_credits_back],
    [Story.comes_back, Story.gives_credits_back, Story.is_lost],
]


@pytest.mark.parametrize("steps", STEPS, ids=lambda steps: ", ".join(s.__name__ for s in steps))
@pytest.mark.parametrize(
    ("spent", "credits", "kept_cents", "taken"),
    [
        # All was paid back, and the bank took all again: the refund that came back pays for none.
        (0, 0, 0, 100_000),
        # $15.00 were paid back, and the bank took $10.00. The $15.00 came back: they pay for 60,000
        # credits, of which 40,000 are spent.
        (40_000, 20_000, 1_500, 40_000),
        # $5.00 came back, which pay for 20,000; more is spent, and what is spent stays so.
        (80_000, 0, 500, 20_000),
    ],
)
def test_credits_follow_the_money_in_any_order(
    bank, alice, steps, spent, credits, kept_cents, taken
):
    story = Story(bank, alice, spent)
    story.staff_refunds()
    story.is_disputed()
    for step in steps:
        step(story)

    story.ends(credits=credits, kept_cents=kept_cents, taken=taken)
    assert story.refund.state == "called_off"


def test_the_mail_tells_of_the_credits_that_came_back(bank, alice):
    story = Story(bank, alice, 40_000)
    story.staff_refunds()
    for step in (Story.is_disputed, *STEPS[0]):
        step(story)

    mail = OutboundMail.objects.get(kind="payment.refund_failed", data__is_called_off=True)
    assert (mail.data["credits"], mail.data["is_disputed"]) == (20_000, True)


@pytest.mark.parametrize("step", ["set_amount", "restore"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_while_a_part_comes_back_it_comes_back_once(bank, alice, monkeypatch, step, after):
    story = Story(bank, alice, 40_000)
    for one in (Story.staff_refunds, Story.is_disputed, Story.is_lost, Story.comes_back):
        one(story)
    refunds.call_off(story.refund, bank.now())
    module = contracts if step == "set_amount" else ledger
    real = getattr(module, step)

    def dies(*args, **kwargs):
        monkeypatch.setattr(module, step, real)
        if after:
            real(*args, **kwargs)
        raise Killed

    monkeypatch.setattr(module, step, dies)
    assert drain_killed(bank.stage)
    bank.work()

    story.ends(credits=20_000, kept_cents=1_500, taken=40_000)


def test_what_the_bank_has_is_not_paid_by_hand_as_well(bank, alice):
    story = Story(bank, alice, 0)
    for one in (Story.staff_refunds, Story.is_disputed, Story.is_lost, Story.comes_back):
        one(story)

    with pytest.raises(refunds.NotPossible, match="bank has"):
        refunds.settle_by_hand(story.refund, how="a cheque", now=bank.now())

    assert story.refund.state == "refused"


def test_what_the_bank_left_may_be_paid_by_hand(bank, alice):
    story = Story(bank, alice, 40_000)
    for one in (Story.staff_refunds, Story.is_disputed, Story.is_lost, Story.comes_back):
        one(story)

    refunds.settle_by_hand(story.refund, how="a cheque", now=bank.now())
    bank.advance(hours=1)

    assert agree(alice) == 0
    assert kept.kept_cents(story.payment) == 0
