"""A key of alice's, an engine that speaks at once, and how the dialect is asked."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import dataclass, field

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.test import AsyncClient

from billing import keys
from conftest import fund
from tests import processes
from usage.engines import EngineFailed
from usage.engines.tests.quick import QuickEngine
from usage.speech import speak, stream

SPEECH = "/v1/audio/speech"


class Gated(QuickEngine):
    """Speaks each piece once somebody lets it; `fails` is the number of the piece that fails."""

    characters_max = first_characters_max = 100

    def __init__(self):
        super().__init__(self.wait, samples=bytes(2 * 2_400))
        self.gate = threading.Semaphore(1_000)
        self.fails = 0
        self.speeds = []

    def speak(self, pieces, *, settings, speed=1.0, piece_seconds=20):
        self.speeds.append(speed)
        return super().speak(pieces, settings=settings, speed=speed)

    def wait(self):
        assert self.gate.acquire(timeout=20)
        if self.calls == self.fails:
            raise EngineFailed("It broke.")


def all_settled():
    """Wait for the threads that speak: they charge what is left to them."""
    processes.wait_until(lambda: stream._free._value == stream.STREAMS_MAX, "end of a stream")


@pytest.fixture
def engine(monkeypatch):
    gated = Gated()
    for module in (speak, stream):
        monkeypatch.setattr(module, "engine", lambda name: gated)
    yield gated
    gated.gate.release(1_000)
    all_settled()


@pytest.fixture
def rich(alice, now):
    return fund(alice, 100_000, now)


@pytest.fixture
def secret(alice, now):
    return keys.create(customer=alice, name="k", scopes=["speech"], now=now)[1]


@dataclass
class Answer:
    status: int
    headers: dict
    pieces: list[bytes] = field(default_factory=list)

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def error(self) -> dict:
        return json.loads(self.body)["error"]


@pytest.fixture
def ask(secret, engine):
    """Ask for speech: a value is JSON, bytes are sent as they are."""

    def asking(body, *, key=secret, path=SPEECH, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if key:
            headers["authorization"] = f"Bearer {key}"
        data = body if isinstance(body, bytes) else json.dumps(body).encode()

        async def story():
            try:
                got = await AsyncClient(raise_request_exception=False).post(
                    path, data, content_type="application/json", headers=headers
                )
                answer = Answer(got.status_code, got.headers)
                if got.streaming:
                    answer.pieces = [piece async for piece in got.streaming_content]
                else:
                    answer.pieces = [got.content]
                return answer
            finally:
                await sync_to_async(connections.close_all)()

        return asyncio.run(story())

    return asking
