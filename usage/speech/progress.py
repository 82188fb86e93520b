"""How far a text is, and what is heard of it already: for its customer who waits."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Q
from django.db.models.functions import Coalesce

from usage.models import Generation, LongSpeech

from . import audio, parts
from .problems import AudioLost, AudioUnreachable

HEARD_SECONDS = 60  # how much of a finished text is read at once


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a generation is. `characters_spoken` of `characters` are there to be delivered.

    While its audio is made again it is pending, and failed if a worker could not make it: then
    `failure` says why.
    """

    state: str  # one of Generation.State
    characters: int
    characters_spoken: int
    is_stopping: bool = False
    failure: str = ""

    @property
    def percent(self) -> int:
        return 100 * self.characters_spoken // self.characters


def of(generation: Generation) -> Progress:
    state, charged = Generation.State, generation.characters_charged
    reached = generation.characters_reached
    if generation.is_with_worker:
        rows = LongSpeech.objects.filter(pk=generation.pk)
        spoken, stop_asked_at = rows.values_list("characters_spoken", "stop_asked_at").get()
        return Progress(state.PENDING, reached, spoken, stop_asked_at is not None)
    if generation.is_being_made:
        return Progress(state.PENDING, reached, 0)
    if generation.state == state.FAILED:
        return Progress(state.FAILED, charged, 0, failure=generation.failure)
    if failure := _again_failure(generation):
        return Progress(state.FAILED, charged, 0, failure=failure)
    return Progress(state.DONE, generation.characters, charged)


def _again_failure(generation: Generation) -> str:
    if not generation.is_queued:
        return ""
    return LongSpeech.objects.values_list("again_failure", flat=True).get(pk=generation.pk)


def feed(wallet_ids: Collection[int]) -> dict[int, dict[str, Any]]:
    """How far the texts of these wallets are that workers speak, for their credits or again.

    For `billing.live.feeds`. A text that is over is missing: how it ended is said by its own page.
    """
    rows = LongSpeech.objects.filter(
        Q(generation__state=Generation.State.PENDING) | Q(generation__is_making_again=True),
        renew_at__isnull=False,
        generation__customer__wallet__in=wallet_ids,
    ).annotate(characters=Coalesce("generation__characters_spoken", "generation__characters"))
    found: dict[int, dict[str, Any]] = {}
    for wallet_id, generation_id, characters, spoken in rows.order_by("pk").values_list(
        "generation__customer__wallet", "pk", "characters", "characters_spoken"
    ):
        texts = found.setdefault(wallet_id, {"texts": []})["texts"]
        text = {"characters": characters, "characters_spoken": spoken}
        texts.append({"id": str(generation_id), **text})
    return found


class Heard(NamedTuple):
    """Samples that were not heard before (signed 16 bit, mono), and whether they are the last."""

    sample_rate: int
    samples: bytes
    is_over: bool


def find(customer_id: UUID, key: str) -> UUID | None:
    """The queued generation of that key."""
    rows = Generation.objects.filter(customer_id=customer_id, key=key, is_queued=True)
    return rows.values_list("id", flat=True).first()


def heard(generation_id: UUID, bytes_before: int) -> Heard:
    """What follows the first bytes of a text's samples: the next part, or some of the whole.

    Nothing, if no more is spoken yet.
    """
    rows = Generation.objects.select_related("long").defer("text", "words")
    generation = rows.get(pk=generation_id)
    try:
        if generation.state == Generation.State.DONE:
            return _of_whole(generation, bytes_before)
        if generation.state == Generation.State.PENDING:
            return _of_parts(generation.long, bytes_before)
    except (AudioLost, AudioUnreachable):
        # The parts have become the whole in this moment, or the storage is away.
        return Heard(0, b"", generation.state == Generation.State.DONE)
    return Heard(0, b"", True)


def _of_parts(row: LongSpeech, bytes_before: int) -> Heard:
    at = 0
    for part in parts.of(row):
        if at >= bytes_before:
            return Heard(*audio.read_part(part.name), False)
        at += 2 * part.samples
    return Heard(0, b"", False)


def _of_whole(generation: Generation, bytes_before: int) -> Heard:
    with audio.open_samples(generation) as reader:
        before = bytes_before // 2
        count = max(0, min(reader.samples - before, reader.sample_rate * HEARD_SECONDS))
        samples = b"".join(reader.part(before, count)) if count else b""
        return Heard(reader.sample_rate, samples, before + count >= reader.samples)
