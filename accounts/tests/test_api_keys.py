"""Keys are shown once, found by their secret, and refused in words."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection

from accounts import api_keys
from accounts.models import ApiKey

pytestmark = pytest.mark.django_db


def make(customer, now, **fields):
    given = {"name": "Laptop", "scopes": ["speech", "read"], "expires_at": None} | fields
    return api_keys.create(customer=customer, now=now, **given)


def test_a_key_is_found_by_its_secret_of_which_only_the_hash_is_kept(alice, now):
    key, secret = make(alice, now)

    found = api_keys.find(secret, now)

    assert found == key
    assert found.customer == alice
    kept = str(list(ApiKey.objects.values()))
    assert secret not in kept
    assert secret[8:-4] not in kept
    assert key.shown == f"{secret[:8]}…{secret[-4:]}"
    assert len(secret) == 49


def test_a_typing_error_is_refused_without_the_database(alice, now, django_assert_num_queries):
    _, secret = make(alice, now)
    typed = [
        secret[:-1],
        secret + "a",
        secret.swapcase(),
        secret.replace(secret[10], "_"),
        "",
        "vk_",
    ]
    typed.append(secret[:10] + ("a" if secret[10] != "a" else "b") + secret[11:])

    with django_assert_num_queries(0):
        for each in typed:
            with pytest.raises(api_keys.InvalidKey):
                api_keys.find(each, now)


@pytest.mark.parametrize("why", ["unknown", "revoked", "expired", "closed"])
def test_a_key_that_may_not_be_used_is_refused(alice, now, why):
    key, secret = make(alice, now, expires_at=now + timedelta(days=1))
    at = now
    if why == "unknown":
        secret = api_keys.new_secret()
    elif why == "revoked":
        api_keys.revoke(key, now)
    elif why == "expired":
        at = now + timedelta(days=1)
    else:
        alice.user.is_active = False
        alice.user.save()

    with pytest.raises(api_keys.InvalidKey) as error:
        api_keys.find(secret, at)

    assert secret not in str(error.value)


def test_its_use_is_written_at_most_once_a_minute(alice, now, django_assert_num_queries):
    key, secret = make(alice, now)

    api_keys.find(secret, now)
    with django_assert_num_queries(1):
        api_keys.find(secret, now + timedelta(seconds=59))
    key.refresh_from_db()

    assert key.last_used_at == now
    api_keys.find(secret, now + timedelta(seconds=61))
    key.refresh_from_db()
    assert key.last_used_at == now + timedelta(seconds=61)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "x" * 61),
        ("name", "a\x00b"),
        ("scopes", []),
        ("scopes", ["speech", "all"]),
        ("expires_at", timedelta(0)),
    ],
)
def test_a_key_that_makes_no_sense_is_refused_in_words(alice, now, field, value):
    if isinstance(value, timedelta):
        value += now

    with pytest.raises(api_keys.KeyRefused) as error:
        make(alice, now, **{field: value})

    assert list(error.value.errors) == [field]
    assert not ApiKey.objects.exists()


def test_fifty_keys_are_enough_and_revoked_ones_do_not_count(alice, now, monkeypatch):
    monkeypatch.setattr(api_keys, "KEYS_MAX", 2)
    first, _ = make(alice, now)
    make(alice, now)

    with pytest.raises(api_keys.KeyRefused):
        make(alice, now)
    api_keys.revoke(first, now)

    assert make(alice, now)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("requests", [("a", "a"), ("a", "b")])
def test_of_two_at_once_under_one_idempotency_key_one_makes_the_key(alice, now, requests):
    together, found = threading.Barrier(2), []

    def ask(request):
        together.wait()
        try:
            found.append(make(alice, now, request=request, idempotency_key="one"))
        except api_keys.IdempotencyKeyReused as error:
            found.append(error)
        connection.close()

    both = [threading.Thread(target=ask, args=[request]) for request in requests]
    for one in both:
        one.start()
    for one in both:
        one.join()

    key = ApiKey.objects.get()
    assert len(found) == 2
    if len(set(requests)) == 1:
        assert found[0] == found[1]
        assert found[0][0] == key
    else:
        [refused] = [one for one in found if isinstance(one, Exception)]
        assert refused.key == key


def test_a_forgotten_customer_s_keys_say_nothing_of_their_requests(alice, now):
    make(alice, now, request="all that was sent", idempotency_key="one")

    api_keys.forget_all(alice, now)

    assert ApiKey.objects.values_list("name", "idempotency_sha256", "request_sha256").get() == (
        "",
        "",
        "",
    )
