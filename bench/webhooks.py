"""How many webhooks a second are taken in, against a trivial authenticated view with one INSERT.

Signed, distinct events from four clients at a time, on the same server and in the same run, in
turn.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import format_datetime
from http.client import HTTPConnection
from typing import Any
from uuid import uuid4

from bench import setup

CLIENTS = 4
REQUESTS = int(os.environ.get("BENCH_REQUESTS", "150"))  # of each client in a round
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
SECRET = "bench-secret"
PATH = "/api/webhooks/metronome/alerts"

Request = tuple[str, bytes, dict[str, str]]


def rate(address: str, status: int, make: Callable[[], Request]) -> float:
    """Requests a second. They are made beforehand: signing them is the sender's work."""
    shares = [[make() for _ in range(REQUESTS)] for _ in range(CLIENTS)]

    def send(share: list[Request]) -> None:
        client = HTTPConnection(address.removeprefix("http://"))
        for path, body, headers in share:
            client.request("POST", path, body, headers)
            answer = client.getresponse()
            assert answer.status == status, answer.read()
            answer.read()

    started = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(send, shares))
    return CLIENTS * REQUESTS / (time.perf_counter() - started)


def webhook() -> Request:
    from billing.inbox import signature

    event = {
        "id": str(uuid4()),
        "type": "alerts.low_remaining_contract_credit_and_commit_balance_reached",
        "properties": {
            "customer_id": str(uuid4()),
            "alert_id": str(uuid4()),
            "timestamp": datetime.now(UTC).isoformat(),
            "threshold": 0,
            "alert_name": "Vocalis: out of credits",
            "credit_type_id": str(uuid4()),
            "remaining_balance": 0,
        },
    }
    body, date = json.dumps(event).encode(), format_datetime(datetime.now(UTC), usegmt=True)
    return (
        PATH,
        body,
        {
            "Content-Type": "application/json",
            "X-Metronome-Date": date,
            signature.SIGNATURE_HEADER: signature.sign(secret=SECRET, date=date, body=body),
        },
    )


def main() -> dict[str, Any]:
    remove = setup.django(
        os.environ.get("BENCH_DATABASE_URL", "postgres://postgres@127.0.0.1:5432/vocalis_bench")
    )
    try:
        with setup.server(METRONOME_WEBHOOK_SECRET=SECRET) as address:
            session = setup.logged_in(setup.customer().user, address)
            headers = {
                "Cookie": "; ".join(f"{name}={value}" for name, value in session.cookies.items())
            }
            headers |= {
                "X-CSRFToken": str(session.headers["X-CSRFToken"]),
                "Content-Type": "application/json",
            }
            rates = [
                (
                    rate(address, 200, webhook),
                    rate(address, 201, lambda: ("/bench/insert/", b"", headers)),
                )
                for _ in range(ROUNDS + 1)
            ][1:]  # the first warms up
        ours, trivial = (statistics.median(column) for column in zip(*rates, strict=True))
        figures = {"accepted_a_second": round(ours), "inserts_a_second": round(trivial)}
        return {"webhooks": figures | {"ratio": round(ours / trivial, 2)}}
    finally:
        remove()


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
