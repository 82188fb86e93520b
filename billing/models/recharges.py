"""Auto-recharge settings of customers, and the recharges that Metronome requested."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Self

from django.db import models
from django.db.models import Q

from accounts.models import Customer
from jobs.models import JobRow, JobRowQuerySet

from .payments import Payment, dollars
from .wallets import CreditGrant


class AutoRechargeQuerySet(JobRowQuerySet["AutoRecharge"]):
    def in_trouble(self) -> Self:
        """The last recharge failed, or none came although the balance is low."""
        return self.filter(Q(stuck_at__isnull=False) | ~Q(failure=""))


class AutoRecharge(JobRow):
    """The customer's auto-recharge settings.

    The job on the row copies them to the Metronome contract.
    """

    customer = models.OneToOneField(
        Customer, on_delete=models.PROTECT, related_name="auto_recharge"
    )
    enabled = models.BooleanField(default=False)
    threshold_credits = models.BigIntegerField()
    recharge_to_credits = models.BigIntegerField()
    limit_cents = models.BigIntegerField(
        null=True,
        blank=True,
        help_text="Charged at most in a calendar month (UTC). Empty: three recharges.",
    )
    paused_until_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="Off at Metronome until then, because the month's limit is reached.",
    )
    settings_version = models.PositiveIntegerField(
        default=0, help_text="Incremented by each change, which is then pushed to Metronome."
    )
    applied_version = models.PositiveIntegerField(
        default=0, help_text="The last version that was applied at Metronome."
    )
    failure = models.TextField(
        blank=True,
        default="",
        help_text="Why the last recharge failed; shown until it is enabled again.",
    )
    low_since_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="Since when the balance is at or below the threshold with no recharge open.",
    )
    stuck_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When auto-recharge was toggled at Metronome because no recharge came.",
    )

    objects = AutoRechargeQuerySet.as_manager()  # type: ignore[misc]

    class Meta(JobRow.Meta):
        abstract = False

    def __str__(self) -> str:
        return "on" if self.enabled else "off"


# What the ids begin with of recharges that a customer started by saving the settings.
OWN_WORKFLOW = "vocalis-"
# What they begin with of recharges that Metronome charged itself; the invoice's id follows.
METRONOMES_WORKFLOW = "metronome-"


class RechargeQuerySet(JobRowQuerySet["Recharge"]):
    def open(self) -> Self:
        return self.filter(OPEN_RECHARGE)

    def own(self) -> Self:
        """Started by saving the settings, not by a request of Metronome."""
        return self.filter(workflow_id__startswith=OWN_WORKFLOW)


OPEN_RECHARGE = ~Q(state__in=["granted", "failed"])


class Recharge(JobRow):
    """One recharge, from Metronome's request for a payment to the credits.

    Every state is a recovery point.
    """

    due_within_seconds = 3_600  # like its payment

    class State(models.TextChoices):
        REQUESTED = "requested"
        PAYING = "paying"
        RELEASING = "releasing"
        RELEASED = "released"
        GRANTED = "granted"
        FAILED = "failed"

    class Refusal(models.TextChoices):
        """Why we refused it ourselves, without a charge."""

        LIMIT = "limit", "the month's limit"
        OUTDATED = "outdated", "filled up meanwhile"

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="recharges")
    state = models.CharField(max_length=10, choices=State.choices, default=State.REQUESTED)
    workflow_id = models.CharField(
        max_length=64,
        unique=True,
        help_text="Metronome's id of the recharge. Ours if saving the settings started it.",
    )
    invoice_id = models.CharField(
        max_length=64, blank=True, default="", help_text="Metronome's invoice of the recharge."
    )
    invoice_total = models.CharField(
        max_length=40, help_text="Cents as Metronome sent them, with fractions."
    )
    shown_tax_cents = models.BigIntegerField(
        null=True,
        blank=True,
        help_text="The tax that was shown when saving the settings started it.",
    )
    payment = models.OneToOneField(
        Payment, on_delete=models.PROTECT, null=True, blank=True, related_name="recharge"
    )
    charged_at = models.DateTimeField(
        null=True, blank=True, help_text="When we learned that its payment was charged."
    )
    limit_cents = models.BigIntegerField(
        null=True, blank=True, help_text="The month's limit when it was paid for or refused."
    )
    month_cents = models.BigIntegerField(
        null=True,
        blank=True,
        help_text="Charged in the month by then, with this one if it was paid for.",
    )
    resets_at = models.DateTimeField(
        null=True, blank=True, help_text="When the month ends that its limit is for."
    )
    refusal = models.CharField(max_length=10, choices=Refusal.choices, blank=True, default="")
    doubted_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When Metronome first reported that it had ended, but not how.",
    )
    release_refusal = models.TextField(
        blank=True,
        default="",
        help_text="Why Metronome refused a paid release. We grant the credits instead.",
    )
    grant = models.OneToOneField(
        CreditGrant, on_delete=models.PROTECT, null=True, blank=True, related_name="recharge"
    )
    failure = models.TextField(
        blank=True, default="", help_text="Why it was not paid. Shown to the customer."
    )
    created_at = models.DateTimeField()
    settled_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When it was granted, or the customer was told that it failed.",
    )

    objects = RechargeQuerySet.as_manager()  # type: ignore[misc]

    class Meta(JobRow.Meta):
        abstract = False
        constraints = [
            models.UniqueConstraint(
                fields=["customer"], condition=OPEN_RECHARGE, name="recharge_one_open"
            ),
        ]
        indexes = [
            *JobRow.Meta.indexes,
            models.Index(fields=["customer", "-created_at"], name="recharge_by_customer"),
            models.Index(
                fields=["customer", "-created_at"],
                name="recharge_charged",
                condition=Q(charged_at__isnull=False),
            ),
            models.Index(fields=["-created_at"], name="recharge_newest"),
            models.Index(fields=["state", "-created_at"], name="recharge_by_state"),
            models.Index(fields=["invoice_id"], name="recharge_by_invoice"),
        ]

    def __str__(self) -> str:
        return f"recharge {self.amount_dollars} ({self.state})"

    @property
    def is_own(self) -> bool:
        """Whether saving the settings started it; then Metronome knows nothing of it."""
        return self.workflow_id.startswith(OWN_WORKFLOW)

    @property
    def is_by_metronome(self) -> bool:
        """Whether Metronome charges it itself; then nothing is released."""
        return self.workflow_id.startswith(METRONOMES_WORKFLOW)

    @property
    def amount_cents(self) -> int:
        """The amount to charge: the invoice total, rounded half up."""
        return int(Decimal(self.invoice_total).to_integral_value(ROUND_HALF_UP))

    @property
    def amount_dollars(self) -> str:
        return dollars(self.amount_cents)
