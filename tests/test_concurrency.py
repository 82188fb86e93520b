"""A request waits for a free thread, and gets 503 with Retry-After if none becomes free."""

from __future__ import annotations

import asyncio
import threading

import pytest
from asgiref.testing import ApplicationCommunicator
from django.conf import settings
from django.http import HttpResponse
from django.urls import include, path

from tests.stopwatch import Stopwatch
from vocalis import asgi, concurrency
from vocalis.concurrency import Busy, RequestThreads

asked, go_on = threading.Semaphore(0), threading.Semaphore(0)


def slow(request):
    asked.release()
    assert go_on.acquire(timeout=10)
    return HttpResponse("done")


urlpatterns = [path("slow", slow), path("api/slow", slow), path("", include("vocalis.urls"))]


@pytest.fixture(autouse=True)
def one_at_a_time(monkeypatch, settings):
    settings.ROOT_URLCONF = __name__
    monkeypatch.setattr(asgi.pages, "threads", RequestThreads(1))
    monkeypatch.setattr(concurrency, "WAIT_SECONDS", 5)


def request(path: str = "/slow", **headers: str) -> ApplicationCommunicator:
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": [
            (b"host", b"localhost"),
            *((name.encode(), value.encode()) for name, value in headers.items()),
        ],
    }
    return ApplicationCommunicator(asgi.application, scope)


async def begin(path: str = "/slow", **headers: str) -> ApplicationCommunicator:
    client = request(path, **headers)
    await client.send_input({"type": "http.request", "body": b""})
    await asyncio.sleep(0.01)
    return client


async def answer(client: ApplicationCommunicator) -> tuple[int, dict[str, str], bytes]:
    start = await client.receive_output(timeout=10)
    body = await client.receive_output(timeout=10)
    await client.wait()
    return (
        start["status"],
        {name.decode().lower(): value.decode() for name, value in start["headers"]},
        body["body"],
    )


async def is_at_work() -> None:
    assert await asyncio.to_thread(asked.acquire, timeout=5)


def test_waiting_requests_are_served_in_order_as_threads_become_free():
    async def story():
        first, second = await begin(), await begin()
        await is_at_work()
        await asyncio.sleep(0.05)
        assert not asked.acquire(blocking=False), "one at a time"
        go_on.release()
        assert (await answer(first))[0] == 200
        await is_at_work()
        go_on.release()
        assert (await answer(second))[0] == 200

    asyncio.run(story())


@pytest.mark.parametrize(
    ("path", "accept", "words"),
    [
        ("/slow", "text/html", b"The site is very busy right now."),
        ("/slow", "application/json", b'{"error": "The site is very busy right now.'),
        ("/api/slow", "*/*", b'{"error": "The site is very busy right now.'),
    ],
)
def test_a_request_that_waited_too_long_gets_503_with_retry_after(
    path, accept, words, monkeypatch, caplog
):
    monkeypatch.setattr(concurrency, "WAIT_SECONDS", 0.1)

    async def story():
        first = await begin()
        await is_at_work()
        status, headers, body = await answer(await begin(path, accept=accept))
        go_on.release()
        await answer(first)
        return status, headers, body

    status, headers, body = asyncio.run(story())

    assert (status, headers["retry-after"]) == (503, "5")
    assert words in body and b"database" not in body
    assert headers["content-security-policy"] == settings.CONTENT_SECURITY_POLICY
    assert "WEB_REQUESTS" in caplog.text


def test_a_request_behind_too_many_others_gets_503_at_once(monkeypatch):
    monkeypatch.setattr(concurrency, "WAITING_MAX", 1)

    async def story():
        first, second = await begin(), await begin()
        await is_at_work()
        stopwatch = Stopwatch()
        assert (await answer(await begin()))[0] == 503
        assert stopwatch.seconds() < 1
        go_on.release(2)
        assert [(await answer(client))[0] for client in (first, second)] == [200, 200]

    asyncio.run(story())
    assert asked.acquire(timeout=1)


def test_a_request_cancelled_while_it_waits_takes_no_thread():
    async def story():
        first, second = await begin(), await begin()
        await is_at_work()
        second.future.cancel()
        third = await begin()
        go_on.release(2)
        assert [(await answer(client))[0] for client in (first, third)] == [200, 200]

    asyncio.run(story())
    assert asked.acquire(timeout=1) and not asked.acquire(blocking=False)


def test_a_thread_stays_taken_until_it_is_idle_even_if_the_client_has_left(monkeypatch):
    monkeypatch.setattr(concurrency, "WAIT_SECONDS", 0.2)

    async def story():
        one = RequestThreads(1)
        at_work = threading.Event()

        async def abandoned():
            async with one.acquire() as thread:
                asyncio.get_running_loop().run_in_executor(thread, at_work.wait, 5)
                await asyncio.sleep(0)

        await abandoned()
        with pytest.raises(Busy):
            async with one.acquire():
                pass
        at_work.set()
        async with one.acquire():
            pass

    asyncio.run(story())


def test_threads_outlive_the_event_loop_they_were_acquired_in():
    one = RequestThreads(1)

    async def acquire():
        async with one.acquire():
            pass

    for _ in range(20):
        asyncio.run(acquire())
