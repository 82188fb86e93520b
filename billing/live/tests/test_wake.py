import asyncio
import threading
import time

import pytest
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from django.db import transaction

from billing.live import wake
from tests.stopwatch import Stopwatch


@pytest.fixture(autouse=True)
def in_memory_layer(settings):
    """Redis leaves tasks in each event loop; tests/test_streams_process.py tests it."""
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}


async def collect(during, *, until=1, seconds=2.0):
    """What `listen` receives while `during()` runs in a thread, as in a request."""
    received = []
    listener = asyncio.create_task(wake.listen(received.extend))
    await asyncio.sleep(0.01)
    await database_sync_to_async(during)()
    deadline = time.monotonic() + seconds
    while len(received) < until and time.monotonic() < deadline:
        await asyncio.sleep(0.005)
    listener.cancel()
    await asyncio.gather(listener, return_exceptions=True)
    return received


def close(loop):
    loop.call_soon_threadsafe(loop.stop)
    while loop.is_running():
        time.sleep(0.01)
    loop.close()


class Broken:
    """A channel layer whose Redis is down."""

    def __getattr__(self, name):
        async def fail(*args, **kwargs):
            raise ConnectionError("no Redis")

        return fail


@pytest.fixture
def broken_layer(monkeypatch):
    monkeypatch.setattr(wake, "get_channel_layer", Broken)
    monkeypatch.setattr(wake, "_logged_at", -1e9)


@pytest.mark.django_db(transaction=True)
def test_a_wake_up_from_a_request_thread_reaches_this_process():
    assert asyncio.run(collect(lambda: wake.wake(7))) == [7]


@pytest.mark.django_db(transaction=True)
def test_a_wake_up_waits_for_the_commit():
    order = []

    def change():
        with transaction.atomic():
            wake.wake(7)
            time.sleep(0.05)
            order.append("committed")

    async def run():
        listener = asyncio.create_task(wake.listen(lambda ids: order.append("woken")))
        await asyncio.sleep(0.01)
        await database_sync_to_async(change)()
        await asyncio.sleep(0.05)
        listener.cancel()

    asyncio.run(run())

    assert order == ["committed", "woken"]


@pytest.mark.django_db(transaction=True)
def test_nothing_is_woken_by_what_was_rolled_back():
    def change():
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            wake.wake(7)
            1 / 0  # noqa: B018

    assert asyncio.run(collect(change, seconds=0.1)) == []


@pytest.mark.django_db(transaction=True)
def test_many_changes_at_once_travel_together(monkeypatch):
    sent = []
    layer = get_channel_layer()
    send = layer.group_send

    async def count(group, message):
        sent.append(message)
        await send(group, message)

    monkeypatch.setattr(layer, "group_send", count)

    async def run():
        received = []
        listener = asyncio.create_task(wake.listen(received.extend))
        await asyncio.sleep(0.01)
        for wallet_id in range(100):  # the loop is busy meanwhile, as under load
            wake._publisher.publish(wallet_id)
        await asyncio.sleep(0.05)
        listener.cancel()
        return received

    assert sorted(asyncio.run(run())) == list(range(100))
    assert len(sent) == 1


@pytest.mark.django_db(transaction=True)
def test_waking_without_possible_listeners_starts_nothing():
    before = threading.active_count()

    wake.wake(7)

    assert threading.active_count() == before


@pytest.mark.django_db(transaction=True)
def test_a_layer_that_is_down_fails_no_caller_and_is_logged_once_a_minute(broken_layer, caplog):
    def change():
        for wallet_id in range(50):
            wake.wake(wallet_id)
            time.sleep(0.001)

    assert asyncio.run(collect(change, seconds=0.1)) == []
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "no Redis" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_layer_that_hangs_does_not_delay_the_caller(monkeypatch):
    class Hanging:
        async def group_send(self, group, message):
            await asyncio.sleep(60)

    monkeypatch.setattr(wake, "get_channel_layer", Hanging)
    monkeypatch.setattr(wake, "SEND_SECONDS", 0.01)
    monkeypatch.setattr(wake, "_publisher", wake._Publisher())
    stopwatch = Stopwatch()

    for wallet_id in range(1_000):
        wake.wake(wallet_id)

    assert stopwatch.seconds() < 1
    assert wake._publisher._own.is_running()
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0.1), wake._publisher._own).result(5)
    close(wake._publisher._own)


def test_listening_resumes_when_the_layer_is_back(broken_layer, monkeypatch):
    monkeypatch.setattr(wake, "REJOIN_SECONDS", 0.01)
    woken = []

    async def run():
        listener = asyncio.create_task(wake.listen(woken.extend))
        await asyncio.sleep(0.05)
        monkeypatch.setattr(wake, "get_channel_layer", get_channel_layer)
        await asyncio.sleep(0.05)
        await get_channel_layer().group_send(
            wake.GROUP, {"type": "wallets.changed", "wallets": [3]}
        )
        await asyncio.sleep(0.05)
        listener.cancel()

    asyncio.run(run())

    assert woken == [3]
