"""A refund is new credits, once; what was reported stays reported."""

from __future__ import annotations

import pytest

from billing.models import CreditGrant, Gift, LedgerEntry
from billing.tests.money_stage import balance, establish, remote_balance
from usage import refunds, speak
from usage.models import Generation, UsageEvent

pytestmark = pytest.mark.django_db


@pytest.fixture
def generation(stage, alice):
    """Eleven credits' worth of speech, reported."""
    establish(stage, alice)
    made = speak.speak(customer=alice, text="Hello world", voice_id="standard-ava", key="k", now=stage.now())
    stage.drain()
    return made


def test_a_refund_is_a_credit_of_its_own_on_both_sides(stage, alice, staff, generation):
    before = list(UsageEvent.objects.values())

    gift = refunds.refund(generation=generation, by=staff, reason="It stuttered", now=stage.now())
    stage.drain()

    grant = CreditGrant.objects.get(key=f"vocalis-refund-{generation.pk}")
    assert (grant.priority, grant.granted, grant.kind, grant.name) == (5, 11, "credit", "Refund")
    assert LedgerEntry.objects.filter(kind="grant", grant=grant, amount=11).exists()
    assert balance(alice) == remote_balance(alice) == 30_000
    assert list(UsageEvent.objects.values()) == before
    generation.refresh_from_db()
    assert generation.refund == gift
    assert generation.refund.grant == grant
    assert (gift.kind, gift.reason, gift.by) == ("refund", "It stuttered", staff)


def test_a_second_refund_is_the_first(stage, alice, staff, generation):
    first = refunds.refund(generation=generation, by=staff, reason="It stuttered", now=stage.now())
    stage.drain()

    again = refunds.refund(generation=generation, by=staff, reason="Again", now=stage.now())
    stage.drain()

    assert again == first
    assert Gift.objects.get().reason == "It stuttered"
    assert balance(alice) == remote_balance(alice) == 30_000


@pytest.mark.parametrize("state", ["pending", "failed"])
def test_what_cost_nothing_is_not_refunded(staff, alice, now, state):
    generation = Generation.objects.create(
        customer=alice, key="k", body_hash="h", text="x", voice="standard-ava", voice_name="Ava", voice_type="standard",
        characters=1, credits=1, state=state, created_at=now, taken_at=now,
    )  # fmt: skip

    with pytest.raises(refunds.NotRefundable, match=state):
        refunds.refund(generation=generation, by=staff, reason="r", now=now)
    assert not Gift.objects.exists()
