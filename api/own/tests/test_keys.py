"""A request that makes a key is sent again: with an Idempotency-Key it makes no second one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from accounts import api_keys
from accounts.models import ApiKey
from billing import keys

from .conftest import ALL, Caller

pytestmark = pytest.mark.django_db(transaction=True)
WANTED = {"name": "new", "budget": {"limit": 100, "period": "week"}, "scopes": ["speech"]}


@pytest.fixture
def make(call):
    return lambda body=WANTED, key="one": call.post("keys", body, Idempotency_Key=key)


def age(name="new"):
    old = timedelta(seconds=api_keys.AGAIN_SECONDS + 1)
    [key] = ApiKey.objects.filter(name=name)
    ApiKey.objects.filter(pk=key.pk).update(created_at=key.created_at - old)


def test_within_a_minute_the_same_request_gets_the_same_key_and_secret(make, client):
    first, again = make(), make()

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json().keys() == again.json().keys()
    assert (first.json()["id"], first.json()["secret"]) == (
        again.json()["id"],
        again.json()["secret"],
    )
    assert again["Idempotent-Replayed"] == "true" and "Idempotent-Replayed" not in first
    assert ApiKey.objects.filter(name="new").count() == 1
    assert Caller(client, None, again.json()["secret"]).get("key").json()["name"] == "new"


def test_later_it_hears_which_key_it_made_and_that_the_secret_is_not_shown_twice(make):
    made = make().json()
    age()

    again = make()

    assert again.status_code == 409
    problem = again.json()
    assert (problem["code"], problem["key"]) == ("already_made", made["id"])
    assert made["id"] in problem["detail"] and "not shown twice" in problem["detail"]
    assert made["secret"] not in again.text
    assert ApiKey.objects.filter(name="new").count() == 1


@pytest.mark.parametrize("how", ["revoked", "another SECRET_KEY"])
def test_what_cannot_be_shown_again_is_not(make, call, settings, how):
    made = make().json()
    if how == "revoked":
        call("DELETE", f"keys/{made['id']}")
    else:
        settings.SECRET_KEY = "another"

    again = make()

    assert (again.status_code, again.json()["key"]) == (409, made["id"])
    assert ApiKey.objects.filter(name="new").count() == 1


def test_another_request_under_the_same_key_is_refused(make):
    made = make().json()

    other = make(WANTED | {"name": "other"})

    assert (other.status_code, other.json()["code"]) == (422, "key_reused")
    assert other.json()["key"] == made["id"]
    assert ApiKey.objects.count() == 2


def test_a_refused_request_leaves_nothing_under_its_key(make):
    assert make(WANTED | {"name": ""}).status_code == 422
    assert make(WANTED | {"budget": {"limit": 0}}).status_code == 422
    assert make().status_code == 201


def test_each_api_key_has_idempotency_keys_of_its_own(make, client, alice, now):
    make()
    key, secret = keys.create(customer=alice, name="second", scopes=ALL, now=now)
    other = Caller(client, key, secret).post("keys", WANTED, Idempotency_Key="one")

    assert other.status_code == 201 and "Idempotent-Replayed" not in other
    assert ApiKey.objects.filter(name="new").count() == 2


def test_without_an_idempotency_key_each_request_makes_one(call):
    first, second = call.post("keys", WANTED), call.post("keys", WANTED)

    assert first.json()["id"] != second.json()["id"]


@pytest.mark.parametrize("key", ["", "two words", "k" * 129, "schlüssel"])
def test_an_idempotency_key_that_is_none_is_refused_in_words(make, key):
    answer = make(key=key)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["errors"][0]["pointer"] == "/Idempotency-Key"
    assert ApiKey.objects.count() == 1
