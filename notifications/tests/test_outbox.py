from __future__ import annotations

import json

import pytest
from django.db import transaction

from notifications import emit, endpoints
from notifications.models import OutboundWebhook

pytestmark = pytest.mark.django_db


def test_an_event_is_a_row_with_the_exact_body(alice, endpoint, now):
    emit(alice.id, "balance.recharged", "r1", {"credits": 5, "name": "é"}, now)

    row = OutboundWebhook.objects.get()
    at = f"{now:%Y-%m-%dT%H:%M:%S}.000000Z"
    assert row.body == (
        f'{{"type":"balance.recharged","timestamp":"{at}","data":{{"credits":5,"name":"\\u00e9"}}}}'
    )
    assert json.loads(row.body)["data"]["name"] == "é"
    assert (row.state, row.due_at, row.endpoint) == ("pending", now, endpoint)


def test_the_same_event_twice_is_told_once(alice, endpoint, now):
    for credits in (1, 2):
        emit(alice.id, "balance.recharged", "r1", {"credits": credits}, now)
    emit(alice.id, "balance.recharged", "r2", {"credits": 3}, now)

    bodies = OutboundWebhook.objects.order_by("key").values_list("body", flat=True)
    assert [json.loads(body)["data"]["credits"] for body in bodies] == [1, 3]


def test_only_enabled_endpoints_of_the_customer_that_want_it_are_told(
    alice, bob, endpoint, allow_private, now
):
    other = endpoints.create(alice, "https://example.com/a", ["voice.ready"], now)[0]
    off = endpoints.create(alice, "https://example.com/b", ["balance.low"], now)[0]
    endpoints.disable(off, now)
    gone = endpoints.create(alice, "https://example.com/c", ["balance.low"], now)[0]
    endpoints.delete(gone, now)
    endpoints.create(bob, "https://example.com/d", ["balance.low"], now)

    emit(alice.id, "balance.low", "k", {}, now)
    assert list(OutboundWebhook.objects.values_list("endpoint", flat=True)) == [endpoint.id]

    emit(alice.id, "voice.ready", "k", {}, now)
    told = OutboundWebhook.objects.filter(kind="voice.ready").values_list("endpoint", flat=True)
    assert set(told) == {endpoint.id, other.id}


def test_an_event_is_told_only_if_its_cause_commits(alice, endpoint, now):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        emit(alice.id, "balance.low", "k", {}, now)
        raise ZeroDivisionError

    assert not OutboundWebhook.objects.exists()


def test_without_endpoints_it_costs_one_query(alice, now, django_assert_num_queries):
    with django_assert_num_queries(1):
        emit(alice.id, "generation.completed", "k", {}, now)


@pytest.mark.parametrize(
    ("kind", "key"),
    [("balance.gone", "k"), ("ping", "k"), ("balance.low", ""), ("balance.low", "k" * 101)],
)
def test_an_unknown_kind_and_an_impossible_key_are_errors_of_the_caller(
    kind, key, alice, endpoint, now
):
    with pytest.raises(ValueError):
        emit(alice.id, kind, key, {}, now)
