"""The inbox of webhooks."""

from __future__ import annotations

from django.db import models

from jobs.models import JobRow


class InboundWebhook(JobRow):
    """A webhook event that a provider sent. Event ids are unique per provider.

    The job on the row processes it.
    """

    due_within_seconds = 0

    class Source(models.TextChoices):
        METRONOME = "metronome"
        STRIPE = "stripe"

    source = models.CharField(max_length=20, choices=Source.choices, default=Source.METRONOME)
    event_id = models.CharField(max_length=128)
    type = models.CharField(max_length=128, db_index=True)
    customer_ref = models.CharField(max_length=64, blank=True, default="")
    payload = models.JSONField()
    received_at = models.DateTimeField(db_index=True)
    processed_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(
        max_length=200, blank=True, default="", help_text="What was done, or why nothing was."
    )

    class Meta(JobRow.Meta):
        abstract = False
        constraints = [  # event_id first, because operators search for it without the source
            models.UniqueConstraint(fields=["event_id", "source"], name="inboundwebhook_once"),
        ]
        indexes = [
            *JobRow.Meta.indexes,
            models.Index(fields=["source", "id"], name="inboundwebhook_by_source"),
            models.Index(fields=["customer_ref", "id"], name="inboundwebhook_by_customer"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"


class EventSweep(JobRow):
    """How far we have looked for events that a provider could not deliver: one row a provider."""

    due_within_seconds = 3_600

    source = models.CharField(max_length=20, choices=InboundWebhook.Source.choices, unique=True)
    swept_until = models.DateTimeField(null=True, blank=True)

    class Meta(JobRow.Meta):
        abstract = False

    def __str__(self) -> str:
        return f"events of {self.source}"
