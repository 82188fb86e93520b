"""Operators see what a key may do and what it spent, never its secret, and may revoke it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import api_keys
from accounts.models import ApiKey, Customer, User
from billing import keys, ledger
from billing.models import KeyBudget
from conftest import PASSWORD
from tests.admin_pages import act, confirm, messages, url

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator(client, staff):
    client.force_login(staff)
    return client


@pytest.fixture
def made(alice, wallet):
    """A key of alice's that has spent 120 of 200 today, and its secret."""
    now = timezone.now()
    key, secret = keys.create(customer=alice, name="Pipeline", limit=200, period="day", now=now)
    held = ledger.reserve(wallet_id=wallet.id, key="a", amount=120, now=now, api_key_id=key.pk)
    ledger.capture(reservation_id=held.id, amount=120, now=now)
    return key, secret


def test_lists_and_pages_show_what_it_is_and_not_its_secret(operator, made):
    key, secret = made

    for model, pk in ((ApiKey, key.pk), (KeyBudget, key.pk)):
        for address in (url(model), url(model, "change", pk)):
            shown = operator.get(address).content.decode()
            for words in ("alice@example.com", "Pipeline", key.shown, "120 of 200"):
                assert words in shown, (address, words)
            assert key.secret_sha256 not in shown
            assert secret[8:20] not in shown


def test_what_was_spent_before_today_is_not_shown_as_spent(operator, made):
    KeyBudget.objects.update(period_start_at=timezone.now() - timedelta(days=2))

    assert "0 of 200" in operator.get(url(ApiKey)).content.decode()


@pytest.mark.parametrize("model", [ApiKey, KeyBudget])
def test_they_are_found_by_customer_and_by_id(operator, made, bob, model):
    now = timezone.now()
    other, _ = keys.create(customer=bob, name="Other", now=now)
    key, _ = made

    for term in ("alice@", str(key.customer_id), str(key.pk)):
        found = operator.get(url(model), {"q": term}).context["cl"].result_list
        assert [row.pk for row in found] == [key.pk], term
    assert not operator.get(url(model), {"q": "7"}).context["cl"].result_list
    assert other.pk != key.pk


def test_a_list_asks_once_for_all(operator, made, alice):
    operator.get("/admin/")  # with the first page the session is noted
    with CaptureQueriesContext(connection) as few:
        operator.get(url(ApiKey))
    for name in ("Two", "Three", "Four"):
        keys.create(customer=alice, name=name, now=timezone.now())

    with CaptureQueriesContext(connection) as more:
        operator.get(url(ApiKey))

    assert len(more) == len(few)


def test_a_key_is_revoked_after_a_question_and_it_is_written_down(operator, made, staff):
    key, secret = made
    asked = act(operator, ApiKey, "revoke", key)
    assert "Programs that use these keys are refused at once" in asked.content.decode()
    assert api_keys.find(secret, timezone.now()) == key

    response = confirm(operator, ApiKey, "revoke", key, reason="it leaked")

    with pytest.raises(api_keys.InvalidKey, match="revoked"):
        api_keys.find(secret, timezone.now())
    assert messages(response) == ["Revoked: 1 API key."]
    entry = LogEntry.objects.get()
    assert (entry.user, entry.change_message) == (staff, "Revoked: it leaked")


def test_a_second_time_it_says_so(operator, made):
    key, _ = made
    confirm(operator, ApiKey, "revoke", key, reason="it leaked")

    response = confirm(operator, ApiKey, "revoke", key, reason="it leaked")

    assert any("is revoked already" in message for message in messages(response))
    assert LogEntry.objects.count() == 1
    assert b">Revoke<" not in operator.get(url(ApiKey, "change", key.pk)).content


def test_it_takes_the_right_to_change_keys(client, made):
    key, secret = made
    clerk = User.objects.create_user(
        "clerk@example.com", PASSWORD, first_name="C", last_name="K", is_staff=True
    )
    clerk.user_permissions.add(Permission.objects.get(codename="view_apikey"))
    client.force_login(clerk)

    assert act(client, ApiKey, "revoke", key, confirmed="yes", reason="why").status_code == 403
    assert api_keys.find(secret, timezone.now()) == key


def test_a_customers_page_leads_to_their_keys(operator, made, alice):
    shown = operator.get(url(Customer, "change", alice.pk)).content.decode()

    assert f'{url(ApiKey)}?customer__id__exact={alice.pk}">API keys</a>' in shown
