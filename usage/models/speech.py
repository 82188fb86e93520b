"""What is spoken: generations, how far long ones are, and how customers want words said."""

from __future__ import annotations

import uuid
from typing import Self

from django.db import models
from django.db.models import Q

from accounts.models import ApiKey, Customer
from billing.models import ComplimentaryGrant, Reservation
from jobs.models import JobRow
from usage.text import MAX_CHARACTERS
from usage.text.headline import headline


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
    key = models.CharField(max_length=144)
    api_key = models.ForeignKey(
        ApiKey,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="generations",
        help_text="The API key that asked for it. Empty: asked for on the site.",
    )
    body_hash = models.CharField(
        max_length=64,
        help_text="SHA-256 of text, voice and what is asked for of the manner: the same key with "
        "another body is refused.",
    )
    text = models.TextField(help_text="Normalised: NFC, line ends LF.")
    text_deleted_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When its customer deleted it: text and audio are gone, the receipt stays.",
    )
    title = models.CharField(
        max_length=120, blank=True, default="", help_text="What its customer calls it. In NFC."
    )
    folder = models.ForeignKey(
        "usage.Folder",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        db_index=False,
        related_name="generations",
    )
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
        help_text="Spoken and charged, if it was stopped or some was left out. Empty: all.",
    )
    left_out = models.JSONField(
        default=list,
        blank=True,
        help_text="Ranges of the text that could not be spoken and were not charged.",
    )
    credits = models.BigIntegerField(help_text="What it costs; of a stopped one what it cost.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    is_queued = models.BooleanField(
        default=False,
        help_text="So long that a worker speaks it or makes it again, on its `LongSpeech`.",
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
                fields=["folder", "-created_at"],
                name="generation_by_folder",
                condition=Q(folder__isnull=False),
            ),
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
    excerpt = ""  # what a list calls it that reads no whole texts
    synthesis_seconds = 0.0  # how long the engine took
    is_audio_lost = False  # the row names an audio file, but the storage does not have it

    def __str__(self) -> str:
        return f"{self.characters} characters ({self.state})"

    @property
    def name(self) -> str:
        """What it is called in lists: its title, or else how its text begins, as it is spoken."""
        return self.title or headline(self.text)

    @property
    def characters_charged(self) -> int:
        """Of a finished one: how many of `characters` were spoken."""
        return self.characters if self.characters_spoken is None else self.characters_spoken

    @property
    def characters_left_out(self) -> int:
        """How many of those before `characters_reached` could not be spoken."""
        return sum(end - start for start, end in self.left_out)

    @property
    def characters_reached(self) -> int:
        """Of a finished one: how far into the text it was spoken."""
        return self.characters_charged + self.characters_left_out

    @property
    def credits_given_back(self) -> int:
        """Of a finished one: what was reserved for it and not charged."""
        each = self.credits // self.characters_charged if self.characters_charged else 0
        return (self.characters - self.characters_charged) * each

    @property
    def may_have_parts(self) -> bool:
        """Whether it is to be asked for its parts (`usage.speech.sections`), which takes longer."""
        return self.characters > MAX_CHARACTERS or "# " in self.text

    @property
    def is_being_made(self) -> bool:
        """Whether it is being spoken, or its audio being made again."""
        return self.state == self.State.PENDING or self.is_making_again

    @property
    def is_with_worker(self) -> bool:
        """Whether it is being made, and by a worker."""
        return self.is_queued and self.is_being_made


class LongSpeech(JobRow):
    """The making of a text that takes longer than a request should wait for: for its credits, or
    of its audio again, free.

    The job on the row speaks the text piece by piece and stores each piece as a part, so that
    another worker goes on after the last part. The parts are deleted once that is over.
    """

    generation = models.OneToOneField(
        Generation, on_delete=models.PROTECT, primary_key=True, related_name="long"
    )
    pieces = models.PositiveIntegerField(default=0, help_text="Of the text. 0: not begun.")
    pieces_spoken = models.PositiveIntegerField(default=0)
    characters_spoken = models.PositiveIntegerField(
        default=0, help_text="Of the text, up to the end of the last piece spoken or left out."
    )
    parts = models.JSONField(
        default=list, blank=True, help_text="What is spoken, as `usage.speech.parts` has it."
    )
    left_out = models.JSONField(
        default=list, blank=True, help_text="Ranges of the text that could not be spoken."
    )
    storing = models.CharField(
        max_length=200,
        blank=True,
        default="",
        help_text="The file that is being written. What a killed worker has left is found by it.",
    )
    stop_asked_at = models.DateTimeField(
        null=True, blank=True, help_text="When its customer asked to have only what is spoken."
    )
    renew_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When its credits are reserved anew, or making it again is given up. "
        "Empty: it is over.",
    )
    again_failure = models.TextField(
        blank=True, default="", help_text="Why its audio was not made again, the last time."
    )

    due_within_seconds = 0

    class Meta(JobRow.Meta):
        abstract = False
        verbose_name_plural = "long speeches"
        indexes = [
            *JobRow.Meta.indexes,
            models.Index(
                fields=["renew_at"], name="longspeech_renew", condition=Q(renew_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pieces_spoken} of {self.pieces} pieces"
