"""Shared by the commands that grant credits."""

from __future__ import annotations

from datetime import datetime

from billing.models import ComplimentaryGrant
from billing.subscriptions.complimentary import GRANT
from jobs.errors import Rejected, Snooze, Unavailable
from jobs.inline import do_now
from operations.command import Outcome


def grant_now(complimentary: ComplimentaryGrant, *, now: datetime) -> Outcome:
    """Run the row's job in this process.

    The outcome says whether the credits were granted, or a worker will retry, or Metronome refused.
    """
    customer = complimentary.customer
    try:
        do_now(GRANT, ComplimentaryGrant.objects.filter(pk=complimentary.pk), now=now)
    except (Unavailable, Snooze) as error:
        return Outcome(customer, "waiting", f"{error}; a worker goes on with it", is_open=True)
    except Rejected as error:
        return Outcome(customer, "failed", str(error), is_open=True)
    note = f"{complimentary.credits:,} credits until {complimentary.ends_at:%Y-%m-%d}"
    return Outcome(customer, "granted", note)
