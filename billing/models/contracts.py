"""The customer's contract, and the plan on it."""

from __future__ import annotations

from typing import Self

from django.db import models
from django.db.models import Q

from accounts.models import Customer
from jobs.models import JobRow, JobRowQuerySet


class Contract(JobRow):
    """The customer's only Metronome contract.

    It is open-ended; plans, packs and recharges are commits on it.

    The job on the row synchronises it: `due_at` is when grants and balance are read next.
    """

    due_within_seconds = 3_600  # idle contracts are read every hour

    customer = models.OneToOneField(Customer, on_delete=models.PROTECT, related_name="contract")
    metronome_id = models.CharField(max_length=64, null=True, blank=True, unique=True)  # noqa: DJ001  NULL: not made yet
    starts_at = models.DateTimeField(
        help_text="Floored to the hour; usage before it would not be rated."
    )
    recharge_enabled = models.BooleanField(
        null=True, help_text="Auto-recharge as last read at Metronome. Empty: not configured there."
    )
    recharge_threshold_credits = models.BigIntegerField(null=True, blank=True)
    recharge_to_credits = models.BigIntegerField(null=True, blank=True)
    synced_at = models.DateTimeField(null=True, blank=True)

    class Meta(JobRow.Meta):
        abstract = False

    def __str__(self) -> str:
        return f"contract of {self.customer}"


class SubscriptionQuerySet(JobRowQuerySet["Subscription"]):
    def live(self) -> Self:
        return self.filter(state__in=[Subscription.State.REQUESTED, Subscription.State.ACTIVE])


class Subscription(JobRow):
    """A plan that a customer chose.

    Each granted period is one commit (or credit) on the contract, keyed by subscription and period.
    """

    class State(models.TextChoices):
        REQUESTED = "requested"
        ACTIVE = "active"
        ENDED = "ended"
        FAILED = "failed"

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="subscriptions")
    plan = models.CharField(max_length=20, help_text="A key of billing.plans.PLANS.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.REQUESTED)
    key = models.CharField(
        max_length=128, help_text="Key of the form: the same form sent twice is one subscription."
    )
    anchor_at = models.DateTimeField(
        null=True, blank=True, help_text="Start of the first period; months count from its day."
    )
    period = models.PositiveIntegerField(
        default=0, help_text="Number of the current period, from 0."
    )
    period_start_at = models.DateTimeField(null=True, blank=True)
    period_end_at = models.DateTimeField(null=True, blank=True)
    failure = models.TextField(blank=True, default="", help_text="Shown to the customer.")
    told_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When the e-mail was sent that the plan was not renewed.",
    )
    is_audio_lengthened = models.BooleanField(
        default=False,
        help_text="What its customer had made before it began is kept as long as it says.",
    )
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = SubscriptionQuerySet.as_manager()  # type: ignore[misc]

    class Meta(JobRow.Meta):
        abstract = False
        constraints = [
            models.UniqueConstraint(fields=["customer", "key"], name="subscription_key_unique"),
            models.UniqueConstraint(
                fields=["customer"], condition=Q(plan="trial"), name="subscription_one_trial"
            ),
            models.UniqueConstraint(
                fields=["customer"],
                condition=Q(state="requested"),
                name="subscription_one_requested",
            ),
            models.UniqueConstraint(
                fields=["customer"], condition=Q(state="active"), name="subscription_one_active"
            ),
        ]
        indexes = [
            *JobRow.Meta.indexes,
            models.Index(
                fields=["id"],
                name="subscription_audio_due",
                condition=Q(state="active", is_audio_lengthened=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.plan} ({self.state})"
