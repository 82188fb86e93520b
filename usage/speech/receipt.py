"""The receipt of a generation: what it cost, which credits paid, and whether it is reported."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass

from billing.models import CreditGrant, LedgerEntry
from usage.models import Generation

from . import audio
from .problems import AudioLost, AudioUnreachable

READ_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Paid:
    """Credits that one grant paid."""

    grant: str
    is_free: bool
    credits: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """Of a generation that is done. `audio_sha256` is of the stored file; "" if it is not there."""

    characters: int  # that were delivered
    credits: int
    credits_per_character: int
    balance_before: int
    balance_after: int
    paid: tuple[Paid, ...]
    event_id: str
    is_reported: bool  # Metronome has acknowledged the event
    audio_sha256: str


def receipt(generation: Generation) -> Receipt | None:
    """The receipt; None if the generation is not done. Reads the stored audio."""
    if generation.state != Generation.State.DONE or generation.reservation is None:
        return None
    entry = LedgerEntry.objects.get(reservation=generation.reservation)
    event = generation.reservation.usage_event
    return Receipt(
        characters=generation.characters_charged,
        credits=generation.credits,
        credits_per_character=generation.credits // generation.characters_charged,
        balance_before=entry.balance_after - entry.amount,
        balance_after=entry.balance_after,
        paid=_paid(entry),
        event_id=event.transaction_id,
        is_reported=event.sent_at is not None,
        audio_sha256=_sha256(generation),
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


def _sha256(generation: Generation) -> str:
    digest = hashlib.sha256()
    try:
        with audio.open_audio(generation) as file:
            while data := file.read(READ_BYTES):
                digest.update(data)
    except (AudioLost, AudioUnreachable, OSError):
        return ""
    return digest.hexdigest()
