"""Event streams: from a change of the wallet to the event at the client, and what a stream costs.

`python -m bench.streams [--streams 1000] [--changes 500] [--database URL] [--redis URL]` prints one
JSON object. A daphne of its own serves all streams; their clients are bare sockets in a second
process. A change can come about in three ways:

    layer      in the web process itself (a request), woken by the in-memory layer
    redis      in another process, woken through Redis (with --redis or BENCH_REDIS_URL)
    watcher    in another process, without Redis: noticed by the watcher alone
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench import setup

WARM_STREAMS = 10  # load the code; what these leave in the heap the measured ones use again
RATE = 50  # changes a second


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--streams", type=int, default=1_000)
    parser.add_argument("--changes", type=int, default=500)
    parser.add_argument("--database", default=os.environ.get("BENCH_DATABASE_URL", ""))
    parser.add_argument("--redis", default=os.environ.get("BENCH_REDIS_URL", ""))
    options = parser.parse_args()
    remove = setup.django(
        options.database, **({"TEST_REDIS_URL": options.redis} if options.redis else {})
    )
    try:
        figures = run(options.streams, options.changes, options.redis)
        print(json.dumps({"streams": figures}, indent=2))
    finally:
        remove()


def run(streams: int, changes: int, redis: str = "") -> dict[str, Any]:
    customers = [setup.funded_customer(1_000_000) for _ in range(streams)]
    with setup.server(REDIS_URL=redis) as address, Clients(address, customers) as clients:
        process = _web_process()
        clients.tell("warm")
        time.sleep(3)  # daphne forgets closed connections after a second or two
        before = _resident_kb(process)
        opened_seconds = clients.tell("open")
        time.sleep(2)
        figures: dict[str, Any] = {
            "open": streams,
            "opened_a_second": round(streams / opened_seconds),
            "kb_a_stream": round((_resident_kb(process) - before) / streams, 1),
            "threads": len(list(Path(f"/proc/{process}/task").iterdir())),
        }
        wallets = {customer.wallet.id: customer.metronome_id for customer in customers}
        figures["layer"] = measure(
            clients, wallets, changes, lambda wallet_id: _spend_there(address, wallet_id)
        )
        figures["redis" if redis else "watcher"] = measure(clients, wallets, changes, _spend_here)
        figures["idle_database_connections"] = _database_connections(process)
        started = setup.cpu_seconds(process)
        time.sleep(10)
        figures["idle_cpu_percent"] = round((setup.cpu_seconds(process) - started) * 10, 1)
    return figures


def measure(
    clients: Clients, wallets: dict[int, str], changes: int, spend: Any
) -> dict[str, float]:
    made = {}
    for _ in range(changes):
        wallet_id = random.choice(list(wallets))
        begun = time.monotonic()
        version, at = spend(wallet_id)
        made[wallets[wallet_id], version] = at
        time.sleep(max(0, 1 / RATE - (time.monotonic() - begun)))
    time.sleep(3)
    newest: dict[str, list[tuple[int, float]]] = {}
    for customer_id, version, at in clients.tell("report"):
        newest.setdefault(customer_id, []).append((version, at))
    # An event shows its version and all before it.
    waits = [
        (
            min((t for v, t in newest.get(customer_id, []) if v >= version), default=float("inf"))
            - at
        )
        * 1000
        for (customer_id, version), at in made.items()
    ]
    waits.sort()
    return {
        name: round(waits[int(len(waits) * part)], 1)
        for name, part in (("p50_ms", 0.5), ("p99_ms", 0.99))
    } | {"max_ms": round(waits[-1], 1)}


def _spend_there(address: str, wallet_id: int) -> tuple[int, float]:
    answer = setup.direct().get(f"{address}/bench/spend/{wallet_id}/").json()
    return answer["version"], answer["at"]


def _spend_here(wallet_id: int) -> tuple[int, float]:
    from bench.urls import change

    return change(wallet_id)


class Clients:
    """The process with the sockets; told what to do in one line, it answers in one."""

    def __init__(self, address: str, customers: list[Any]) -> None:
        sessions = [(customer.metronome_id, _session(customer.user)) for customer in customers]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.streams", "clients"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._start = json.dumps({"port": int(address.rsplit(":", 1)[1]), "sessions": sessions})

    def __enter__(self) -> Clients:
        self.tell(self._start)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def tell(self, line: str) -> Any:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


class Sockets:
    """The other side of `Clients`: holds the streams open and notes when which version arrived."""

    def __init__(self, port: int, sessions: list[tuple[str, str]]) -> None:
        self.port, self.sessions = port, sessions
        self.seen: list[tuple[str, int, float]] = []
        self.followers: list[asyncio.Task[None]] = []

    async def open(self, sessions: list[tuple[str, str]]) -> float:
        """Open a stream for each, twenty at a time. Returns the seconds it took."""
        started, gate = time.monotonic(), asyncio.Semaphore(20)

        async def one(customer_id: str, session: str) -> None:
            async with gate:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.write(
                    f"GET /api/webhooks/events/{customer_id} HTTP/1.1\r\nHost: localhost\r\n"
                    "Accept: text/event-stream\r\nCache-Control: no-store\r\n"
                    "Accept-Language: en-US,en;q=0.9\r\n"
                    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) "
                    "Gecko/20100101 Firefox/140.0\r\n"
                    f"Cookie: csrftoken={'b' * 32}; sessionid={session}\r\n\r\n".encode()
                )
                await reader.readuntil(b"event: balance_updated")
            self.followers.append(asyncio.create_task(self.follow(customer_id, reader, writer)))

        await asyncio.gather(*(one(*session) for session in sessions))
        return time.monotonic() - started

    async def follow(
        self, customer_id: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while line := await reader.readline():
                if found := re.search(rb'"version": (\d+)', line):
                    self.seen.append((customer_id, int(found[1]), time.monotonic()))
        finally:
            writer.close()

    async def run(self) -> None:
        while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
            answer: Any = None
            if line == "warm":
                await self.open(self.sessions[:WARM_STREAMS])
                for follower in self.followers:
                    follower.cancel()
            elif line == "open":
                answer = await self.open(self.sessions)
            elif line == "report":
                answer, self.seen = self.seen, []
            print(json.dumps(answer), flush=True)


def _session(user: Any) -> str:
    from django.test import Client

    client = Client()
    client.force_login(user)
    return client.cookies["sessionid"].value


def _web_process() -> int:
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == os.getpid() and b"daphne" in (folder / "cmdline").read_bytes():
                return int(folder.name)
    raise LookupError("no daphne among the children")


def _resident_kb(process: int) -> int:
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process}/status").read_text())[1])  # type: ignore[index]


def _database_connections(process: int) -> int:
    """Of the web process; one of them is the watcher's, whatever the number of streams.

    On SQLite its open files, of which SQLite keeps some after their connections are closed.
    """
    from django.db import connection

    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT COUNT(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            return int(cursor.fetchone()[0])
    open_files = [os.readlink(descriptor) for descriptor in Path(f"/proc/{process}/fd").iterdir()]
    return open_files.count(str(connection.settings_dict["NAME"]))


if __name__ == "__main__":
    if sys.argv[1:] == ["clients"]:
        start = json.loads(sys.stdin.readline())
        print("null", flush=True)
        asyncio.run(Sockets(start["port"], start["sessions"]).run())
    else:
        main()
