"""reserve + capture through `billing.ledger` against the same SQL by psycopg, in one run.

The ratio says what Django and Python around the SQL cost; the figures per second are this
machine's.
"""

from __future__ import annotations

import itertools
import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from bench import setup

SECONDS = float(os.environ.get("BENCH_SECONDS", "3"))
ROUNDS = 3


Worker = Callable[[int], AbstractContextManager[Callable[[], None]]]


def rate(worker: Worker, threads: int) -> float:
    """Calls per second of `threads` threads, each calling what `worker(its number)` yields."""
    counts = [0] * threads
    start = threading.Barrier(threads)

    def run(number: int) -> None:
        with worker(number) as once:
            once()
            start.wait()
            until = time.perf_counter() + SECONDS
            while time.perf_counter() < until:
                once()
                counts[number] += 1

    running = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    [thread.start() for thread in running]
    [thread.join() for thread in running]
    return sum(counts) / SECONDS


def through_ledger(wallets: list[int]) -> Worker:
    from django.db import connection

    from billing import ledger

    @contextmanager
    def worker(number: int) -> Iterator[Callable[[], None]]:
        wallet_id, keys = wallets[number % len(wallets)], itertools.count()
        prefix = secrets.token_hex(6)

        def once() -> None:
            now = datetime.now(UTC)
            reservation = ledger.reserve(
                wallet_id=wallet_id, key=f"{prefix}-{next(keys)}", amount=10, now=now
            )
            ledger.capture(reservation_id=reservation.id, amount=10, now=now)

        yield once
        connection.close()

    return worker


def straight(wallets: list[int]) -> Worker:
    """The ledger's own statements and transactions on a bare psycopg connection."""
    import psycopg
    from django.db import connection

    from billing.ledger import drawdown, entries, reservations
    from billing.ledger.grants import CONSUME

    parameters: dict[str, Any] = {
        key: value
        for key, value in connection.get_connection_params().items()
        if key in ("dbname", "user", "password", "host", "port")
    }

    @contextmanager
    def worker(number: int) -> Iterator[Callable[[], None]]:
        wallet_id, keys = wallets[number % len(wallets)], itertools.count()
        prefix = secrets.token_hex(6)
        database = psycopg.connect(**parameters, autocommit=True)
        cursor = database.cursor()

        def once() -> None:
            now = datetime.now(UTC)
            key = f"{prefix}-{next(keys)}"
            cursor.execute(reservations.READ_FOR_RESERVE, [key, wallet_id]).fetchone()
            with database.transaction():
                cursor.execute(
                    reservations.INSERT_RESERVATION,
                    [wallet_id, key, None, 10, now, now + timedelta(minutes=10)],
                )
                (reservation_id,) = cursor.fetchone()  # type: ignore[misc]
                cursor.execute(reservations.RESERVE_AVAILABLE, [10, wallet_id, 10, now, now])
            with database.transaction():
                cursor.execute(
                    reservations.RESOLVE, ["captured", 10, now, reservation_id, 10]
                ).fetchone()
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [wallet_id])
                grants = cursor.execute(drawdown.DRAWABLE, [wallet_id, now]).fetchall()
                cursor.execute(CONSUME, [10, grants[0][0]])
                balance, version = cursor.execute(
                    entries.CHANGE_WALLET, [-10, 10, wallet_id]
                ).fetchone()  # type: ignore[misc]
                consumptions = json.dumps([(grants[0][0], 10)])
                entry = [
                    wallet_id,
                    "capture",
                    -10,
                    balance,
                    version,
                    None,
                    reservation_id,
                    consumptions,
                    "",
                    now,
                ]
                cursor.execute(entries.WRITE_ENTRY, entry)

        yield once
        database.close()

    return worker


def main() -> dict[str, Any]:
    remove = setup.django(
        os.environ.get("BENCH_DATABASE_URL", "postgres://postgres@127.0.0.1:5432/vocalis_bench")
    )
    try:
        result: dict[str, Any] = {}
        for name, threads, wallet_count in (
            ("one_thread", 1, 1),
            ("eight_threads_one_wallet", 8, 1),
            ("eight_threads_own_wallets", 8, 8),
        ):
            wallets = [setup.funded_wallet(10**12) for _ in range(wallet_count)]
            pairs = [
                (rate(through_ledger(wallets), threads), rate(straight(wallets), threads))
                for _ in range(ROUNDS)
            ]
            ours, bare = sorted(pairs, key=lambda pair: pair[0] / pair[1])[ROUNDS // 2]
            result[name] = {
                "ledger_per_second": round(ours),
                "psycopg_per_second": round(bare),
                "ratio": round(ours / bare, 2),
            }
        return {"gate": result}
    finally:
        remove()


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
