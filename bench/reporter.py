"""Events a second through the worker's reporter, against a bare loop of full `usage.ingest` calls.

Both meet the same sandbox in the same run, in turn; the reporter also claims, settles and
acknowledges its rows.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from bench import setup

BATCH = 100
BATCHES = int(os.environ.get("BENCH_BATCHES", "40"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))


def main() -> dict[str, Any]:
    with sandbox() as address:
        remove = setup.django(os.environ.get("BENCH_DATABASE_URL", ""), METRONOME_API_URL=address)
        try:
            return {"reporter": measure()}
        finally:
            remove()


def measure() -> dict[str, Any]:
    from django.db import connection

    wallet_id = setup.funded_wallet(10**9)
    bare, reported = 0.0, 0.0
    for _ in range(ROUNDS):
        reported += report(wallet_id)
        bare += send(wallet_id)
    events = ROUNDS * BATCHES * BATCH
    return {
        "database": connection.vendor,
        "bare_events_a_second": round(events / bare),
        "reported_events_a_second": round(events / reported),
        "ratio": round(bare / reported, 2),
    }


@contextmanager
def sandbox() -> Iterator[str]:
    """A sandbox of its own. Yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "metronome_sandbox", "--port", str(port)], stdout=subprocess.DEVNULL
    )
    try:
        for _ in range(200):
            with suppress(OSError), socket.create_connection(("localhost", port)):
                break
            time.sleep(0.05)
        yield f"http://localhost:{port}"
    finally:
        process.terminate()
        process.wait(10)


def report(wallet_id: int) -> float:
    """Seconds of the reporter, from the first claim to the last settled batch."""
    from usage.metering.reporter import REPORT
    from usage.models import UsageEvent

    insert_events(wallet_id, BATCH * BATCHES)
    started = time.perf_counter()
    while REPORT.run(datetime.now(UTC)):
        pass
    elapsed = time.perf_counter() - started
    assert not UsageEvent.objects.filter(sent_at=None).exists()
    return elapsed


def insert_events(wallet_id: int, number: int) -> None:
    """That many captured events, due now.
    Written in bulk: how they came to be is not measured here."""
    from django.db import connection

    from billing.models import Reservation, Wallet
    from usage.models import UsageEvent

    now = datetime.now(UTC)
    customer = Wallet.objects.get(id=wallet_id).customer
    captured = Reservation.objects.bulk_create(
        Reservation(
            wallet_id=wallet_id,
            key=str(uuid4()),
            amount=100,
            captured=100,
            state="captured",
            created_at=now,
            expires_at=now,
            resolved_at=now,
        )
        for _ in range(number)
    )
    UsageEvent.objects.bulk_create(
        UsageEvent(
            transaction_id=f"vocalis-gen-{uuid4()}",
            customer=customer,
            event_type="voice_generation",
            happened_at=now,
            properties={"voice_type": "standard", "text_length": "100"},
            credits=100,
            reservation=reservation,
            created_at=now,
            due_at=now,
        )
        for reservation in captured
    )
    with connection.cursor() as cursor:  # what autovacuum does within a minute
        cursor.execute("ANALYZE")


def send(wallet_id: int) -> float:
    """Seconds of the bare loop."""
    from billing import metronome
    from billing.models import Wallet

    alias = Wallet.objects.get(id=wallet_id).customer.stable_alias
    timestamp = datetime.now(UTC).isoformat()
    batches = [
        [
            {
                "transaction_id": f"vocalis-gen-{uuid4()}",
                "customer_id": alias,
                "event_type": "voice_generation",
                "timestamp": timestamp,
                "properties": {"voice_type": "standard", "text_length": "100"},
            }
            for _ in range(BATCH)
        ]
        for _ in range(BATCHES)
    ]
    client = metronome.client.client()
    started = time.perf_counter()
    for batch in batches:
        client.v1.usage.ingest(usage=batch)
    return time.perf_counter() - started


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
