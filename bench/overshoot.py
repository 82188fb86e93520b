"""1,000 concurrent spends of 100 credits against a wallet of 5,000: exactly 50 may succeed.

At the ledger (8 threads) and through HTTP (a real daphne, 32 clients), on SQLite and on PostgreSQL.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from bench import setup

SPENDS, CREDITS_EACH, CREDITS_HELD = 1_000, 100, 5_000


def at_the_ledger() -> Counter[str]:
    from billing import ledger

    wallet_id = setup.funded_wallet(CREDITS_HELD)

    def spend(number: int) -> str:
        now = datetime.now(UTC)
        try:
            reservation = ledger.reserve(
                wallet_id=wallet_id, key=str(number), amount=CREDITS_EACH, now=now
            )
        except ledger.InsufficientCredits:
            return "refused"
        ledger.capture(reservation_id=reservation.id, amount=CREDITS_EACH, now=now)
        return "spent"

    return in_parallel(spend, threads=8)


def through_http() -> Counter[str]:
    customer = setup.funded_customer(CREDITS_HELD)
    local = threading.local()
    with setup.server() as address:

        def spend(number: int) -> str:
            if not hasattr(local, "client"):
                local.client = setup.logged_in(customer.user, address)
            answer = local.client.post(
                f"{address}/studio/",
                data={"text": "a" * CREDITS_EACH, "voice": "standard"},
                headers={"Accept": "application/json", "Idempotency-Key": f"overshoot-{number}"},
            )
            return {201: "spent", 402: "refused"}.get(
                answer.status_code, f"HTTP {answer.status_code}"
            )

        return in_parallel(spend, threads=32)


def in_parallel(spend: Callable[[int], str], *, threads: int) -> Counter[str]:
    from django.db import connection

    share = range(-(-SPENDS // threads))

    def run(thread: int) -> list[str]:
        try:
            return [
                spend(thread * len(share) + at) for at in share if thread * len(share) + at < SPENDS
            ]
        finally:
            connection.close()

    with ThreadPoolExecutor(threads) as pool:
        return Counter(
            outcome for outcomes in pool.map(run, range(threads)) for outcome in outcomes
        )


def main(url: str) -> list[dict[str, Any]]:
    remove = setup.django(url)
    table = []
    try:
        for way, run in (("ledger", at_the_ledger), ("http", through_http)):
            started = time.perf_counter()
            outcomes = run()
            row: dict[str, Any] = {
                "database": "PostgreSQL" if url else "SQLite",
                "way": way,
                **outcomes,
            }
            row["credits_overshot"] = max(0, outcomes["spent"] * CREDITS_EACH - CREDITS_HELD)
            table.append(row | {"seconds": round(time.perf_counter() - started, 1)})
    finally:
        remove()
    return table


def both_databases() -> list[dict[str, Any]]:
    """Django is set up once a process, so each database has its own."""
    table = []
    for url in (
        "",
        os.environ.get("BENCH_DATABASE_URL", "postgres://postgres@127.0.0.1:5432/vocalis_bench"),
    ):
        child = subprocess.run(
            [sys.executable, "-m", "bench.overshoot", url],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        table += json.loads(child.stdout)
    return table


if __name__ == "__main__":
    figures = main(sys.argv[1]) if len(sys.argv) > 1 else {"overshoot": both_databases()}
    print(json.dumps(figures, indent=2))  # noqa: T201
