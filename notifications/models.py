"""Where customers want their events sent, and each event on its way to one such address."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Q

from accounts.models import Customer
from jobs.models import JobRow


class WebhookEndpointQuerySet(models.QuerySet["WebhookEndpoint"]):
    def kept(self) -> Self:
        """Those that their customers have not deleted."""
        return self.filter(deleted_at=None)


class WebhookEndpoint(models.Model):
    """An address of a customer's own program, and the events it wants.

    Secrets are stored so that they can be read, since every delivery is signed with them. They are
    shown to their customer once, and appear in no log, no page of the admin and no error page.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="webhook_endpoints"
    )
    url = models.CharField(max_length=500)
    events = models.JSONField(default=list, help_text="The kinds of event it wants.")
    secret = models.CharField(max_length=100)
    former_secret = models.CharField(max_length=100, blank=True, default="")
    former_until_at = models.DateTimeField(
        null=True, blank=True, help_text="Until when deliveries are signed with the former one too."
    )
    rotations = models.PositiveIntegerField(
        default=0, help_text="How often it got another secret. A form names the one it replaces."
    )
    is_enabled = models.BooleanField(default=True)
    disabled_at = models.DateTimeField(null=True, blank=True)
    disabled_because = models.CharField(max_length=200, blank=True, default="")
    rests_until_at = models.DateTimeField(
        null=True, blank=True, help_text="It was slow: nothing is sent to it before."
    )
    key = models.CharField(
        max_length=128, help_text="Key of the form: the same form sent twice is one endpoint."
    )
    body_hash = models.CharField(
        max_length=64,
        help_text="SHA-256 of what it was made of: another form with the key is refused.",
    )
    created_at = models.DateTimeField()
    # The row stays for a while: an event that is just being written must find what it refers to.
    deleted_at = models.DateTimeField(
        null=True, blank=True, help_text="By its customer. Address, secrets and events are gone."
    )

    # Not a column: the newest delivery, for a list.
    latest: OutboundWebhook | None = None

    objects = WebhookEndpointQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["customer", "key"], name="webhookendpoint_key_unique")
        ]
        indexes = [
            models.Index(
                fields=["customer"], name="webhookendpoint_enabled", condition=Q(is_enabled=True)
            ),
            models.Index(fields=["url"], name="webhookendpoint_url"),
        ]

    def __str__(self) -> str:
        return self.url or "deleted endpoint"

    def secrets(self, now: datetime) -> list[str]:
        """What a delivery is signed with now: the secret, and for a while the former one too."""
        is_rotating = self.former_until_at is not None and now < self.former_until_at
        return [self.secret, self.former_secret] if is_rotating else [self.secret]


class OutboundWebhook(JobRow):
    """One event for one endpoint. The job on the row delivers it.

    The id is the `webhook-id` of every attempt: by it a receiver knows what it has seen before.
    """

    due_within_seconds = 90_000  # a receiver may ask for a day

    class State(models.TextChoices):
        PENDING = "pending"
        DELIVERED = "delivered"
        FAILED = "failed"
        CANCELLED = "cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    endpoint = models.ForeignKey(
        WebhookEndpoint, on_delete=models.CASCADE, related_name="webhooks", db_index=False
    )
    kind = models.CharField(max_length=40)
    key = models.CharField(max_length=100, help_text="Names the event among those of its kind.")
    body = models.TextField(help_text="Exactly what is sent.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    tries = models.PositiveIntegerField(default=0, help_text="How often it was sent.")
    give_up_at = models.DateTimeField(help_text="The last attempt.")
    tried_at = models.DateTimeField(null=True, blank=True, help_text="The latest attempt.")
    status = models.PositiveIntegerField(null=True, blank=True, help_text="Of the latest answer.")
    answer = models.TextField(blank=True, default="", help_text="How the latest answer begins.")
    failure = models.CharField(max_length=200, blank=True, default="")
    milliseconds = models.PositiveIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(db_index=True)

    class Meta(JobRow.Meta):
        abstract = False
        constraints = [
            models.UniqueConstraint(fields=["endpoint", "kind", "key"], name="outboundwebhook_once")
        ]
        indexes = [
            *JobRow.Meta.indexes,
            models.Index(fields=["endpoint", "-created_at"], name="outboundwebhook_newest"),
            models.Index(
                fields=["endpoint"],
                name="outboundwebhook_pending",
                condition=Q(state="pending"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.message_id}"

    @property
    def message_id(self) -> str:
        return f"msg_{self.id.hex}"


class Banner(models.Model):
    """An event that its customer should see on the pages, until it is over or closed."""

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="banners", db_index=False
    )
    kind = models.CharField(max_length=40)
    key = models.CharField(max_length=100, help_text="Names the event among those of its kind.")
    data = models.JSONField(default=dict)
    urgency = models.PositiveSmallIntegerField(help_text="The least is shown first.")
    until_at = models.DateTimeField(db_index=True, help_text="When it is over.")
    created_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["customer", "kind", "key"], name="banner_once")
        ]
        indexes = [
            models.Index(
                fields=["customer", "urgency"], name="banner_open", condition=Q(closed_at=None)
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"
