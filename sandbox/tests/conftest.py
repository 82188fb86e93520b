"""The real SDK, in process, refusing any answer that is not exactly the published shape."""

import httpx
import pytest
from metronome import Metronome

from sandbox import Sandbox

from .world import NOW, Shop, Wire


@pytest.fixture
def wire():
    return Wire()


@pytest.fixture
def box(wire):
    return Sandbox(
        now=NOW,
        webhooks=[("http://app/hooks", "secret")],
        sender=wire,
        evaluate_every_seconds=0,
        seed=7,
    )


@pytest.fixture
def client(box):
    return client_of(box)


def client_of(box, **options):
    options = {"max_retries": 0, "_strict_response_validation": True, **options}
    http_client = httpx.Client(transport=box.transport())
    return Metronome(
        bearer_token="sandbox", base_url="http://sandbox", http_client=http_client, **options
    )


@pytest.fixture
def shop(client):
    return Shop(client)
