"""The inbox."""

from __future__ import annotations

from django.db import models

from jobs.models import JobRow


class InboundWebhook(JobRow):
    """Inbox: one row per provider event id. As a job it owes its processing."""

    due_within_seconds = 0

    event_id = models.CharField(max_length=128, unique=True)
    type = models.CharField(max_length=128, db_index=True)
    customer_ref = models.CharField(max_length=64, blank=True, default="")
    payload = models.JSONField()
    received_at = models.DateTimeField(db_index=True)
    processed_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=200, blank=True, default="", help_text="What was done, or why nothing was.")

    class Meta(JobRow.Meta):
        abstract = False
        indexes = [
            *JobRow.Meta.indexes,
            models.Index(fields=["customer_ref", "id"], name="inboundwebhook_by_customer"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"
