"""A card that expires next month is told of once, in time, whatever the month."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from billing.models import PaymentMethod
from billing.payments import cards, expiring
from billing.payments.gateways import Card, SavedCard
from mails.models import OutboundMail

pytestmark = pytest.mark.django_db


def save(customer, month, year, reference="pm_1"):
    card = Card(reference, "Visa •••• 4242", "print-1")
    saved = SavedCard(card, brand="visa", last4="4242", exp_month=month, exp_year=year)
    cards.keep(customer.pk, "stripe", saved, datetime(2026, 1, 1, tzinfo=UTC))


def told():
    return [mail.data for mail in OutboundMail.objects.filter(kind="card.expires_soon")]


@pytest.mark.parametrize(
    ("day", "expires", "is_told"),
    [
        (datetime(2026, 10, 31, 23, 59, tzinfo=UTC), (12, 2026), False),
        (datetime(2026, 11, 1, tzinfo=UTC), (12, 2026), True),
        (datetime(2026, 11, 30, tzinfo=UTC), (12, 2026), True),
        (datetime(2026, 12, 1, tzinfo=UTC), (12, 2026), False),
        (datetime(2026, 12, 31, tzinfo=UTC), (1, 2027), True),
        (datetime(2026, 11, 15, tzinfo=UTC), (12, 2027), False),
    ],
)
def test_it_is_told_in_the_month_before(alice, day, expires, is_told):
    save(alice, *expires)

    assert expiring.TELL_EXPIRY.due(day).exists() == is_told
    assert expiring.TELL_EXPIRY.run(day) == is_told
    assert expiring.TELL_EXPIRY.run(day) == 0

    wanted = {"card": "Visa •••• 4242", "expires": f"{datetime(*expires[::-1], 1):%B %Y}"}
    assert told() == ([wanted] if is_told else [])


def test_a_card_saved_anew_with_other_dates_is_told_of_in_its_own_time(alice):
    save(alice, 12, 2026)
    expiring.TELL_EXPIRY.run(datetime(2026, 11, 2, tzinfo=UTC))
    save(alice, 12, 2029)

    assert expiring.TELL_EXPIRY.run(datetime(2026, 11, 3, tzinfo=UTC)) == 0
    assert expiring.TELL_EXPIRY.run(datetime(2029, 11, 3, tzinfo=UTC)) == 1
    assert [data["expires"] for data in told()] == ["December 2026", "December 2029"]


def test_the_same_card_saved_twice_is_told_of_once(alice):
    for _ in range(2):
        save(alice, 12, 2026)
        expiring.TELL_EXPIRY.run(datetime(2026, 11, 2, tzinfo=UTC))

    assert len(told()) == 1


def test_a_card_of_a_closed_account_is_not_told_of(alice):
    save(alice, 12, 2026)
    alice.user.is_active = False
    alice.user.save()
    PaymentMethod.objects.update(is_expiry_told=False)

    assert not expiring.waiting(datetime(2026, 11, 2, tzinfo=UTC)).exists()
