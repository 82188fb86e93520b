"""The API through a real Daphne: how soon the first byte of an mp3 is there for a program that asks
for 100 characters, beside the time of a trivial view, with 1 client and with 20. What the gate and
the framework take of it is what remains without the engine's own time to its first bytes.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import requests

from bench import setup, voices
from usage import engines

TEXT = ("Every credit is counted once, and every sentence is paid for exactly one time. " * 2)[:100]
REQUESTS = int(os.environ.get("BENCH_REQUESTS", "60"))
CLIENTS = 20


def main() -> dict[str, Any]:
    remove = setup.django(
        os.environ.get("BENCH_DATABASE_URL", "postgres://postgres@127.0.0.1:5432/vocalis_bench")
    )
    try:
        with setup.server(THROTTLE="off") as address:
            client = program()
            trivial = f"{address}/v1/key"
            for _ in range(10):
                speech(client, address, "standard")
                engine_alone()
                timed(client, trivial)
            one, alone, views = [], [], []
            for _ in range(REQUESTS):
                one.append(speech(client, address, "standard"))
                alone.append(engine_alone())
                views.append(timed(client, trivial))
            with ThreadPoolExecutor(CLIENTS) as many:
                at_once = list(
                    many.map(lambda _: speech(client, address, "standard"), range(REQUESTS * 2))
                )
            speech(client, address, "premium")
            premium = [speech(client, address, "premium") for _ in range(5)]
        return {
            "api": {
                "trivial_view_ms": median(views),
                "first_byte_ms": (first_byte := median([first for first, _ in one])),
                "engine_first_byte_ms": (engine_first_byte := median(alone)),
                "gate_and_framework_ms": round(first_byte - engine_first_byte, 1),
                "whole_ms": median([whole for _, whole in one]),
                f"first_byte_{CLIENTS}_clients_ms": median([first for first, _ in at_once]),
                "premium_first_byte_ms": median([first for first, _ in premium]),
            }
        }
    finally:
        engines.close()
        remove()


def program() -> requests.Session:
    """A client with a key of a customer who has plenty."""
    from billing import keys

    customer = setup.funded_customer(10**9)
    _, secret = keys.create(customer=customer, name="bench", now=datetime.now(UTC))
    client = setup.direct()
    client.headers["Authorization"] = f"Bearer {secret}"
    client.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=CLIENTS))
    return client


def speech(client: requests.Session, address: str, voice: str) -> tuple[float, float]:
    """Milliseconds until the first byte of the mp3, and until its end."""
    asked = {"text": TEXT, "voice": voice, "format": "mp3"}
    began = time.perf_counter()
    with client.post(f"{address}/v1/speech", json=asked, stream=True, timeout=60) as answer:
        answer.raise_for_status()
        content = answer.iter_content(None)
        next(content)
        first = time.perf_counter()
        for _ in content:
            pass
    return (first - began) * 1_000, (time.perf_counter() - began) * 1_000


def engine_alone() -> float:
    """Milliseconds until the first bytes of the same mp3 from the engine and the encoder alone."""
    first, _, _ = voices.heard(voices.STANDARD, TEXT)
    return first * 1_000


def timed(client: requests.Session, url: str) -> float:
    """Milliseconds of a request that only authenticates and reads one row."""
    began = time.perf_counter()
    client.get(url, timeout=60).raise_for_status()
    return (time.perf_counter() - began) * 1_000


def median(figures: list[float]) -> float:
    return round(statistics.median(figures), 1)


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
