"""Audio that is lost, or whose time is over, and customers who have it made again, free."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.core.files.base import ContentFile
from django.db.models import QuerySet
from django.db.models.functions import Left

from billing.models import Reservation
from usage.models import Generation, LongSpeech, UsageEvent
from usage.speech import audio, expiry, problems, retention

from .operators import Operators

if TYPE_CHECKING:
    from .world import World

NOT_NOW = (
    problems.StillRunning,
    problems.AgainElsewhere,
    problems.AgainTooOften,
    problems.SpeechFailed,
)
RECEIPT = (
    *("state", "characters", "characters_spoken", "credits", "reservation", "available_after"),
    *("created_at", "taken_at", "tries"),
)
# What the keys of all reservations for one generation begin with.
GENERATION_KEY = len("gen-") + 36


class MakingAgain(Operators):
    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.lost: set[str] = set()  # files that were deleted or damaged behind our backs
        self.attempts: set[str] = set()  # files that a request may have stored that makes it again
        self.receipts: dict[UUID, list[Any]] = {}  # of what was asked for again

    def lose_audio(self) -> None:
        """A file is gone, or is no sound any more."""
        self._lose(Generation.objects.filter(audio__in=self.stored() - self.lost))

    def _lose(self, kept: QuerySet[Generation]) -> None:
        if generation := self._one(kept):
            self.files.delete(generation.audio)
            self.lost.add(generation.audio)
            if self.dice.random() < 0.4:
                self.files.save(generation.audio, ContentFile(b"no sound"))

    def make_again(self) -> None:
        """A customer misses audio and presses the button, once or twice, perhaps in vain; a worker
        may be at it when the next thing happens."""
        done = Generation.objects.filter(state=Generation.State.DONE, customer__in=self.everyone())
        whole = self.stored() - self.lost
        if not done.exclude(audio__in=whole).exists() and self.dice.random() < 0.8:
            self._lose(done)
            whole -= self.lost
        missed = done.exclude(audio__in=whole)
        if generation := self._one(missed) or self._one(done):
            if generation.pk not in self.receipts:
                self.receipts[generation.pk] = receipts([generation.pk])
            for _ in range(self.dice.choice([1, 1, 2])):
                self._make_again(generation.pk)
            if self.dice.random() < 0.4:
                self.work()

    def _one(self, rows: QuerySet[Generation]) -> Generation | None:
        """One of them, rather a long text: there are few."""
        found = list(rows.order_by("created_at", "key"))
        long = [one for one in found if LongSpeech.objects.filter(pk=one.pk).exists()]
        if long and self.dice.random() < 0.6:
            found = long
        return self.dice.choice(found) if found else None

    def _make_again(self, generation_id: UUID) -> None:
        generation = Generation.objects.select_related("customer").get(pk=generation_id)
        now = self.now()
        self.attempts.add(audio.name_for(generation, began_at=now))
        with suppress(*NOT_NOW):
            try:
                made = retention.make_again(generation=generation, now=now)
                assert made.is_with_worker or not made.is_making_again
            except problems.CreditedBack:
                assert Generation.objects.exclude(credit_back=None).filter(pk=generation_id)
            except problems.Refused:  # there is nothing to speak any more
                assert Generation.objects.filter(pk=generation_id, text="").exists()


def receipts(generation_ids: list[UUID]) -> list[Any]:
    """What these generations cost, and all that was reserved and reported for them."""
    reserved = Reservation.objects.annotate(begins=Left("key", GENERATION_KEY)).filter(
        begins__in=[f"gen-{pk}" for pk in generation_ids]
    )
    reported = UsageEvent.objects.filter(
        transaction_id__in=[f"vocalis-gen-{pk}" for pk in generation_ids]
    )
    rows = Generation.objects.filter(pk__in=generation_ids)
    return [
        *rows.order_by("pk").values_list("pk", *RECEIPT),
        *reserved.order_by("key").values_list("key", "state", "amount", "captured"),
        *reported.order_by("transaction_id").values_list("transaction_id", "credits", "properties"),
    ]


def costs_nothing(world: World) -> None:
    """What was paid once stays as it was, however often its audio is made again: nothing more is
    reserved, captured or reported."""
    if world.receipts:
        known = sorted((row for rows in world.receipts.values() for row in rows), key=str)
        found = sorted(receipts(list(world.receipts)), key=str)
        assert found == known, f"changed: {[row for row in found + known if row not in known]}"


def is_over(world: World) -> None:
    """No attempt is open, none has left a file, and what was spoken is there or said to be gone."""
    assert not Generation.objects.filter(is_making_again=True).exists()
    assert not expiry.expired(world.now()).exists(), "kept longer than was promised"
    kept = Generation.objects.exclude(audio="")
    stored = world.stored()
    left = (world.attempts | world.lost) & stored - set(kept.values_list("audio", flat=True))
    assert not left, f"files of attempts, or damaged ones: {left}"
    done = Generation.objects.filter(state=Generation.State.DONE)
    missing = set(done.exclude(audio="").values_list("audio", flat=True)) - stored - world.lost
    assert not missing, f"paid for and not there: {missing}"
    nameless = done.filter(audio="", audio_deleted_at=None, customer__user__is_active=True)
    assert not nameless.exists(), f"gone, and nobody says so: {list(nameless)}"
