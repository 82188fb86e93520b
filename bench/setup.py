"""What every benchmark starts from: Django on a database of its own, and helpers to fill it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any


def django(database_url: str = "", **environment: str) -> Callable[[], None]:
    """Set Django up on a fresh test database of `database_url`'s server (default: SQLite). Returns what removes it."""
    os.environ |= {"ENV_FILE": ".env.example", "DJANGO_SETTINGS_MODULE": "tests.settings"}
    os.environ |= {"DEBUG": "off", "SECRET_KEY": "bench", **environment}  # DEBUG would log every query
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
    user = User.objects.create(email=f"{secrets.token_hex(8)}@example.com", first_name="Bench", last_name="Mark")
    made = Customer.objects.create(user=user, created_at=now, metronome_id=secrets.token_hex(16))
    IngestAlias.objects.create(customer=made, kind="stable", name=made.stable_alias)
    return made


def funded_wallet(credits: int) -> int:
    """The id of a new customer's wallet that holds `credits`."""
    from billing import ledger

    now = datetime.now(UTC)
    wallet = ledger.wallet_of(customer().id)
    segment = ledger.Segment(
        kind="credit", remote_id=f"c-{wallet.id}", segment_id=f"s-{wallet.id}", key="", name="bench", amount=credits,
        priority=Decimal(10), is_free=True, starts_at=now - timedelta(hours=1), ends_at=None,
    )  # fmt: skip
    ledger.record_grant(wallet_id=wallet.id, segment=segment, now=now)
    return wallet.id
