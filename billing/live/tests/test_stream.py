import asyncio
import json
import re
import threading
import time

import pytest
from channels.db import database_sync_to_async
from django.db import transaction
from django.test import Client

from billing import ledger
from billing.live import feeds, stream, wake
from billing.models import CreditGrant, Wallet
from conftest import fund
from tests.stopwatch import Stopwatch
from vocalis.asgi import application

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def in_memory_layer(settings):
    """Redis leaves tasks in each event loop; tests/test_streams_process.py tests it."""
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}


@pytest.fixture
def alice(alice):
    type(alice).objects.filter(pk=alice.pk).update(metronome_id="m-alice")
    return alice


@pytest.fixture
def cookie(alice):
    return log_in(alice)


@pytest.fixture
def bobs_cookie(bob):
    type(bob).objects.filter(pk=bob.pk).update(metronome_id="m-bob")
    return log_in(bob)


def log_in(customer):
    client = Client()
    client.force_login(customer.user)
    return client.cookies["sessionid"].value


class Browser:
    """A client of the ASGI application that records what it receives, and may be slow or leave."""

    def __init__(self, cookie="", customer_id="m-alice", method="GET", query="", **headers):
        headers = {"host": "localhost", "cookie": f"sessionid={cookie}", **headers}
        self.scope = {
            "type": "http",
            "method": method,
            "path": f"/api/webhooks/events/{customer_id}",
            "root_path": "",
            "query_string": query.encode(),
            "scheme": "http",
            "server": ("localhost", 80),
            "client": ("127.0.0.1", 1),
            "headers": [
                (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
            ],
        }
        self.inbox = asyncio.Queue()
        self.status, self.headers, self.body, self.ended = 0, {}, b"", False
        self.ready = asyncio.Event()
        self.ready.set()

    async def send(self, message):
        await self.ready.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            return
        self.body += message["body"]
        if not message.get("more_body"):
            self.ended = True
            self.inbox.put_nowait({"type": "http.disconnect"})

    async def open(self):
        self.inbox.put_nowait({"type": "http.request", "body": b"", "more_body": False})
        self.task = asyncio.create_task(application(self.scope, self.inbox.get, self.send))
        await until(lambda: self.body or self.ended)
        return self

    async def leave(self):
        self.inbox.put_nowait({"type": "http.disconnect"})
        await asyncio.wait_for(self.task, 5)

    @property
    def updates(self):
        found = re.findall(rb"id: (\d+)\nevent: balance_updated\ndata: (.*)\n\n", self.body)
        updates = [json.loads(data) for _, data in found]
        assert [update["version"] for update in updates] == [int(number) for number, _ in found]
        return updates

    @property
    def versions(self):
        return [update["version"] for update in self.updates]


async def until(condition, seconds=5):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        await asyncio.sleep(0.005)


@database_sync_to_async
def spend(wallet, key, now):
    ledger.reserve(wallet_id=wallet.id, key=key, amount=10, now=now)
    wake.wake(wallet.id)


def run(test):
    """Run an async test, and check that it leaves no stream, task or watcher behind."""

    async def whole():
        await test()
        assert len(stream.streams) == 0
        await until(lambda: len(asyncio.all_tasks()) == 1)

    asyncio.run(whole())
    for thread in threading.enumerate():
        if thread.name == "watcher":
            thread.join(5)


def test_a_stream_begins_with_connected_and_the_balance(alice, wallet, cookie):
    async def test():
        browser = await Browser(cookie).open()
        await browser.leave()

        assert browser.status == 200
        assert browser.headers["content-type"] == "text/event-stream"
        assert browser.headers["cache-control"] == "no-store"
        assert browser.headers["x-accel-buffering"] == "no"
        assert "content-length" not in browser.headers
        retry, connected = browser.body.split(b"\n\n")[:2]
        assert 2_000 <= int(retry.removeprefix(b"retry: ")) <= 4_000
        assert (
            connected == b'event: connected\ndata: {"type": "connected", "customer_id": "m-alice"}'
        )
        assert browser.updates == [
            {
                "type": "balance_updated",
                "customer_id": "m-alice",
                "balance": 500,
                "reserved": 0,
                "available": 500,
                "version": 1,
                "plan": None,
                "auto_recharge": False,
            }
        ]

    run(test)


def test_a_stream_carries_the_security_headers_of_every_page(alice, cookie, client):
    async def test():
        browser = await Browser(cookie).open()
        await browser.leave()
        page = await database_sync_to_async(client.get)("/api/billing/balance")

        names = (
            "x-content-type-options",
            "referrer-policy",
            "x-frame-options",
            "content-security-policy",
        )
        for name in names:
            assert browser.headers[name] == page.headers[name]

    run(test)


def test_a_change_reaches_every_stream_of_the_wallet_at_once(alice, wallet, cookie, now):
    async def test():
        tabs = [await Browser(cookie).open() for _ in range(2)]
        stopwatch = Stopwatch()

        await spend(wallet, "a", now)
        await until(lambda: all(tab.versions == [1, 2] for tab in tabs))

        assert stopwatch.seconds() < 0.8  # sooner than the watcher would
        assert tabs[0].updates[1]["available"] == 490
        for tab in tabs:
            await tab.leave()

    run(test)


def test_a_change_is_not_shown_to_anyone_else(alice, wallet, cookie, bobs_cookie, now):

    async def test():
        stranger = await Browser(bobs_cookie, "m-bob").open()
        browser = await Browser(cookie).open()

        await spend(wallet, "a", now)
        await until(lambda: browser.versions == [1, 2])

        assert [update["balance"] for update in stranger.updates] == [0]
        await stranger.leave()
        await browser.leave()

    run(test)


def test_a_change_in_another_process_arrives_without_a_wake_up(
    alice, wallet, cookie, now, monkeypatch
):
    monkeypatch.setattr("billing.live.watcher.READ_SECONDS", 0.05)

    async def test():
        browser = await Browser(cookie).open()
        await database_sync_to_async(ledger.reserve)(
            wallet_id=wallet.id, key="a", amount=10, now=now
        )
        await until(lambda: browser.versions == [1, 2])
        await browser.leave()

    run(test)


def test_a_customer_who_never_had_a_credit_is_shown_zero_and_then_the_first_ones(
    alice, cookie, now
):
    async def test():
        browser = await Browser(cookie).open()
        assert browser.updates[0]["balance"] == 0

        wallet = await database_sync_to_async(fund)(alice, 500, now)
        wake._publisher.publish(wallet.id)
        await until(lambda: browser.versions == [0, 1])
        await browser.leave()

    run(test)
    assert Wallet.objects.count() == 1


def test_a_stream_reports_once_that_credits_are_from_an_automatic_recharge(
    alice, wallet, cookie, now
):
    def recharge():
        with transaction.atomic():  # so that the watcher sees credits and name together
            fund(alice, 1_000, now, segment_id="recharge")
            CreditGrant.objects.filter(segment_id="recharge").update(name="Auto-recharge")
        wake.wake(wallet.id)

    async def test():
        browser = await Browser(cookie).open()
        await database_sync_to_async(recharge)()
        await until(lambda: browser.versions == [1, 2])
        await spend(wallet, "a", now)
        await until(lambda: browser.versions == [1, 2, 3])

        assert [update["auto_recharge"] for update in browser.updates] == [False, True, False]
        await browser.leave()

    run(test)


@pytest.mark.parametrize(
    ("seen", "is_reported"),
    [
        ({"last_event_id": "1"}, True),
        ({"query": "after=1"}, True),
        ({"last_event_id": "2"}, False),
        ({}, False),
        ({"last_event_id": "no number"}, False),
        ({"last_event_id": "9" * 400}, False),
    ],
)
def test_a_reconnecting_browser_is_told_of_a_recharge_it_missed(
    alice, wallet, cookie, now, seen, is_reported
):
    fund(alice, 1_000, now, segment_id="recharge")
    CreditGrant.objects.filter(segment_id="recharge").update(name="Auto-recharge")

    async def test():
        browser = await Browser(cookie, **seen).open()
        await browser.leave()

        assert [(update["balance"], update["auto_recharge"]) for update in browser.updates] == [
            (1_500, is_reported)
        ]

    run(test)


def test_a_slow_client_is_sent_the_newest_state_instead_of_all_it_missed(
    alice, wallet, cookie, now
):
    async def test():
        browser = await Browser(cookie).open()
        browser.ready.clear()
        for key in "abc":
            await spend(wallet, key, now)
            await asyncio.sleep(0.05)
        browser.ready.set()
        await until(lambda: browser.versions[-1] == 4)

        assert browser.versions == [1, 2, 4]
        await browser.leave()

    run(test)


def test_a_stream_tells_what_feeds_tell_as_it_changes(alice, wallet, cookie, monkeypatch, now):
    told = {wallet.id: {"step": 1}}
    monkeypatch.setitem(feeds._feeds, "steps", lambda wallets: told)

    async def test():
        browser = await Browser(cookie).open()

        def steps():
            return re.findall(rb"event: steps\ndata: (.*)\n\n", browser.body)

        assert list(map(json.loads, steps())) == [{"type": "steps", "step": 1}]
        told[wallet.id] = {"step": 2}
        await until(lambda: len(steps()) == 2)  # within a second, without a wake-up
        await spend(wallet, "a", now)  # says nothing new of steps
        await until(lambda: browser.versions == [1, 2])
        del told[wallet.id]
        await until(lambda: len(steps()) == 3)

        assert list(map(json.loads, steps()[1:])) == [
            {"type": "steps", "step": 2},
            {"type": "steps"},
        ]
        assert browser.versions == [1, 2]  # and nothing of the balance
        await browser.leave()

    run(test)


def test_a_quiet_stream_is_kept_alive_by_comments(alice, wallet, cookie, monkeypatch):
    monkeypatch.setattr(stream, "CHECK_SECONDS", 0.02)
    monkeypatch.setattr(stream, "HEARTBEAT_SECONDS", 0.05)

    async def test():
        browser = await Browser(cookie).open()
        await until(lambda: browser.body.count(b"\n\n:\n\n:\n\n") == 1)
        assert browser.versions == [1]
        await browser.leave()

    run(test)


def test_a_stream_ends_after_ten_minutes(alice, wallet, cookie, monkeypatch):
    monkeypatch.setattr(stream, "CHECK_SECONDS", 0.02)
    monkeypatch.setattr(stream, "LIFE_SECONDS", 0.05)

    async def test():
        browser = await Browser(cookie).open()
        await until(lambda: browser.ended)
        await asyncio.wait_for(browser.task, 5)

    run(test)


def test_one_stream_too_many_for_a_customer_ends_the_oldest(alice, wallet, cookie, monkeypatch):
    monkeypatch.setattr(stream, "CUSTOMER_STREAMS_MAX", 2)

    async def test():
        tabs = [await Browser(cookie).open() for _ in range(3)]
        await until(lambda: tabs[0].ended)

        assert [tab.ended for tab in tabs] == [True, False, False]
        assert len(stream.streams) == 2
        for tab in tabs[1:]:
            await tab.leave()

    run(test)


def test_one_stream_too_many_for_a_process_ends_the_oldest(
    alice, wallet, cookie, bobs_cookie, monkeypatch
):
    monkeypatch.setattr(stream, "STREAMS_MAX", 1)

    async def test():
        first = await Browser(cookie).open()
        second = await Browser(bobs_cookie, "m-bob").open()
        await until(lambda: first.ended)

        assert not second.ended
        await second.leave()

    run(test)


def test_a_server_that_shuts_down_ends_the_response(alice, wallet, cookie):
    async def test():
        browser = await Browser(cookie).open()
        browser.task.cancel()
        await asyncio.gather(browser.task, return_exceptions=True)

        assert browser.ended

    run(test)


def test_the_watcher_runs_from_the_first_stream_to_the_last(alice, wallet, cookie):
    async def test():
        assert stream.streams._watcher is None
        tabs = [await Browser(cookie).open() for _ in range(2)]
        thread = stream.streams._watcher._thread

        await tabs[0].leave()
        assert thread.is_alive()
        await tabs[1].leave()
        await until(lambda: not thread.is_alive())

    run(test)


@pytest.mark.parametrize(
    ("request_of", "status", "error"),
    [
        (lambda cookie: Browser(), 401, "Log in to follow your balance."),
        (lambda cookie: Browser("forged"), 401, "Log in to follow your balance."),
        (lambda cookie: Browser(cookie, "m-bob"), 404, "There is no such customer."),
        (lambda cookie: Browser(cookie, "nobody"), 404, "There is no such customer."),
        (lambda cookie: Browser(cookie, "None"), 404, "There is no such customer."),
        (lambda cookie: Browser(cookie, "m-alice\x00"), 404, "There is no such customer."),
        (lambda cookie: Browser(cookie, method="POST"), 405, None),
        (lambda cookie: Browser(cookie, method="HEAD"), 405, None),
        (lambda cookie: Browser(cookie, host="evil.example"), 400, None),
        (lambda cookie: Browser(cookie, customer_id="m-alice/more"), 404, None),
    ],
)
def test_a_stream_is_opened_for_its_owner_only(
    alice, cookie, bobs_cookie, request_of, status, error
):
    async def test():
        browser = await request_of(cookie).open()
        await asyncio.wait_for(browser.task, 5)

        assert browser.status == status
        assert browser.ended
        if error:
            assert json.loads(browser.body) == {"error": error}

    run(test)


def test_a_deactivated_user_cannot_listen(alice, cookie):
    type(alice.user).objects.update(is_active=False)

    async def test():
        browser = await Browser(cookie).open()
        assert browser.status == 401

    run(test)


def test_opening_a_stream_leaves_no_connection_behind(alice, wallet, cookie, monkeypatch):
    from django.db import connection

    left = []

    def ask(scope, ask=stream._ask_django):
        answer = ask(scope)
        left.append(connection.connection)
        return answer

    monkeypatch.setattr(stream, "_ask_django", ask)

    async def test():
        await (await Browser(cookie).open()).leave()

    run(test)
    assert left == [None]


def test_a_server_without_streaming_answers_with_the_opening(client, alice, wallet):
    client.force_login(alice.user)

    answer = client.get("/api/webhooks/events/m-alice")

    assert answer.status_code == 200
    assert b"event: connected" in answer.content
    assert b'"available": 500' in answer.content
