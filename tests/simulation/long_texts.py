"""What holds of texts that a worker speaks piece by piece."""

from __future__ import annotations

from typing import TYPE_CHECKING

from billing.models import Reservation
from usage.models import Generation, LongSpeech
from usage.speech import outcome

from .chaos import UNSPEAKABLE

if TYPE_CHECKING:
    from .world import World


def keep_their_credits() -> None:
    """Those of a pending one are reserved, and looked at again before they are free."""
    pending = LongSpeech.objects.filter(generation__state=Generation.State.PENDING)
    for row in pending.select_related("generation"):
        generation = row.generation
        assert generation.is_queued
        reservation = Reservation.objects.get(
            wallet__customer=generation.customer_id, key=outcome.reservation_key(generation)
        )
        assert reservation.state in (Reservation.State.OPEN, Reservation.State.EXPIRED), row
        assert reservation.amount == generation.credits
        assert row.renew_at and row.renew_at <= reservation.expires_at, row


def left_nothing(world: World) -> None:
    """No part, no work, and no file that is not the audio of a text that was paid for."""
    assert not LongSpeech.objects.exclude(due_at=None, renew_at=None, storing="").exists()
    assert not LongSpeech.objects.exclude(parts=[]).exists()
    # Its audio made again in a request, one is queued no more.
    queued = Generation.objects.filter(long__isnull=False)
    kept = set(Generation.objects.exclude(audio="").values_list("audio", flat=True))
    ids = {str(pk) for pk in queued.values_list("pk", flat=True)}
    left = {name for name in world.stored() - kept if name.split("/")[1][:36] in ids}
    assert not left, f"files of nobody: {left}"
    for generation in queued.filter(state=Generation.State.DONE).select_related(
        "reservation__usage_event"
    ):
        reported = generation.reservation.usage_event.properties["text_length"]
        assert reported == str(generation.characters_charged), f"{generation}: {reported} reported"
        if generation.text:  # it is not deleted
            are_gaps_right(generation)


def are_gaps_right(generation: Generation) -> None:
    """What could not be spoken was neither charged nor spoken, and nothing else was left out."""
    gaps = [generation.text[start:end] for start, end in generation.left_out]
    assert all(gap.startswith(UNSPEAKABLE) for gap in gaps), gaps
    reached = generation.characters_reached
    assert reached <= generation.characters
    spoken = len(generation.text[:reached].replace(UNSPEAKABLE, ""))
    missing = sum(gap.count(UNSPEAKABLE) for gap in gaps)
    assert reached - spoken == missing, "it was charged"
    assert generation.credits == generation.reservation.captured
    assert generation.credits % generation.characters_charged == 0
