"""The credits of texts that a worker speaks: reserved until they are spoken, or their time is over
(`turns.total_seconds`).

A job on the queue of money, so that it is done when no worker speaks. After that time it also ends
what is made again, which has nothing reserved.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from billing import ledger
from billing.live.wake import wake
from jobs.worker import BatchJob
from usage.models import Generation, LongSpeech

from . import long, outcome, turns
from .parts import Lost
from .problems import StillRunning

BATCH = 20


def to_renew(now: datetime) -> Any:
    return LongSpeech.objects.filter(renew_at__lte=now)


def renew(now: datetime) -> int:
    """Reserve the credits of pending texts anew before they are free, or end what took too long.

    What is made again is looked at only then.
    """
    rows = list(to_renew(now).select_related("generation").order_by("renew_at")[:BATCH])
    for row in rows:
        generation = row.generation
        until = generation.taken_at + timedelta(seconds=turns.total_seconds(generation))
        if not generation.is_with_worker:
            LongSpeech.objects.filter(pk=row.pk, renew_at=row.renew_at).update(renew_at=None)
        elif generation.is_making_again or now >= until:
            long.fail(generation, long.TOO_LONG, now)
        else:
            _renew(generation, until, now)
    return len(rows)


def _renew(generation: Generation, until: datetime, now: datetime) -> None:
    wallet_id = ledger.wallet_of(generation.customer_id).id
    renew_at = min(now + timedelta(seconds=long.RENEW_SECONDS), until)
    rows = LongSpeech.objects.filter(pk=generation.pk)
    try:
        with transaction.atomic():
            long.lock(generation)
            rows.update(renew_at=renew_at)
            if held := outcome.open_reservation(generation):
                generation.tries += 1
                outcome.mine(generation).update(tries=generation.tries)
                key = outcome.reservation_key(generation)
                ledger.renew(reservation_id=held.pk, key=key, now=now)
            else:
                outcome.reserve_again(generation, wallet_id, now)
    except (Lost, StillRunning):
        return
    except (ledger.InsufficientCredits, ledger.WalletFrozen) as error:
        # What is reserved still may be captured: until it expires there is time to finish.
        generation.refresh_from_db(fields=["tries"])
        if (held := outcome.open_reservation(generation)) and held.expires_at > now:
            rows.update(renew_at=held.expires_at)
        else:
            long.fail(generation, long.refusal(error), now)
    wake(wallet_id)


RENEW = BatchJob("generations.renew", to_renew, renew)
