"""A refund asked for, spent against and worked on in many threads at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from django.db import close_old_connections, connection

from billing import ledger
from billing.models import CreditGrant, Payment, PaymentAttempt, Refund, Wallet
from billing.payments import gateways
from billing.refunds import flow
from billing.refunds import requests as refunds
from billing.refunds.preview import NotRefundable, preview
from conftest import fund
from jobs.errors import Snooze
from mails.models import OutboundMail

pytestmark = pytest.mark.django_db(transaction=True)


def together(act, times: int = 8) -> list:
    def run(number):
        try:
            return act(number)
        finally:
            connection.close()

    close_old_connections()
    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(run, range(times)))


@pytest.fixture
def pack(alice, now) -> Payment:
    """A top-up of $25.00 for 100,000 credits, as both sides know it."""
    fund(alice, 100_000, now)
    return Payment.objects.create(
        customer=alice,
        kind="pack",
        state="charged",
        amount_cents=2_500,
        gateway="stripe",
        grant=CreditGrant.objects.get(),
        created_at=now,
    )


def test_one_that_is_asked_for_many_times_at_once_is_made_once(pack, now):
    shown = preview(pack, now).shown

    def ask(_):
        try:
            refunds.request(pack, shown=shown, reason="r", by=None, now=now)
        except (NotRefundable, refunds.NotAgreed):
            return "refused"
        return "made"

    assert sorted(together(ask)) == ["made", *["refused"] * 7]
    assert (Refund.objects.count(), Wallet.objects.get().balance) == (1, 0)


def test_credits_are_either_reserved_or_paid_back(pack, now):
    wallet, shown = Wallet.objects.get(), preview(pack, now).shown

    def act(number):
        if number % 2:
            with suppress(NotRefundable, refunds.NotAgreed):
                refunds.request(pack, shown=shown, reason="r", by=None, now=now)
                return "refunded"
        else:
            with suppress(ledger.InsufficientCredits):
                ledger.reserve(wallet_id=wallet.pk, key=f"{number}", amount=60_000, now=now)
                return "reserved"
        return ""

    done = [one for one in together(act) if one]
    assert len(done) == 1
    wallet.refresh_from_db()
    expected = (0, 0) if done == ["refunded"] else (100_000, 60_000)
    assert (wallet.balance, wallet.reserved) == expected


def test_workers_that_overtake_each_other_pay_back_once(pack, now, monkeypatch):
    asked = []

    class Gateway:
        def refund(self, attempt, *, key, amount_cents):
            asked.append((key, amount_cents))
            return gateways.Refund("re_1", gateways.RefundState.PAID_BACK)

        def refund_named(self, attempt, key):
            return gateways.Refund("re_1", gateways.RefundState.PAID_BACK) if asked else None

    monkeypatch.setattr(gateways, "gateway", lambda name: Gateway())
    monkeypatch.setattr(flow.contracts, "set_amount", lambda *_, **__: None)
    PaymentAttempt.objects.create(
        payment=pack,
        number=1,
        key="k",
        method_reference="pm_1",
        amount_cents=2_500,
        currency="USD",
        parameters={},
        outcome="paid",
        created_at=now,
    )
    made = refunds.request(pack, shown=preview(pack, now).shown, reason="r", by=None, now=now)
    rows = [Refund.objects.get(pk=made.pk) for _ in range(4)]

    def work(number):
        with suppress(Snooze):
            flow.advance(rows[number], now)

    together(work, times=4)
    flow.advance(Refund.objects.get(), now)

    assert set(asked) == {(f"vocalis-refund-{made.pk}-1", 2_500)}, "one key, which pays once"
    assert Refund.objects.get().state == Refund.State.PAID_BACK
    assert OutboundMail.objects.filter(kind="payment.refunded").count() == 1
