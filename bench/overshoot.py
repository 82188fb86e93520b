"""1,000 concurrent spends of 100 credits against a wallet of 5,000: exactly 50 may succeed.

At the ledger (8 threads) and through HTTP (a real daphne, 32 clients), on SQLite and on PostgreSQL.
"""

from __future__ import annotations

import json
import os
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
    from django.db import connection

    from billing import ledger

    wallet_id = setup.funded_wallet(CREDITS_HELD)

    def spend(number: int) -> str:
        now = datetime.now(UTC)
        try:
            hold = ledger.reserve(wallet_id=wallet_id, key=str(number), amount=CREDITS_EACH, now=now)
        except ledger.InsufficientCredits:
            return "refused"
        ledger.capture(reservation_id=hold.id, amount=CREDITS_EACH, now=now)
        return "spent"

    return in_parallel(spend, threads=8, close=connection.close)


def through_http() -> Counter[str]:
    customer = setup.funded_customer(CREDITS_HELD)
    with setup.server() as address:
        local = threading.local()

        def spend(number: int) -> str:
            if not hasattr(local, "client"):
                local.client = setup.logged_in(customer, address)
            answer = local.client.post(
                f"{address}/studio/",
                data={"text": "a" * CREDITS_EACH, "voice": "standard"},
                headers={"Accept": "application/json", "Idempotency-Key": f"overshoot-{number}"},
            )
            return {201: "spent", 402: "refused"}.get(answer.status_code, f"HTTP {answer.status_code}")

        from django.db import connection

        return in_parallel(spend, threads=32, close=connection.close)


def in_parallel(spend: Callable[[int], str], *, threads: int, close: Callable[[], None]) -> Counter[str]:
    with ThreadPoolExecutor(threads) as pool:
        outcomes = Counter(pool.map(spend, range(SPENDS)))
        list(pool.map(lambda _: (time.sleep(0.05), close()), range(threads)))
    return outcomes


def main() -> dict[str, Any]:
    table = []
    postgres = os.environ.get("BENCH_DATABASE_URL", "postgres://postgres@127.0.0.1:5432/vocalis_bench")
    # One database a process: Django is set up once. The other one runs in a child.
    url = os.environ.get("OVERSHOOT_DATABASE_URL")
    if url is None:
        import subprocess
        import sys

        for one in ("", postgres):
            child = subprocess.run(
                [sys.executable, "-m", "bench.overshoot"], env=os.environ | {"OVERSHOOT_DATABASE_URL": one},
                check=True, capture_output=True, text=True,
            )  # fmt: skip
            table += json.loads(child.stdout)["overshoot"]
        return {"overshoot": table}
    remove = setup.django(url)
    try:
        for way, run in (("ledger", at_the_ledger), ("http", through_http)):
            started = time.perf_counter()
            outcomes = run()
            table.append(
                {"database": "PostgreSQL" if url else "SQLite", "way": way, **outcomes,
                 "credits_overshot": max(0, outcomes["spent"] * CREDITS_EACH - CREDITS_HELD),
                 "seconds": round(time.perf_counter() - started, 1)}
            )  # fmt: skip
    finally:
        remove()
    return {"overshoot": table}


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))  # noqa: T201
