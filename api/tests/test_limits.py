"""A key and an account make so many requests in a minute and at once, however they are made."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.core.cache import cache
from django.db import connection
from django.http import HttpResponse, StreamingHttpResponse
from django.test import Client
from django.urls import include, path

from api import limits
from api.access import endpoint
from api.elevenlabs import errors as elevenlabs
from api.failures import Failure
from api.openai import errors as openai
from api.own import errors as own
from billing import keys, plans
from billing.models import Subscription

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]
AT = datetime(2026, 3, 1, 12, 0, 20, tzinfo=UTC)  # twenty seconds into a minute
seen = []


def view(request):
    seen.append(request.api_key)
    return HttpResponse("done")


def broken(request):
    raise RuntimeError("a fault")


urlpatterns = [
    path("v1/thing", endpoint(own.answer, "speech", "GET")(view)),
    path("v1/broken", endpoint(own.answer, "speech", "GET")(broken)),
    path("v1/audio/thing", endpoint(openai.answer, "speech", "GET")(view)),
    path("v1/history", endpoint(elevenlabs.answer, "speech", "GET")(view)),
    path("", include("vocalis.urls")),
]
handler500 = "vocalis.pages.server_error"


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """A key has 4 requests a minute and 2 at once, an account 8 and 4."""
    monkeypatch.setattr(plans, "RATE_WITHOUT_PLAN", plans.Rate(4, 2))
    monkeypatch.setattr(limits, "_complained_at", -float(limits.COMPLAIN_SECONDS))
    seen.clear()


@pytest.fixture
def made(alice):
    return keys.create(customer=alice, name="one", now=AT)


def get(address, secret, client=None):
    return (client or Client()).get(address, headers={"authorization": f"Bearer {secret}"})


@time_machine.travel(AT, tick=False)
def test_a_key_has_so_many_requests_a_minute(made):
    _, secret = made

    answers = [get("/v1/thing", secret) for _ in range(5)]

    assert [each.status_code for each in answers] == [200] * 4 + [429]
    refused = answers[-1]
    assert len(seen) == 4, "it is refused before anything is done"
    assert refused["Retry-After"] == "40"
    assert refused.json()["code"] == "rate_limit_exceeded"
    assert refused.json()["detail"] == (
        "This API key has made 4 requests in this minute, as many as your plan allows. "
        "Try again in 40 s."
    )
    with time_machine.travel(AT + timedelta(seconds=40), tick=False):
        assert get("/v1/thing", secret).status_code == 200


@time_machine.travel(AT, tick=False)
def test_our_own_dialect_says_how_many_are_left(made):
    _, secret = made

    first = get("/v1/thing", secret)
    for _ in range(4):
        last = get("/v1/thing", secret)

    assert first["RateLimit-Policy"] == '"key";q=4;w=60, "account";q=8;w=60'
    assert first["RateLimit"] == '"key";r=3;t=40, "account";r=7;t=40'
    assert last.status_code == 429
    # The fifth was the key's to refuse: the account's other keys lose nothing by it.
    assert last["RateLimit"] == '"key";r=0;t=40, "account";r=4;t=40'


@time_machine.travel(AT, tick=False)
def test_the_other_dialects_have_words_of_their_own(made):
    _, secret = made

    heard = get("/v1/history", secret)
    assert (heard["current-concurrent-requests"], heard["maximum-concurrent-requests"]) == (
        "1",
        "2",
    )
    assert "RateLimit" not in get("/v1/audio/thing", secret)
    for _ in range(2):
        get("/v1/thing", secret)
    refused = get("/v1/audio/thing", secret)
    assert (refused.status_code, refused["Retry-After"]) == (429, "40")
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    refused = get("/v1/history", secret)
    assert (refused.status_code, refused["Retry-After"]) == (429, "40")
    assert refused.json()["detail"]["status"] == "too_many_concurrent_requests"


@time_machine.travel(AT, tick=False)
def test_all_keys_of_an_account_have_a_limit_together(alice, bob, made):
    secrets = [made[1]]
    secrets += [keys.create(customer=alice, name=name, now=AT)[1] for name in "ab"]
    _, of_bob = keys.create(customer=bob, name="b", now=AT)

    answers = [get("/v1/thing", secret) for secret in secrets for _ in range(3)]

    assert [each.status_code for each in answers] == [200] * 8 + [429]
    assert "Your account has made 8 requests in this minute" in answers[-1].json()["detail"]
    assert get("/v1/thing", of_bob).status_code == 200


@pytest.mark.parametrize(("plan", "limit"), [("creator", 300), ("pro", 1_200)])
def test_the_plan_decides_how_many(alice, made, plan, limit):
    Subscription.objects.create(customer=alice, plan=plan, state="active", key="k", created_at=AT)

    answer = get("/v1/thing", made[1])

    assert answer["RateLimit-Policy"] == f'"key";q={limit};w=60, "account";q={2 * limit};w=60'


def test_a_key_is_told_its_limits(made):
    found = get("/v1/key", made[1]).json()

    assert found["rate_limit"] == {"requests_a_minute": 4, "requests_at_once": 2}


@time_machine.travel(AT, tick=False)
def test_who_has_no_key_takes_nothing_of_those_who_have(made):
    for _ in range(9):
        assert get("/v1/thing", "vk_nothing").status_code == 401

    assert get("/v1/thing", made[1]).status_code == 200


def test_a_request_holds_a_place_until_it_is_left(made):
    key, _ = made
    first, second = limits.enter(key, AT), limits.enter(key, AT)

    with pytest.raises(Failure) as raised:
        limits.enter(key, AT)

    failure = raised.value
    assert (failure.status, failure.retry_after_seconds) == (429, limits.BUSY_SECONDS)
    assert "This API key makes 2 requests at once" in failure.message
    assert (first.at_once, second.at_once, second.at_once_max) == (1, 2, 2)
    for _ in range(2):
        first.leave()
    assert limits.enter(key, AT).at_once == 2


def test_all_keys_of_an_account_have_places_together(alice):
    made = [keys.create(customer=alice, name=name, now=AT)[0] for name in "abc"]
    for key in made[:2]:
        for _ in range(2):
            limits.enter(key, AT)

    with pytest.raises(Failure, match="Your account makes 4 requests at once"):
        limits.enter(made[2], AT)

    assert not cache.get_many([f"api:at-once:key:{made[2].pk}:{n}" for n in range(2)])


def test_what_a_dead_process_held_is_free_after_the_lease(made):
    key, _ = made
    with time_machine.travel(AT, tick=False):
        for _ in range(2):
            limits.enter(key, AT)
    later = AT + timedelta(seconds=limits.LEASE_SECONDS + 1)

    with time_machine.travel(later, tick=False):
        assert limits.enter(key, later).at_once == 1


def test_a_long_answer_keeps_its_place(made):
    key, _ = made
    with time_machine.travel(AT, tick=False):
        held = limits.enter(key, AT)
    with time_machine.travel(AT + timedelta(seconds=limits.LEASE_SECONDS - 1), tick=False):
        held.extend()
    later = AT + timedelta(seconds=2 * limits.LEASE_SECONDS - 5)

    with time_machine.travel(later, tick=False):
        assert limits.enter(key, later).at_once == 2


def test_the_place_of_another_is_not_given_back(made):
    """A request outlived its lease, and its place is let anew."""
    key, _ = made
    with time_machine.travel(AT, tick=False):
        slow = limits.enter(key, AT)
    later = AT + timedelta(seconds=limits.LEASE_SECONDS + 1)
    with time_machine.travel(later, tick=False):
        limits.enter(key, later)

        slow.leave()

        assert limits.enter(key, later).at_once == 2


def test_an_answer_and_a_fault_give_the_place_back(made):
    _, secret = made
    client = Client(raise_request_exception=False)

    answers = [get(address, secret, client) for address in ["/v1/thing", "/v1/broken"] * 2]

    assert [each.status_code for each in answers] == [200, 500, 200, 500]


async def sound():
    for _ in range(3):
        yield b"sound"


def streamed(admission):
    response = StreamingHttpResponse(sound())
    limits.attach(admission, response)
    return response


@pytest.mark.parametrize("how", ["heard", "left", "closed", "forgotten"])
def test_a_stream_holds_its_place_until_it_is_over(made, how):
    key, _ = made
    response = streamed(limits.enter(key, AT))
    assert limits.enter(key, AT).at_once == 2, "the place is held before it is heard"

    async def hear():
        pieces = aiter(response)
        heard = [await anext(pieces)]
        assert limits.Admission().take(f"key:{key.pk}", 2) is None, "both are held meanwhile"
        if how == "heard":
            heard += [piece async for piece in pieces]
            assert heard == [b"sound"] * 3
        await pieces.aclose()

    if how in ("heard", "left"):
        asyncio.run(hear())
    elif how == "closed":
        for close in response._resource_closers:  # `close` would close our database, too
            close()
    else:
        del response
        gc.collect()

    assert limits.enter(key, AT).at_once == 2


def away(settings, url="redis://127.0.0.1:1/0"):
    options = {"socket_connect_timeout": 1, "socket_timeout": 1}
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": url,
            "KEY_PREFIX": uuid.uuid4().hex,
            "OPTIONS": options,
        }
    }


def test_nobody_is_refused_while_redis_is_away_and_the_log_says_it_once(made, settings, caplog):
    away(settings)

    with caplog.at_level(logging.WARNING):
        answers = [get("/v1/thing", made[1]) for _ in range(6)]

    assert [each.status_code for each in answers] == [200] * 6
    assert caplog.text.count("requests of the API are not limited") == 1


def test_throttle_off_switches_it_off(made, settings):
    settings.RATELIMIT_ENABLE = False

    answers = [get("/v1/thing", made[1]) for _ in range(6)]

    assert [each.status_code for each in answers] == [200] * 6
    assert "RateLimit" not in answers[0]


CACHES = ["memory"] + (["redis"] if os.environ.get("TEST_REDIS_URL") else [])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("where", CACHES)
@pytest.mark.parametrize(("rate", "admitted"), [(plans.Rate(1_000, 7), 7), (plans.Rate(9, 100), 9)])
def test_many_threads_at_once_get_exactly_as_many_as_there_are(
    made, settings, monkeypatch, where, rate, admitted
):
    monkeypatch.setattr(plans, "RATE_WITHOUT_PLAN", rate)
    if where == "redis":
        away(settings, os.environ["TEST_REDIS_URL"])
    key, _ = made
    together = threading.Barrier(24)

    def ask(_):
        together.wait()
        try:
            return [limits.enter(key, AT)]
        except Failure:
            return []
        finally:
            connection.close()

    with ThreadPoolExecutor(24) as threads:
        entered = [one for some in threads.map(ask, range(24)) for one in some]

    assert len(entered) == admitted
    for one in entered:
        one.leave()
    assert not cache.get_many([f"api:at-once:key:{key.pk}:{n}" for n in range(24)])
