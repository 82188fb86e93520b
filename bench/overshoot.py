"""1,000 concurrent spends of 100 credits against a wallet of 5,000: exactly 50 may succeed.

At the ledger (8 threads) and through HTTP (a real daphne, 32 clients), on SQLite and on PostgreSQL.
The same against an API key's budget of 5,000, of an account that holds a thousand times as much.
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
from uuid import UUID

from bench import setup

SPENDS, CREDITS_EACH, CREDITS_HELD = 1_000, 100, 5_000
FAR_ABOVE = 1_000 * CREDITS_HELD  # the balance that an API key's budget is a small part of


def at_the_ledger() -> Counter[str]:
    return _reserve(setup.funded_wallet(CREDITS_HELD), None)


def at_a_keys_budget() -> Counter[str]:
    """Checks afterwards that the budget counts what was spent, and nothing more."""
    from billing import keys, ledger

    customer = setup.funded_customer(FAR_ABOVE)
    key, _ = keys.create(customer=customer, name="bench", limit=CREDITS_HELD, now=datetime.now(UTC))
    outcomes = _reserve(ledger.wallet_of(customer.pk).pk, key.pk)
    found = ledger.budgets.budget(key.pk, datetime.now(UTC))
    if (found.spent, found.held) != (outcomes["spent"] * CREDITS_EACH, 0):
        raise AssertionError(f"{outcomes} and {found}")
    return outcomes


def _reserve(wallet_id: int, api_key_id: UUID | None) -> Counter[str]:
    from billing import ledger

    def spend(number: int) -> str:
        now = datetime.now(UTC)
        try:
            reservation = ledger.reserve(
                wallet_id=wallet_id,
                key=str(number),
                amount=CREDITS_EACH,
                now=now,
                api_key_id=api_key_id,
            )
        except (ledger.InsufficientCredits, ledger.BudgetExceeded):
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
        ways = ("ledger", at_the_ledger), ("API key", at_a_keys_budget), ("http", through_http)
        for way, run in ways:
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
    print(json.dumps(figures, indent=2))
