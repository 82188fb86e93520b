"""Mails on their way, and which of them a user wants."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from jobs.models import JobRow


class OutboundMail(JobRow):
    """One mail to one user. The job on the row renders and sends it.

    The id is part of the Message-ID: a mail that is sent twice, because a worker died between
    sending and storing that, is one mail to whoever compares these.
    """

    due_within_seconds = 0

    class State(models.TextChoices):
        PENDING = "pending"
        SENT = "sent"
        SKIPPED = "skipped"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="mails", db_index=False
    )
    kind = models.CharField(max_length=40)
    key = models.CharField(max_length=100, help_text="Names the event among those of its kind.")
    data = models.JSONField(default=dict, help_text="What the mail is rendered from.")
    to = models.CharField(
        "to",
        max_length=254,
        blank=True,
        default="",
        help_text="Empty: the address that the user has when it is sent.",
    )
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    skipped_because = models.CharField(max_length=100, blank=True, default="")
    sent_to = models.CharField(max_length=254, blank=True, default="")
    sent_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_index=True)

    class Meta(JobRow.Meta):
        abstract = False
        indexes = [
            *JobRow.Meta.indexes,
            models.Index(fields=["sent_to"], name="outboundmail_sent_to"),
            models.Index(fields=["key"], name="outboundmail_key"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["user", "kind", "key"], name="outboundmail_once")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


class MailPreferences(models.Model):
    """What one user has chosen; a user without a row wants every mail."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="mail_preferences"
    )
    unwanted = models.JSONField(default=list, help_text="Kinds of mail that are not sent.")
    low_balance_credits = models.PositiveBigIntegerField(
        null=True,
        blank=True,
        help_text="At which balance it is low. Empty: at the usual level.",
    )

    class Meta:
        verbose_name_plural = "mail preferences"

    def __str__(self) -> str:
        return f"mail preferences of user {self.user_id}"
