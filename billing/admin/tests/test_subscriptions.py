"""What operators see of a plan, and the buttons that put it right."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from billing.models import Payment, Subscription
from billing.payments import requests as payments
from tests.admin_pages import act, confirm, messages, url

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator(client, staff):
    client.force_login(staff)
    return client


@pytest.fixture
def past_due(alice, card) -> Subscription:
    """A plan whose renewal was declined two days ago."""
    now = timezone.now()
    row = Subscription.objects.create(
        customer=alice,
        plan="creator",
        state="active",
        key="k",
        anchor_at=now - timedelta(days=32),
        period_start_at=now - timedelta(days=32),
        period_end_at=now - timedelta(days=2),
        past_due_at=now - timedelta(days=2),
        tries=1,
        created_at=now - timedelta(days=32),
    )
    payments.request_plan_payment(subscription=row, period=1, amount_cents=4_900, now=now)
    Payment.objects.update(state="failed", decline="later", failure="No.", due_at=None)
    return row


def test_the_list_says_what_is_past_due_and_when_it_is_tried_next(operator, past_due):
    page = operator.get(url(Subscription), {"past_due_at__isempty": "0"}).content.decode()
    next_at = past_due.past_due_at + timedelta(days=3)
    assert f"past due, next try {next_at:%Y-%m-%d %H:%M}" in page
    assert operator.get(url(Subscription, "change", past_due.pk)).status_code == 200


def test_a_declined_payment_is_tried_now_once(operator, past_due):
    response = confirm(operator, Subscription, "try_payment", past_due)
    assert messages(response) == ["Payment tried: 1 subscription."]
    payment = Payment.objects.get()
    assert (payment.state, payment.attempt_number) == ("initiated", 2)

    Payment.objects.update(state="charged")
    confirm(operator, Subscription, "try_payment", past_due)
    assert Payment.objects.get().attempt_number == 2


def test_a_plan_is_ended_at_once_with_a_reason(operator, past_due):
    asked = act(operator, Subscription, "end_plan", past_due, confirmed="yes")
    assert b"This field is required." in asked.content
    response = confirm(operator, Subscription, "end_plan", past_due, reason="They asked for it")

    past_due.refresh_from_db()
    assert messages(response) == ["Ended: 1 subscription."]
    assert (past_due.state, past_due.due_at) == ("ended", None)
    assert LogEntry.objects.get().change_message == "Ended: They asked for it"
    again = confirm(operator, Subscription, "end_plan", past_due, reason="They asked for it")
    assert "it is not active" in messages(again)[0]


def test_a_choice_that_hangs_is_called_off(operator, alice):
    row = Subscription.objects.create(
        customer=alice, plan="pro", key="k", created_at=timezone.now(), dead_at=timezone.now()
    )
    response = confirm(operator, Subscription, "give_up", row, reason="It cannot be set up")

    row.refresh_from_db()
    assert messages(response) == ["Called off: 1 subscription."]
    assert (row.failure, row.dead_at) == ("It cannot be set up", None)
    Subscription.objects.update(state="active")
    again = confirm(operator, Subscription, "give_up", row, reason="It cannot be set up")
    assert "not being set up any more" in messages(again)[0]
