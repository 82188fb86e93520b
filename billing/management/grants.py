"""What the commands that give credits share."""

from __future__ import annotations

from datetime import datetime

from billing.models import ComplimentaryGrant
from billing.subscriptions.complimentary import GRANT
from jobs.errors import Rejected, Snooze, Unavailable
from jobs.inline import do_now
from operations.command import Outcome


def grant_now(gift: ComplimentaryGrant, *, now: datetime) -> Outcome:
    """Make the credits in this process, or say why a worker will or will not."""
    try:
        do_now(GRANT, ComplimentaryGrant.objects.filter(pk=gift.pk), now=now)
    except (Unavailable, Snooze) as error:
        return Outcome(gift.customer, "waiting", f"{error}; a worker goes on with it", is_open=True)
    except Rejected as error:
        return Outcome(gift.customer, "failed", str(error), is_open=True)
    return Outcome(
        gift.customer, "granted", f"{gift.credits:,} credits until {gift.ends_at:%Y-%m-%d}"
    )
