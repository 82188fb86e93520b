"""The gate and the pages on a database with a million of everything, against an almost empty one.

Two databases, a daphne on each, asked in turn. The million rows belong to 1,000 customers, one of
whom has 100,000 of them; both databases show full lists to that customer, to an ordinary one and to
an operator, so what is compared is how they are found. Milliseconds are medians; `ratio` is big to
empty. Then the commands that walk over everything, and the memory they take at most.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import requests
from django.db import connection, transaction

from bench import making_rows, paying_rows, setup, studio

URL = os.environ.get("BENCH_DATABASE_URL", "postgres://postgres@127.0.0.1:5432/vocalis_bench")
ROWS = int(os.environ.get("BENCH_ROWS", "1_000_000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "40"))
ONLY = os.environ.get("BENCH_ONLY", "")  # what to measure: a regular expression of its name
WARM = 5
WORK = ("gate", "compare", "grant")  # see bench.urls
COMMANDS = (
    "replay_webhooks --since 91d --dry-run",
    "prune --days 40 --dry-run",
    "prune --days 40",
    "replay_webhooks --since 91d",
)
PAGES = (
    "/studio/",
    "/usage/",
    "/usage/?range=90&every=week",
    "/billing/",
    "/api/billing/balance",
    *paying_rows.PAGES,
    *making_rows.PAGES,
)
CUSTOMERS, DAYS = 1_000, 90
FEW_ROWS, FEW_DAYS = 4_000, 14  # enough to fill a page of each list of paying

WHO = """
CREATE TEMP TABLE who AS
SELECT row_number() OVER (ORDER BY w.id) - 1 AS n, w.id AS wallet, c.id AS customer,
       c.metronome_id, g.id AS grant_id
  FROM billing_wallet w
  JOIN accounts_customer c ON c.id = w.customer_id
  JOIN billing_creditgrant g ON g.wallet_id = w.id
 ORDER BY w.id LIMIT %(customers)s"""
# Every tenth row is of the first customer.
# The id says how many are newer, so that the newest ones have the same ids whatever the number.
SPOKEN = """
CREATE TEMP TABLE spoken AS
SELECT i, at, md5('spoken' || %(rows)s - i)::uuid AS id, who.*,
       row_number() OVER (PARTITION BY n ORDER BY i) AS nth,
       (SELECT COALESCE(MAX(id), 0) FROM billing_reservation) + i AS reservation
  FROM (SELECT i, now() - (%(rows)s - i) * interval '1 day' * %(days)s / %(rows)s AS at,
               CASE WHEN i %% 10 = 0 THEN 0 ELSE 1 + (%(rows)s - i - 1) %% (%(customers)s - 1)
                END AS n
          FROM generate_series(1, %(rows)s) i) spread JOIN who USING (n)
 ORDER BY i"""
FILL = (
    *making_rows.BEFORE,
    """INSERT INTO billing_reservation
       (id, wallet_id, key, amount, captured, state, created_at, expires_at, resolved_at,
        reported_at)
SELECT reservation, wallet, 'gen-' || id || '-0', 100, 100, 'captured', at,
       at + interval '10 min', at, at + interval '1 s'
  FROM spoken""",
    "SELECT setval('billing_reservation_id_seq', (SELECT MAX(id) FROM billing_reservation))",
    """INSERT INTO billing_ledgerentry
       (wallet_id, kind, amount, balance_after, version, reservation_id, consumptions, note,
        created_at)
SELECT wallet, 'capture', -100, 1000000000 - 100 * nth, 1 + 2 * nth, reservation,
       jsonb_build_array(jsonb_build_array(grant_id, 100)), '', at
  FROM spoken""",
    """INSERT INTO usage_generation
       (id, customer_id, key, api_key_id, folder_id, body_hash, text, title, manner, voice,
        voice_name, voice_type, characters, credits, state, tries, reservation_id, available_after,
        audio, content_type, duration_seconds, failure, left_out, is_queued, is_making_again,
        created_at, taken_at, finished_at)
SELECT id, customer, id, CASE WHEN i %% 20 < 10 THEN md5('key' || n)::uuid END,
       CASE WHEN i %% 40 < 20 THEN md5('folder' || n)::uuid END, md5(id::text),
       repeat('Every credit is counted once. ', 3), '', '{}',
       'standard-ava', 'Ava', 'standard', 100, 100,
       'done', 0, reservation, 0, id || '.wav', 'audio/wav', 6.5, '', '[]', FALSE, FALSE, at, at,
       at
  FROM spoken""",
    """INSERT INTO usage_usageevent
       (transaction_id, customer_id, event_type, happened_at, properties, credits, reservation_id,
        sent_at, created_at, attempts, last_error)
SELECT 'vocalis-gen-' || id, customer, 'voice_generation', at,
       '{"voice_type": "standard", "text_length": "100"}', 100, reservation,
       at + interval '1 s', at, 0, '' FROM spoken""",
    """INSERT INTO usage_usageday
       (customer_id, day, kind, voice, voice_type, api_key, voice_name, characters, credits,
        generations, audio_ms)
SELECT customer, (at AT TIME ZONE 'UTC')::date, 'speech', 'standard-ava', 'standard',
       '00000000-0000-0000-0000-000000000000', 'Ava', 100 * COUNT(*), 100 * COUNT(*), COUNT(*),
       6500 * COUNT(*)
  FROM spoken GROUP BY customer, 2""",
    """INSERT INTO billing_inboundwebhook
       (source, event_id, type, customer_ref, payload, received_at, processed_at, outcome,
        attempts, last_error)
SELECT 'metronome', id, 'commit.segment.start', metronome_id,
       jsonb_build_object('id', id, 'customer_id', metronome_id), at, at, 'synced', 0, ''
  FROM spoken""",
    *paying_rows.FILL,
    *making_rows.FILL,
    """UPDATE billing_wallet SET balance = balance - 100 * s.nth, version = 1 + 2 * s.nth
  FROM (SELECT wallet, MAX(nth) AS nth FROM spoken GROUP BY wallet) s WHERE s.wallet = id""",
    """UPDATE billing_creditgrant SET remaining = balance
  FROM billing_wallet w WHERE w.id = wallet_id""",
)


def fill(url: str, *, rows: int, days: int, customers: int) -> float:
    """That many rows of each kind, of the first `customers` and last `days`. Returns seconds."""
    started = time.perf_counter()
    with psycopg.connect(url, autocommit=True) as database:
        # The references are known to be right.
        database.execute("SET session_replication_role = replica")
        for statement in (WHO, SPOKEN, "ANALYZE spoken", *FILL, "VACUUM ANALYZE"):
            database.execute(
                statement, {"rows": rows, "days": days, "customers": customers}, prepare=False
            )
    return time.perf_counter() - started


@contextmanager
def copied() -> Iterator[tuple[str, str]]:
    """The database, and a copy of it for as long as the block lasts, as URLs."""
    url = setup.url(connection.settings_dict)
    name = connection.settings_dict["NAME"]
    connection.close()
    with psycopg.connect(URL, dbname="postgres", autocommit=True) as server:
        server.execute(f'DROP DATABASE IF EXISTS "{name}_big"')
        server.execute(f'CREATE DATABASE "{name}_big" TEMPLATE "{name}"')
        try:
            yield url, f"{url}_big"
        finally:
            server.execute(f'DROP DATABASE "{name}_big" WITH (FORCE)')


def ids(number: int) -> dict[str, str]:
    """Of what the rows give the customer of this number, in whichever database."""

    def of(word: str) -> str:
        return str(UUID(hashlib.md5(f"{word}{number}".encode(), usedforsecurity=False).hexdigest()))

    return {"text": of("spoken"), "endpoint": of("endpoint"), "folder": of("folder")}


def pages(heavy: Any, ordinary: Any) -> dict[str, tuple[Any, str]]:
    """Who asks for what, by name; None is the operator."""
    found: dict[str, tuple[Any, str]] = {"health": (ordinary, "/health")}
    for number, (name, customer) in enumerate((("heavy", heavy), ("ordinary", ordinary))):
        for path in PAGES:
            found[f"GET {path} {name}"] = customer, path.format(**ids(number))
        for path in making_rows.CALLS:
            found[f"GET {path} {name}"] = f"program {name}", path.format(**ids(number))
    found["GET receipt of a payment"] = heavy, f"/billing/payments/{ids(0)['text']}/receipt/"
    lists = {
        "billing/ledgerentry": ("wallet__id__exact", heavy.wallet.pk),
        "billing/reservation": ("wallet__id__exact", heavy.wallet.pk),
        **{model: (field, heavy.pk) for model, field in paying_rows.LISTS.items()},
        "notifications/outboundwebhook": ("endpoint__id__exact", ids(0)["endpoint"]),
        "mails/outboundmail": ("user__id__exact", heavy.user.pk),
        "billing/inboundwebhook": ("customer_ref__exact", heavy.metronome_id),
        "usage/generation": ("customer__id__exact", heavy.pk),
        "usage/usageevent": ("customer__id__exact", heavy.pk),
    }
    for model, (field, value) in lists.items():
        found[f"admin {model}"] = None, f"/admin/{model}/"
        found[f"admin {model} heavy"] = None, f"/admin/{model}/?{field}={value}"
        found[f"admin {model} search"] = None, f"/admin/{model}/?q={heavy.user.email}"
    found["admin billing/paymentattempt"] = None, "/admin/billing/paymentattempt/"
    found["admin start"] = None, "/admin/"
    found["admin customers"] = None, "/admin/accounts/customer/"
    found["admin customer"] = None, f"/admin/accounts/customer/{heavy.pk}/change/"
    return found


def asks(
    clients: dict[Any, requests.Session], heavy: Any, ordinary: Any, address: str
) -> dict[str, Callable[[], float]]:
    """Everything that is measured at one server, by name; each call returns milliseconds."""

    def timed(work: str, customer: Any) -> Callable[[], float]:
        url = f"{address}/bench/time/{work}/{customer.pk}/"
        return lambda: float(setup.direct().get(url).json()["ms"])

    def fetched(client: requests.Session, path: str) -> Callable[[], float]:
        def fetch() -> float:
            started = time.perf_counter()
            client.get(f"{address}{path}", allow_redirects=False).raise_for_status()
            return (time.perf_counter() - started) * 1_000

        return fetch

    found: dict[str, Callable[[], float]] = {}
    for name, customer in (("heavy", heavy), ("ordinary", ordinary)):
        for work in WORK:
            found[f"{work} {name}"] = timed(work, customer)
        found[f"POST /studio/ {name}"] = partial(
            studio.speak, clients[customer], f"{address}/studio/"
        )
    for name, (customer, path) in pages(heavy, ordinary).items():
        found[name] = fetched(clients[customer], path)
    return found


def measure(
    empty: dict[str, Callable[[], float]], big: dict[str, Callable[[], float]]
) -> dict[str, dict[str, float]]:
    figures = {}
    for name in (each for each in empty if re.search(ONLY, each)):
        took: tuple[list[float], list[float]] = [], []
        # In turn, so that a slow moment of the machine meets both.
        for number in range(WARM + ROUNDS):
            for ask, times in zip((empty[name], big[name]), took, strict=True):
                milliseconds = ask()
                if number >= WARM:
                    times.append(milliseconds)
        few, many = (statistics.median(times) for times in took)
        figures[name] = {
            "empty_ms": round(few, 2),
            "big_ms": round(many, 2),
            "ratio": round(many / few, 2),
        }
    return figures


def walks(empty: str, big: str) -> dict[str, dict[str, float]]:
    """Peak memory of each command on both, and the seconds it takes over the million."""
    figures = {}
    for command in COMMANDS:
        few, _ = _peak_mb(command, empty)
        many, seconds = _peak_mb(command, big)
        figures[command] = {
            "empty_mb": round(few),
            "big_mb": round(many),
            "seconds": round(seconds, 1),
        }
    return figures


def _peak_mb(command: str, url: str) -> tuple[float, float]:
    started = time.perf_counter()
    environment = (
        os.environ
        | setup.ACCEPTED
        | {"DJANGO_SETTINGS_MODULE": "bench.settings", "DATABASE_URL": url}
    )
    child = subprocess.Popen(
        [sys.executable, "manage.py", *command.split()], env=environment, stdout=subprocess.DEVNULL
    )
    peak_kb = 0
    while child.poll() is None:  # not rusage: a child's begins with what its parent had
        found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{child.pid}/status").read_text())
        peak_kb = int(found[1]) if found else peak_kb
        time.sleep(0.02)
    if child.returncode not in (0, 1):  # 1: of a dry run, that something would be done
        raise RuntimeError(f"{command} ended with {child.returncode}")
    return peak_kb / 1024, time.perf_counter() - started


def program(customer: Any) -> requests.Session:
    """A client with an API key of the customer's."""
    from billing import keys

    scopes = ("read", "keys", "webhooks")
    _, secret = keys.create(customer=customer, name="bench", scopes=scopes, now=datetime.now(UTC))
    client = setup.direct()
    client.headers["Authorization"] = f"Bearer {secret}"
    return client


def main() -> dict[str, Any]:
    remove = setup.django(URL)
    try:
        with transaction.atomic():
            heavy, ordinary, *_ = (setup.funded_customer(10**9) for _ in range(CUSTOMERS))
        clients: dict[Any, requests.Session] = {
            who: setup.logged_in(who.user, "") for who in (heavy, ordinary)
        }
        clients[None] = setup.logged_in(setup.operator(), "")
        clients |= {"program heavy": program(heavy), "program ordinary": program(ordinary)}
        with copied() as (empty, big):
            fill(empty, rows=FEW_ROWS, days=FEW_DAYS, customers=2)
            seconds = fill(big, rows=ROWS, days=DAYS, customers=CUSTOMERS)
            with (
                setup.server(DATABASE_URL=empty, THROTTLE="off") as few,
                setup.server(DATABASE_URL=big, THROTTLE="off") as many,
            ):
                figures = measure(
                    *(asks(clients, heavy, ordinary, address) for address in (few, many))
                )
                commands = {} if ONLY else walks(empty, big)
        worst = max(figures, key=lambda name: figures[name]["ratio"])
        return {
            "million": {
                "rows": ROWS,
                "filled_in_seconds": round(seconds),
                "worst": worst,
                **figures,
                **commands,
            }
        }
    finally:
        remove()


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
