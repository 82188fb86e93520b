"""Own voices, voice matches and the consents they rest on.

A sample, and what is computed of it, is biometric data: it is here only as long as somebody's
consent, and goes with it (`usage.speech.match`).
"""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q

from accounts.models import Customer
from billing.models import Reservation
from jobs.models import JobRow
from usage.engines.remote.configuration import COPY


class VoiceConsent(models.Model):
    """Somebody's word that the voice of a sample is theirs and may be matched.

    It comes with a sample and is of that one, or it is recorded by a program, has a name, and is
    for every sample that this program sends until it is withdrawn (`usage.speech.consents`).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="voice_consents")
    sentence = models.TextField(
        help_text="As it was shown, and read aloud in the sample or in the recording."
    )
    sentence_sha256 = models.CharField(max_length=64)
    address = models.CharField(
        max_length=45, help_text="Network address it came from; of IPv6 the /64 network."
    )
    name = models.CharField(
        max_length=60, blank=True, default="", help_text="Of one that was recorded."
    )
    language = models.CharField(
        max_length=35, blank=True, default="", help_text="BCP 47 tag that came with the recording."
    )
    recording = models.CharField(
        max_length=200,
        blank=True,
        default="",
        help_text="Name in the file storage. Empty of one that came with a sample.",
    )
    key = models.CharField(
        max_length=128,
        blank=True,
        default="",
        help_text="Key of the request that recorded it: sent twice it is one consent.",
    )
    body_hash = models.CharField(
        max_length=64, blank=True, default="", help_text="SHA-256 of what was sent with the key."
    )
    given_at = models.DateTimeField()
    used_at = models.DateTimeField(
        null=True, blank=True, help_text="When a sample was last sent under a recorded one."
    )
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "key"], condition=~Q(key=""), name="voiceconsent_key_unique"
            )
        ]

    def __str__(self) -> str:
        return f"{self.given_at:%Y-%m-%d %H:%M}" + (" (withdrawn)" if self.revoked_at else "")


class VoiceMatch(models.Model):
    """One sample compared with our voices, and the candidates that came out."""

    class State(models.TextChoices):
        PENDING = "pending"
        READY = "ready"
        KEPT = "kept"  # a voice was made of a candidate
        FAILED = "failed"
        REVOKED = "revoked"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="voice_matches", db_index=False
    )
    key = models.CharField(
        max_length=128, help_text="Key of the form: the same form sent twice is one match."
    )
    body_hash = models.CharField(
        max_length=64, blank=True, help_text="SHA-256 of the sample. Empty once it is forgotten."
    )
    consent = models.ForeignKey(VoiceConsent, on_delete=models.PROTECT, related_name="matches")
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    candidates = models.JSONField(
        default=list, help_text="The nearest of our voices: style, gain and likeness (a cosine)."
    )
    embedding = models.BinaryField(
        null=True, blank=True, help_text="Of the voice: 256 numbers of 16 bits. Biometric data."
    )
    sample = models.CharField(
        max_length=200,
        blank=True,
        default="",
        help_text="Name in the file storage. Empty unless the customer wants it kept.",
    )
    failure = models.TextField(blank=True, default="", help_text="Shown to the customer.")
    created_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "voice matches"
        constraints = [
            models.UniqueConstraint(fields=["customer", "key"], name="voicematch_key_unique"),
            models.UniqueConstraint(
                fields=["customer"], condition=Q(state="pending"), name="voicematch_one_in_progress"
            ),
        ]
        indexes = [
            models.Index(fields=["customer", "-created_at"], name="voicematch_by_customer"),
            models.Index(fields=["created_at"], name="voicematch_open", condition=~Q(state="kept")),
        ]

    def __str__(self) -> str:
        return f"{self.created_at:%Y-%m-%d %H:%M} ({self.state})"

    @property
    def copied_at(self) -> str:
        """The label of the server that has a copy made of the sample; "" if none has."""
        copy: VoiceCopy | None = getattr(self, "copy", None)
        return copy.label if copy and copy.voice_id and not copy.failure else ""


class VoiceCopy(JobRow):
    """What a speech server has of a voice: the recording of a consent, and a copy made of a sample.

    It is due when it has to be deleted there. It names nobody, so that it can outlive the match and
    the customer until the server has done it.
    """

    class Asking(models.TextChoices):
        """What the server was asked to make, without an answer that says whether it has."""

        NOTHING = "", "nothing"
        CONSENT = "consent"
        VOICE = "voice"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    match = models.OneToOneField(
        VoiceMatch,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="copy",
        help_text="Empty once that is forgotten.",
    )
    server = models.CharField(max_length=300, help_text="Address of the server.")
    label = models.CharField(max_length=20, help_text="Its name for customers.")
    group = models.CharField(max_length=20, help_text="Its label in the settings of the voice.")
    asking = models.CharField(
        max_length=10,
        choices=Asking.choices,
        blank=True,
        default=Asking.NOTHING,
        help_text="What it was asked to make, if its answer did not come.",
    )
    consent_id = models.CharField(max_length=200, blank=True, default="")
    voice_id = models.CharField(max_length=200, blank=True, default="")
    heard = models.PositiveIntegerField(default=0, help_text="How often it was listened to free.")
    failure = models.TextField(blank=True, default="", help_text="Shown to the customer.")
    created_at = models.DateTimeField()
    deleted_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when the server has nothing of it."
    )

    due_within_seconds = 3_600

    class Meta(JobRow.Meta):
        abstract = False
        verbose_name_plural = "voice copies"

    def __str__(self) -> str:
        return f"{self.name} at {self.server}"

    @property
    def name(self) -> str:
        """At the server, by which it is found when an answer was lost."""
        return f"{COPY}{self.id}"


class Voice(models.Model):
    """A customer's own voice. House voices are constants in `usage.speech.voices`."""

    class State(models.TextChoices):
        PENDING = "pending"
        READY = "ready"
        FAILED = "failed"
        REVOKED = "revoked"  # its consent was, or it was deleted: it speaks no more

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="voices")
    key = models.CharField(
        max_length=128, help_text="Key of the form: the same form sent twice is one voice."
    )
    name = models.CharField(max_length=60)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    engine = models.CharField(
        max_length=40, help_text="Name of the speech engine that speaks with it."
    )
    settings = models.JSONField(
        default=dict, help_text="Settings of the voice, in a format of its engine."
    )
    credits = models.BigIntegerField()
    reservation = models.OneToOneField(
        Reservation,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="voice",
        help_text="The credits it cost. Empty until ready.",
    )
    match = models.ForeignKey(
        VoiceMatch,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="voices",
        help_text="The match it was kept from. Empty: tuned by ear.",
    )
    failure = models.TextField(blank=True, default="", help_text="Shown to the customer.")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["customer", "key"], name="voice_key_unique"),
            models.UniqueConstraint(
                fields=["customer"], condition=Q(state="pending"), name="voice_one_in_progress"
            ),
        ]
        indexes = [
            models.Index(fields=["created_at"], name="voice_pending", condition=Q(state="pending"))
        ]

    def __str__(self) -> str:
        return self.name
