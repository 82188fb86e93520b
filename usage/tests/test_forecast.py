"""How long credits last is said from two weeks of use, and not at all from less."""

from __future__ import annotations

from datetime import timedelta

import pytest

from billing.models import AutoRecharge, Subscription
from conftest import fund
from usage import forecast

from .usage_days import used

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def noon(now):
    return now.replace(hour=12, minute=0, second=0)


def spoke(customer, now, credits, days):
    for number in days:
        used(customer, (now - number * DAY).date(), credits)


def said(customer, now) -> str:
    customer.refresh_from_db()
    return " ".join(forecast.made(customer, getattr(customer, "wallet", None), now).sentences)


def date_of(at) -> str:
    return f"{at.day} {at:%B %Y}"


def test_too_little_is_said_to_be_too_little(alice, noon):
    assert said(alice, noon) == forecast.TOO_LITTLE
    fund(alice, 10_000, noon, ends_at=noon + 900 * DAY)
    spoke(alice, noon, 100, range(6))
    assert said(alice, noon) == forecast.TOO_LITTLE


def test_two_days_of_use_are_too_few_and_none_of_late_says_nothing(alice, noon):
    fund(alice, 10_000, noon, ends_at=noon + 900 * DAY)
    spoke(alice, noon, 100, [40])
    assert said(alice, noon) == forecast.NOTHING
    spoke(alice, noon, 100, [3, 2])
    assert said(alice, noon) == forecast.TOO_LITTLE


def test_credits_last_until_the_day_on_which_they_are_used(alice, noon):
    fund(alice, 1_000, noon, ends_at=noon + 900 * DAY)
    spoke(alice, noon, 200, range(0, 28, 2))  # today does not count, as it is not over

    found = forecast.made(alice, alice.wallet, noon)
    assert found.credits_a_day == 100
    assert found.left == (900, 800, 700, 600, 500, 400, 300, 200, 100, 0)
    assert found.sentences == (
        "At 100 credits a day, as in the last 14 days, your credits last until "
        f"{date_of(noon + 10 * DAY)}.",
    )


def test_credits_that_end_before_are_said_to(alice, noon):
    fund(alice, 500, noon, ends_at=noon + 2 * DAY)
    fund(alice, 1_000, noon, ends_at=noon + 900 * DAY, priority=100)
    spoke(alice, noon, 100, range(1, 20))

    text = said(alice, noon)
    assert f"last until {date_of(noon + 12 * DAY)}." in text
    assert f"300 of them end unused on {date_of(noon + 2 * DAY)}." in text


def test_what_comes_next_is_a_sentence_of_its_own(alice, noon):
    fund(alice, 1_000, noon, ends_at=noon + 900 * DAY)
    spoke(alice, noon, 100, range(1, 20))
    AutoRecharge.objects.create(
        customer=alice, enabled=True, threshold_credits=500, recharge_to_credits=5_000
    )
    Subscription.objects.create(
        customer=alice,
        plan="creator",
        state="active",
        key="p",
        created_at=noon,
        period_end_at=noon + 4 * DAY,
    )

    text = said(alice, noon)
    assert f"fills up to 5,000 when 500 are left, about {date_of(noon + 5 * DAY)}." in text
    assert f"Your Creator plan brings 250,000 on {date_of(noon + 4 * DAY)}." in text


def test_much_lasts_for_more_than_a_year_and_nothing_is_nothing(alice, bob, noon):
    fund(alice, 1_000_000, noon, ends_at=noon + 900 * DAY)
    fund(bob, 0 + 1, noon, ends_at=noon + 900 * DAY)
    for customer in (alice, bob):
        spoke(customer, noon, 100, range(1, 20))
    assert said(alice, noon).endswith("your credits last for more than a year.")

    bob.wallet.grants.update(remaining=0)
    assert "you would need credits now" in said(bob, noon)
