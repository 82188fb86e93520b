"""The receipt of a generation: what it cost, which credits paid, and whether it is reported.

The page and the API show the same one.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from billing.models import CreditGrant, LedgerEntry
from usage.models import Generation, UsageEvent

from . import audio
from .problems import AudioDeleted, AudioLost, AudioUnreachable

READ_BYTES = 1024 * 1024


class Audio(StrEnum):
    """What is there of the sound that was paid for."""

    KEPT = "kept"
    DELETED = "deleted"  # its time was over, or its customer wanted it
    LOST = "lost"
    UNREACHABLE = "unreachable"  # the storage does not answer now


@dataclass(frozen=True, slots=True)
class Paid:
    """Credits that one grant paid."""

    grant: str
    is_free: bool
    credits: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """Of a generation that is done. `audio_sha256` is of the stored file; "" if it is not there.

    A usage event is deleted long after Metronome has acknowledged it; then only its id is known.
    """

    characters: int  # that were delivered
    credits: int
    credits_per_character: int
    balance_before: int
    balance_after: int
    paid: tuple[Paid, ...]
    event_id: str
    is_reported: bool  # Metronome has acknowledged the event
    reported_at: datetime | None
    is_report_stuck: bool  # an operator has to see to it
    credited_back: int  # credits, for something that went wrong
    audio: Audio
    audio_sha256: str


def receipt(generation: Generation) -> Receipt | None:
    """The receipt; None if the generation is not done. Reads the stored audio."""
    if generation.state != Generation.State.DONE or generation.reservation is None:
        return None
    entry = LedgerEntry.objects.get(reservation=generation.reservation)
    event = UsageEvent.objects.filter(reservation=generation.reservation).first()
    state, sha256 = _audio(generation)
    return Receipt(
        characters=generation.characters_charged,
        credits=generation.credits,
        credits_per_character=generation.credits // generation.characters_charged,
        balance_before=entry.balance_after - entry.amount,
        balance_after=entry.balance_after,
        paid=_paid(entry),
        event_id=event.transaction_id if event else f"vocalis-gen-{generation.id}",
        is_reported=event is None or event.sent_at is not None,
        reported_at=event.sent_at if event else None,
        is_report_stuck=event is not None and event.dead_at is not None,
        credited_back=generation.credit_back.credits if generation.credit_back else 0,
        audio=state,
        audio_sha256=sha256,
    )


def _paid(entry: LedgerEntry) -> tuple[Paid, ...]:
    credits = Counter[int]()
    for grant_id, amount, *_ in entry.consumptions:
        credits[grant_id] += amount
    grants = CreditGrant.objects.in_bulk(credits)
    return tuple(
        Paid(grants[grant_id].name, grants[grant_id].is_free, amount)
        for grant_id, amount in credits.items()
    )


def _audio(generation: Generation) -> tuple[Audio, str]:
    """What is there of the sound, and the SHA-256 of the stored file."""
    digest = hashlib.sha256()
    try:
        with audio.open_audio(generation) as file:
            while data := file.read(READ_BYTES):
                digest.update(data)
    except AudioDeleted:
        return Audio.DELETED, ""
    except AudioLost:
        return Audio.LOST, ""
    except (AudioUnreachable, OSError):
        return Audio.UNREACHABLE, ""
    return Audio.KEPT, digest.hexdigest()
