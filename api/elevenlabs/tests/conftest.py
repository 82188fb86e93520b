"""A key of alice's, an engine that speaks a tone at once, and requests as clients send them."""

from __future__ import annotations

import asyncio
import json

import pytest
from django.test import Client

from billing import keys
from billing.models import Wallet
from usage.audio.tests.test_encoders import tone
from usage.engines.tests.quick import QuickEngine
from usage.speech import speak, stream

PIECE_SAMPLES = 12_000  # half a second


class ToneEngine(QuickEngine):
    """Each piece is half a second of a tone. It remembers at which speed."""

    characters_max = first_characters_max = 100

    def __init__(self):
        super().__init__(samples=tone(PIECE_SAMPLES))
        self.speeds = []

    def speak(self, pieces, *, settings, speed=1.0, piece_seconds=20):
        self.speeds.append(speed)
        for spoken in super().speak(pieces, settings=settings):
            count = len(spoken.piece.words)
            length = 0.4 / max(1, count)
            times = tuple((n * length, (n + 0.8) * length) for n in range(count))
            yield type(spoken)(spoken.piece, spoken.samples, times)


@pytest.fixture
def engine(monkeypatch):
    quick = ToneEngine()
    for module in (speak, stream):
        monkeypatch.setattr(module, "engine", lambda name: quick)
    yield quick
    assert stream.running() == 0


@pytest.fixture
def secret(alice, now):
    return keys.create(customer=alice, name="k", scopes=["speech", "read", "voices"], now=now)[1]


@pytest.fixture
def ask(secret):
    """Ask at an address: `ask("GET", "/v1/voices")`, with a body or none."""

    def asking(method, address, body=None, **headers):
        sent = {"xi-api-key": secret} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body)
        return Client().generic(
            method, address, data, content_type="application/json", headers=sent
        )

    return asking


def read(response) -> bytes:
    """The body of an answer, streamed or not."""
    if not response.streaming:
        return response.content

    async def collected():
        return b"".join([part async for part in response.streaming_content])

    try:
        return asyncio.run(collected())
    finally:
        response.close()


def credits(customer):
    return Wallet.objects.values_list("balance", "reserved").get(customer=customer)
