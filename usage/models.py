"""Own voices, generations, the usage events that report them, and reconciliation with Metronome."""

from __future__ import annotations

import uuid
from typing import Self

from django.db import models
from django.db.models import Q

from accounts.models import Customer
from billing.models import ComplimentaryGrant, Reservation
from jobs.models import JobRow, JobRowQuerySet

from .long_speech import LongSpeech as LongSpeech
from .voice_models import Voice as Voice
from .voice_models import VoiceConsent as VoiceConsent
from .voice_models import VoiceMatch as VoiceMatch


class VoiceType(models.TextChoices):
    """The price class of a voice, and the value of `voice_type` in the usage event."""

    STANDARD = "standard"
    PREMIUM = "premium"


class Pronunciation(models.Model):
    """How a customer wants a written word said.

    With capitals it applies to exactly this writing, without in any case. What applies to a text is
    copied into its generation.
    """

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="pronunciations", db_index=False
    )
    written = models.CharField(max_length=60, help_text="A word or phrase, in NFC.")
    spoken = models.CharField(max_length=60, help_text="A spelling, or IPA between slashes.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["customer", "written"], name="pronunciation_unique")
        ]

    def __str__(self) -> str:  # without the customer's words, for operators
        return f"pronunciation {self.pk}"


class GenerationQuerySet(models.QuerySet["Generation"]):
    def without_words(self) -> Self:
        """For lists: whether there are word times (`has_words`) instead of the times themselves."""
        return self.defer("words").annotate(has_words=Q(words__isnull=False))


class Generation(models.Model):
    """One text spoken once.

    Another request with the same `key` returns this row and costs nothing.
    """

    class State(models.TextChoices):
        PENDING = "pending"
        DONE = "done"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="generations", db_index=False
    )
    key = models.CharField(max_length=128)
    body_hash = models.CharField(
        max_length=64,
        help_text="SHA-256 of text, voice and what is asked for of the manner: the same key with "
        "another body is refused.",
    )
    text = models.TextField(help_text="Normalised: NFC, line ends LF.")
    manner = models.JSONField(
        default=dict,
        blank=True,
        help_text="How it is spoken, as far as it is not the usual way; see `usage.speech.manner`.",
    )
    voice = models.CharField(
        max_length=120, help_text="Id of a house voice or of a personal Voice."
    )
    voice_name = models.CharField(max_length=60)
    voice_type = models.CharField(max_length=10, choices=VoiceType.choices)
    characters = models.PositiveIntegerField(help_text="Of the text.")
    characters_spoken = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="Spoken and charged, if its customer stopped it. Empty: all of the text.",
    )
    credits = models.BigIntegerField(help_text="What it costs; of a stopped one what it cost.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    is_queued = models.BooleanField(
        default=False, help_text="So long that a worker speaks it, on its `LongSpeech`."
    )
    tries = models.PositiveSmallIntegerField(
        default=0,
        help_text="Number of failed reservations before the current one; part of its key.",
    )
    reservation = models.OneToOneField(
        Reservation,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="generation",
        help_text="The credits it cost. Empty until done.",
    )
    credit_back = models.OneToOneField(
        ComplimentaryGrant,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="generation",
        help_text="The credits that were credited back for it.",
    )
    available_after = models.BigIntegerField(
        null=True,
        blank=True,
        help_text="Credits left when it was done, for the response to a repeated request.",
    )
    audio = models.CharField(
        max_length=200, blank=True, default="", help_text="Name in the default file storage."
    )
    content_type = models.CharField(
        max_length=60, help_text="Media type of the audio; determines the file's extension."
    )
    audio_until_at = models.DateTimeField(
        null=True, blank=True, help_text="Until then it is kept. Empty: until it is deleted."
    )
    audio_deleted_at = models.DateTimeField(
        null=True, blank=True, help_text="When it was deleted because its time was over."
    )
    again_at = models.DateTimeField(
        null=True, blank=True, help_text="When its audio was last begun to be made again, free."
    )
    is_making_again = models.BooleanField(default=False)
    duration_seconds = models.FloatField(null=True, blank=True)
    # Some 10 bytes a word. Without words ("") is another thing than unknown.
    words = models.TextField(  # noqa: DJ001
        null=True,
        blank=True,
        help_text="When each word is heard, in the form of `usage.speech.words`. Empty: not known.",
    )
    failure = models.TextField(blank=True, default="")
    created_at = models.DateTimeField()
    taken_at = models.DateTimeField(
        help_text="When a request last began to speak it. An abandoned one may be taken over."
    )
    finished_at = models.DateTimeField(
        null=True, blank=True, help_text="When it was spoken or failed, or its audio made again."
    )

    objects = GenerationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["customer", "key"], name="generation_key_unique"),
            models.UniqueConstraint(
                fields=["customer"],
                condition=Q(is_making_again=True),
                name="generation_one_again",
            ),
        ]
        indexes = [
            models.Index(fields=["customer", "-created_at"], name="generation_by_customer"),
            models.Index(fields=["-created_at"], name="generation_newest"),
            models.Index(
                fields=["-created_at"], name="generation_failed", condition=Q(state="failed")
            ),
            models.Index(
                fields=["taken_at"], name="generation_pending", condition=Q(state="pending")
            ),
            models.Index(
                fields=["audio_until_at"],
                name="generation_audio_until",
                condition=Q(audio_until_at__isnull=False, audio_deleted_at__isnull=True),
            ),
            models.Index(
                fields=["customer", "again_at"],
                name="generation_again",
                condition=Q(again_at__isnull=False),
            ),
        ]

    # Not columns: set for the response to one request.
    replayed = False  # the response repeats an earlier one
    synthesis_seconds = 0.0  # how long the engine took
    is_audio_lost = False  # the row names an audio file, but the storage does not have it

    def __str__(self) -> str:
        return f"{self.characters} characters ({self.state})"

    @property
    def characters_charged(self) -> int:
        """Of a finished one: how many of `characters` were spoken, from the first on."""
        return self.characters if self.characters_spoken is None else self.characters_spoken


class UsageEvent(JobRow):
    """One usage event for Metronome; the row is its own outbox.

    `transaction_id` is stored before the first attempt, so that Metronome counts repeats once.
    """

    transaction_id = models.CharField(max_length=128)
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="usage_events", db_index=False
    )
    event_type = models.CharField(max_length=40)
    happened_at = models.DateTimeField(help_text="When its credits were reserved.")
    properties = models.JSONField(help_text="Strings only; never the text that was spoken.")
    credits = models.BigIntegerField()
    reservation = models.OneToOneField(
        Reservation, on_delete=models.PROTECT, related_name="usage_event"
    )
    sent_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()

    class Meta(JobRow.Meta):
        abstract = False
        # Few indexes, because every claim and completion of the job updates all of them.
        constraints = [
            models.UniqueConstraint(
                fields=["transaction_id"], name="usageevent_transaction_id_unique"
            )
        ]
        # Includes the credits, so that daily totals are read from the index alone.
        indexes = [
            *JobRow.Meta.indexes,
            models.Index(
                fields=["customer", "-happened_at", "credits"], name="usageevent_by_customer"
            ),
        ]

    def __str__(self) -> str:
        return self.transaction_id

    @property
    def delivery(self) -> str:
        """State of the report for the customer's pages: sent, waiting or problem."""
        if self.sent_at:
            return "sent"
        return "problem" if self.dead_at else "waiting"


class ReconciliationRun(JobRow):
    """How far the reconciliation of usage is.

    A run walks all customers in batches, and each job compares one batch.

    One row of each kind, made by the worker (`usage/metering/schedule.py`). Between two runs
    `until_at` is empty.
    """

    class Kind(models.TextChoices):
        HOURS = "hours", "closed hours, of customers with usage in them"
        DAYS = "days", "days, of everybody at Metronome"

    kind = models.CharField(max_length=10, choices=Kind.choices, unique=True)
    since_at = models.DateTimeField(
        null=True, blank=True, help_text="Usage before this is compared."
    )
    until_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="End of the time that this run compares. Empty: no run is going on.",
    )
    after = models.UUIDField(
        null=True, blank=True, help_text="The cursor: customers up to this id are compared."
    )

    class Meta(JobRow.Meta):
        abstract = False

    def __str__(self) -> str:
        return self.kind


class UsageDiscrepancyQuerySet(JobRowQuerySet["UsageDiscrepancy"]):
    def open(self) -> Self:
        return self.filter(resolved_at=None)

    def standing(self) -> Self:
        """Open, and not explained by usage in transit."""
        return self.open().filter(is_in_transit=False)


class UsageDiscrepancy(JobRow):
    """A difference between our usage and Metronome's, by customer, hour, event type and voice type.

    The job on the row is the repair, if staff asked for it.
    """

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="usage_discrepancies", db_index=False
    )
    hour_at = models.DateTimeField(help_text="Start of the hour.")
    event_type = models.CharField(max_length=40)
    voice_type = models.CharField(
        max_length=40, blank=True, help_text="Empty where the price does not depend on it."
    )
    local_units = models.BigIntegerField(help_text="Units: characters, or own voices.")
    remote_units = models.DecimalField(
        max_digits=24, decimal_places=6, help_text="Units as Metronome counts them."
    )
    is_in_transit = models.BooleanField(
        help_text="The missing events are in transit: nothing to do."
    )
    detail = models.TextField(
        help_text="The differences at the last comparison of events, with their ids."
    )
    repair_asked = models.BooleanField(
        default=False, help_text="A worker sends again what is missing at Metronome."
    )
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    resolved_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="The numbers agree, or it was closed by hand. Opens again if they change.",
    )

    objects = UsageDiscrepancyQuerySet.as_manager()  # type: ignore[misc]

    class Meta(JobRow.Meta):
        abstract = False
        verbose_name_plural = "usage discrepancies"
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "hour_at", "event_type", "voice_type"],
                name="usagediscrepancy_unique",
            )
        ]
        indexes = [
            *JobRow.Meta.indexes,
            models.Index(
                fields=["customer"], name="usagediscrepancy_open", condition=Q(resolved_at=None)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.hour_at:%Y-%m-%d %H:00} {self.event_type} {self.voice_type}".rstrip()
