"""What every benchmark starts from: Django on a database of its own, and helpers to fill it."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

# The sandbox and the test gateway, with DEBUG off: what a real production would refuse to start
# with.
ACCEPTED = {"SILENCED_SYSTEM_CHECKS": ",".join(f"vocalis.E{number:03}" for number in range(1, 20))}
START_SECONDS = 60  # of a server on a busy machine, and its end


def django(database_url: str = "", **environment: str) -> Callable[[], None]:
    """Set Django up on a fresh test database of `database_url`'s server (default: SQLite).
    Returns what removes it."""
    os.environ |= {"ENV_FILE": ".env.example", "DJANGO_SETTINGS_MODULE": "tests.settings"}
    # DEBUG would log every query.
    os.environ |= {"DEBUG": "off", "SECRET_KEY": "bench", **environment}
    os.environ.pop("TEST_DATABASE_URL", None)
    if database_url:
        os.environ["TEST_DATABASE_URL"] = database_url
    import django as framework
    from django.db import connection
    from django.test.utils import setup_databases, teardown_databases

    framework.setup()
    before = setup_databases(verbosity=0, interactive=False, keepdb=False)

    def remove() -> None:
        connection.close()
        teardown_databases(before, verbosity=0)

    return remove


def customer() -> Any:
    """A new customer with a new user."""
    from accounts.models import Customer, IngestAlias, User

    now = datetime.now(UTC)
    user = User.objects.create(
        email=f"{secrets.token_hex(8)}@example.com", first_name="Bench", last_name="Mark"
    )
    made = Customer.objects.create(user=user, created_at=now, metronome_id=secrets.token_hex(16))
    IngestAlias.objects.create(customer=made, kind="stable", name=made.stable_alias)
    return made


def operator() -> Any:
    """A new user who may see everything in the admin."""
    from accounts.models import User

    return User.objects.create_superuser(
        f"{secrets.token_hex(8)}@example.com", first_name="Bench", last_name="Mark"
    )


def funded_wallet(credits: int) -> int:
    """The id of a new customer's wallet that holds `credits`."""
    from billing import ledger

    now = datetime.now(UTC)
    wallet = ledger.wallet_of(customer().id)
    segment = ledger.Segment(
        kind="credit",
        remote_id=f"c-{wallet.id}",
        segment_id=f"s-{wallet.id}",
        key="",
        name="bench",
        amount=credits,
        priority=Decimal(10),
        is_free=True,
        starts_at=now - timedelta(hours=1),
        ends_at=now + timedelta(days=365),
    )
    ledger.record_grant(wallet_id=wallet.id, segment=segment, now=now)
    return wallet.id


def funded_customer(credits: int) -> Any:
    """A new customer whose wallet holds `credits`."""
    from billing.models import Wallet

    return Wallet.objects.select_related("customer__user").get(id=funded_wallet(credits)).customer


@contextmanager
def server(*arguments: str, **environment: str) -> Iterator[str]:
    """A real daphne on the benchmark's database. Yields its address."""
    from django.db import connection

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = (
        os.environ
        | {
            "DJANGO_SETTINGS_MODULE": "bench.settings",
            "DATABASE_URL": url(connection.settings_dict),
        }
        | ACCEPTED
        | environment
    )
    command = [
        sys.executable,
        "-m",
        "daphne",
        "-b",
        "127.0.0.1",
        "-p",
        str(port),
        "--access-log",
        os.devnull,
        *arguments,
    ]
    process = subprocess.Popen(
        [*command, "vocalis.asgi:application"], env=variables, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    until = time.monotonic() + START_SECONDS
    try:
        while True:
            try:
                direct().get(f"{address}/health", timeout=START_SECONDS)
                break
            except requests.ConnectionError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def direct() -> requests.Session:
    """A client for servers of this machine, which no proxy of the environment knows."""
    client = requests.Session()
    client.trust_env = False
    return client


def logged_in(user: Any, address: str) -> requests.Session:
    """A client with the user's session and CSRF token."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore

    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    client = direct()
    client.cookies["sessionid"] = session.session_key
    client.cookies["csrftoken"] = "b" * 32
    client.headers.update({"X-CSRFToken": "b" * 32, "Referer": address})
    return client


def cpu_seconds(process: int) -> float:
    """What the process has used of a core so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def url(database: dict[str, Any]) -> str:
    if database["ENGINE"].endswith("sqlite3"):
        return f"sqlite:///{quote(str(database['NAME']))}"
    host = f"{database['HOST']}:{database['PORT'] or 5432}"
    return f"postgres://{database['USER']}@{host}/{database['NAME']}"
