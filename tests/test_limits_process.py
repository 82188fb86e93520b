"""The rates of the API over several web processes on one Redis: what a key may do, it may do on all
of them together, and the places of a process that was killed come back."""

from __future__ import annotations

import os
import re
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import redis
from django.db import connection

from api import limits
from billing import keys, plans
from conftest import fund
from usage.models import Generation

from . import processes

REDIS_URL = os.environ.get("TEST_REDIS_URL", "")
pytestmark = [
    pytest.mark.process,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        connection.vendor != "postgresql" or not REDIS_URL,
        reason="several web processes need PostgreSQL and Redis",
    ),
]
RATE = plans.RATE_WITHOUT_PLAN
# Minutes of sound: more than the buffers of a connection take, so sending it waits for its reader.
LONG = "This sentence is one of many that are alike. " * 88


@pytest.fixture(scope="module")
def start(django_db_setup, tmp_path_factory):
    """Starts a web process on the test's database and Redis, with a client of it."""
    folder = tmp_path_factory.mktemp("webs")
    env = processes.settings_env(
        database_url=processes.own_database_url(),
        metronome_url=processes.NOBODY,
        REDIS_URL=REDIS_URL,
        MEDIA_ROOT=str(folder / "media"),
        SPEECH_HELPERS="1",
        AUDIO_STALL_SECONDS="300",
    )
    with ExitStack() as started:
        yield lambda: started.enter_context(
            processes.web_process(folder / f"web-{len(list(folder.iterdir()))}.log", env)
        )


@pytest.fixture(scope="module")
def webs(start):
    return [start()[1] for _ in range(2)]


@pytest.fixture
def key(alice, now):
    fund(alice, 100_000, now)
    key, secret = keys.create(customer=alice, name="k", scopes=["speech", "read"], now=now)
    key.headers = {"Authorization": f"Bearer {secret}"}
    return key


@pytest.fixture
def lost():
    """Web processes that were killed; what they were speaking is charged by nobody."""
    return []


@pytest.fixture
def hold(key, lost):
    """Begins a request whose answer nobody reads. Returns how to leave it, or None if refused."""
    with ExitStack() as held:

        def begin(client):
            one = held.enter_context(ExitStack())
            asked = {"text": LONG, "voice": "standard-classic", "format": "wav"}
            answer = one.enter_context(
                client.stream("POST", "/v1/speech", json=asked, headers=key.headers)
            )
            if answer.status_code == 200:
                return one.close
            assert answer.status_code == 429 and "at once" in answer.read().decode()
            return None

        yield begin
    processes.wait_until(
        lambda: Generation.objects.filter(state="pending").count() == len(lost), "end of streams"
    )


def places(owner) -> list[bytes]:
    """That a key or an account holds, as Redis names them."""
    with redis.Redis.from_url(REDIS_URL) as shared:
        return list(shared.scan_iter(f"*:api:at-once:*:{owner}:*"))


def is_admitted(client, key) -> bool:
    """Asked seldom: each time is one of the requests of the minute."""
    time.sleep(0.5)
    answer = client.get("/v1/key", headers=key.headers)
    assert answer.status_code == 200 or "at once" in answer.json()["detail"]
    return answer.status_code == 200


def used_up(client, key, start: threading.Barrier) -> Counter[tuple[int, int]]:
    """Ask until refused: how many answers there were of each minute and status."""
    seen: Counter[tuple[int, int]] = Counter()
    start.wait()
    while not any(status == 429 for _, status in seen):
        answer = client.get("/v1/key", headers=key.headers)
        left_seconds = int(re.search(r"t=(\d+)", answer.headers["RateLimit"])[1])
        minute = round((time.time() + left_seconds) / limits.WINDOW_SECONDS)
        seen[minute, answer.status_code] += 1
    return seen


def test_two_processes_together_admit_what_a_key_may_do_in_a_minute(webs, key):
    start = threading.Barrier(len(webs))
    with ThreadPoolExecutor(len(webs)) as threads:
        each = list(threads.map(lambda client: used_up(client, key, start), webs))

    both = sum(each, Counter())
    assert {status for _, status in both} == {200, 429}
    for minute in {minute for minute, _ in both}:
        assert both[minute, 200] <= RATE.requests_a_minute
    full = min(minute for minute, status in both if status == 429)
    assert both[full, 200] == RATE.requests_a_minute
    assert all(one[full, 200] for one in each), "both took part"


def test_two_processes_together_admit_what_a_key_may_do_at_once(webs, key, hold):
    ends = [hold(webs[number % 2]) for number in range(RATE.requests_at_once)]

    assert all(ends)
    for client in webs:
        assert hold(client) is None
    ends[0]()  # of the first process, and the second has the place
    processes.wait_until(lambda: is_admitted(webs[1], key), "place")
    assert hold(webs[1])
    for client in webs:
        assert hold(client) is None


def test_the_places_of_a_killed_process_come_back_after_their_lease(webs, start, key, hold, lost):
    dying, of_dying = start()
    for _ in range(RATE.requests_at_once - 1):
        assert hold(of_dying)
        lost.append(dying)
    taken = places(key.pk) + places(key.customer_id)
    assert len(taken) == 2 * len(lost)
    assert hold(webs[0])

    dying.kill()
    dying.wait()

    assert not is_admitted(webs[1], key), "the dead hold their places"
    with redis.Redis.from_url(REDIS_URL) as shared:
        for place in taken:
            assert 0 < shared.ttl(place) <= limits.LEASE_SECONDS
            shared.expire(place, 1)  # two minutes pass
    processes.wait_until(lambda: is_admitted(webs[1], key), "place")
    for _ in lost:
        assert hold(webs[1])
    assert hold(webs[0]) is None
