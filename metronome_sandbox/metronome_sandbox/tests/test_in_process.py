"""Clients in the same process, without a port."""

import asyncio

import httpx
import pytest
from metronome import APITimeoutError, AsyncMetronome

from .world import NOW


@pytest.fixture
def metronome_sandbox_options():
    return {"now": NOW, "unit": "Tokens"}


def test_the_fixture_for_pytest_takes_options(metronome_sandbox):
    """It is that of the installed package, which pytest finds by itself."""
    assert metronome_sandbox.clock.now() == NOW
    units = metronome_sandbox.world.store.credit_types
    assert [unit.name for unit in units if not unit.is_currency] == ["Tokens"]
    assert metronome_sandbox.settings.evaluate_every_seconds == 0
    assert metronome_sandbox.webhooks == metronome_sandbox.deliveries == []


def test_an_async_client_needs_no_port_either(box):
    async def sell():
        http_client = httpx.AsyncClient(transport=box.transport())
        async with AsyncMetronome(
            bearer_token="sandbox", base_url="http://sandbox", http_client=http_client
        ) as client:
            await asyncio.gather(
                *(client.v1.customers.create(name=name) for name in ("Alice", "Bob"))
            )
            box.faults.add("/v1/customers", "timeout_after")
            with pytest.raises(APITimeoutError):
                await client.with_options(max_retries=0).v1.customers.create(name="Carol")
            return sorted([customer.name async for customer in client.v1.customers.list(limit=1)])

    assert asyncio.run(sell()) == ["Alice", "Bob", "Carol"]
