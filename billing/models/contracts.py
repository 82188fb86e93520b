"""The customer's contract, and the plan on it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Self

from django.db import models
from django.db.models import F, Q

from accounts.models import Customer
from jobs.models import JobRow, JobRowQuerySet

NEVER = datetime(1970, 1, 1, tzinfo=UTC)


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
    recharge_gate = models.CharField(
        max_length=10,
        blank=True,
        default="",
        help_text="Who charges its recharges, as last read: EXTERNAL (we) or STRIPE (Metronome).",
    )
    zero_overage = models.BooleanField(
        null=True,
        help_text="At Metronome, usage beyond the credits costs nothing, as last read.",
    )
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
    An upgrade is a new row with an anchor of its own. A plan that follows at the end of a period is
    a new row too, with the anchor and the periods of the former one.
    """

    NO_PLAN = "none"  # as `next_plan`: it ends with the period

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
    first_period = models.PositiveIntegerField(
        default=0,
        help_text="Its own first period. Above 0 if it followed a plan at the end of a period.",
    )
    next_plan = models.CharField(
        max_length=20,
        blank=True,
        default="",
        help_text="What follows at the period's end. Empty: the same plan. “none”: no plan.",
    )
    former = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="followers",
        help_text="The plan it took the place of.",
    )
    due_cents = models.BigIntegerField(
        null=True,
        blank=True,
        help_text="Charged for its first period, as it was shown. Empty: the plan's price.",
    )
    due_tax_cents = models.BigIntegerField(
        default=0, help_text="Charged on top of that as tax, as it was shown."
    )
    paid_back_cents = models.BigIntegerField(
        default=0, help_text="Of the former plan's price; already taken off what is charged."
    )
    off_cents = models.BigIntegerField(
        default=0,
        help_text="Off the price of its first period, by an offer; already taken off as well.",
    )
    taken_from = models.ForeignKey(
        "billing.CreditGrant",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="The former plan's credits, of which some are taken back.",
    )
    taken_back_credits = models.BigIntegerField(default=0)
    taken_back_at = models.DateTimeField(
        null=True, blank=True, help_text="When Metronome had taken them back as well."
    )
    past_due_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="From when the tries of a declined renewal count. Empty: nothing is past due.",
    )
    tries = models.PositiveSmallIntegerField(
        default=0, help_text="How many of the three moments to try a renewal have passed."
    )
    failure = models.TextField(blank=True, default="", help_text="Shown to the customer.")
    reminded_end_at = models.DateTimeField(
        default=NEVER, help_text="The end of a period that its customer was last told of ahead."
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
            models.CheckConstraint(
                condition=Q(taken_back_credits=0) | Q(taken_from__isnull=False),
                name="subscription_takes_from_a_grant",
            ),
        ]
        indexes = [
            *JobRow.Meta.indexes,
            models.Index(fields=["key"], name="subscription_key"),
            models.Index(
                fields=["id"],
                name="subscription_audio_due",
                condition=Q(state="active", is_audio_lengthened=False),
            ),
            models.Index(
                fields=["period_end_at"],
                name="subscription_remind",
                condition=Q(state="active", reminded_end_at__lt=F("period_end_at")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.plan} ({self.state})"
