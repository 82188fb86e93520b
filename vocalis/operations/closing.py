"""A customer's own request to delete the account: closed at once, deleted by a worker.

    ask: row → close (no login, key, plan or spending) → due now → the job deletes, in slices

The row is there before the account is closed, so that a process that dies in between leaves a
closed account to the job, and an open one as it was.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

from accounts.models import AccountDeletion, Customer
from jobs.errors import Unavailable
from jobs.models import due
from jobs.worker import RowJob

from . import deletion

CLOSE_SECONDS = 60  # after which the job looks whether the account was closed
SLICE_SECONDS = 5  # of one run, so that other work of the queue goes on


def ask(*, customer: Customer, now: datetime) -> None:
    """Close the account and have its personal data deleted. Safe to repeat.

    Raises deletion.NotDeletable while something is pending; then nothing is closed.
    """
    at = now + timedelta(seconds=CLOSE_SECONDS)
    row, _ = AccountDeletion.objects.get_or_create(
        customer=customer, defaults={"asked_at": now, **due(at)}
    )
    run = deletion.delete(customer, dry_run=False, now=now)
    try:
        next(run)
    except deletion.NotDeletable:
        row.delete()
        raise
    finally:
        run.close()
    rows: Any = AccountDeletion.objects.filter(pk=row.pk, done_at=None)
    rows.run_now(now)


def delete(row: AccountDeletion, now: datetime) -> datetime | None:
    """Delete for some seconds. Returns when to go on, or None at the end.

    Raises Unavailable while something that began before is still running.
    """
    if row.customer.user.is_active:  # asked, and never closed
        AccountDeletion.objects.filter(pk=row.pk).delete()
        return None
    until = time.monotonic() + SLICE_SECONDS
    run = deletion.delete(row.customer, dry_run=False, now=now)
    try:
        for stage, _ in run:
            if stage is deletion.Stage.SPEECH_DELETED and time.monotonic() > until:
                return now
    except deletion.NotDeletable as error:
        raise Unavailable(str(error)) from error
    finally:
        run.close()
    AccountDeletion.objects.filter(pk=row.pk).update(done_at=now)
    return None


DELETE = RowJob("account.delete", AccountDeletion, delete)
