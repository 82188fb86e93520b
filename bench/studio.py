"""POST /studio/ against a trivial authenticated view with one INSERT, by one client in one run.

The time eSpeak NG takes is subtracted: the server says it in the Server-Timing header of the
answer.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import time
from typing import Any

import requests

from bench import setup

TEXT = ("Every credit is counted once, and every sentence is paid for exactly one time. " * 2)[:100]
REQUESTS = int(os.environ.get("BENCH_REQUESTS", "150"))


def main() -> dict[str, Any]:
    remove = setup.django(
        os.environ.get("BENCH_DATABASE_URL", "postgres://postgres@127.0.0.1:5432/vocalis_bench")
    )
    try:
        with setup.server() as address:
            client = setup.logged_in(setup.funded_customer(10**9).user, address)
            studio, insert = f"{address}/studio/", f"{address}/bench/insert/"
            for _ in range(20):
                speak(client, studio)
                client.post(insert).raise_for_status()
            spoken, inserted = [], []
            for _ in range(REQUESTS):  # in turn, so that a slow moment of the machine meets both
                spoken.append(speak(client, studio))
                started = time.perf_counter()
                client.post(insert).raise_for_status()
                inserted.append((time.perf_counter() - started) * 1_000)
        ours, trivial = statistics.median(spoken), statistics.median(inserted)
        return {
            "studio": {
                "studio_ms": round(ours, 2),
                "insert_ms": round(trivial, 2),
                "ratio": round(ours / trivial, 2),
            }
        }
    finally:
        remove()


def speak(client: requests.Session, url: str) -> float:
    """Milliseconds of one request, without the synthesis."""
    started = time.perf_counter()
    answer = client.post(
        url, data={"text": TEXT, "voice": "standard"}, headers={"Accept": "application/json"}
    )
    elapsed = (time.perf_counter() - started) * 1_000
    assert answer.status_code == 201, answer.text
    synthesis = re.search(r"synthesis;dur=([\d.]+)", answer.headers["Server-Timing"])
    assert synthesis
    return elapsed - float(synthesis[1])


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
