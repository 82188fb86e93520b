"""Money movement, how to charge, the recharge settings, and credits that a person gave."""

from __future__ import annotations

import uuid
from typing import Self

from django.db import models
from django.db.models import Q

from accounts.models import Customer
from jobs.models import JobRow, JobRowQuerySet

from .contracts import Subscription
from .wallets import CreditGrant


class PaymentMethod(models.Model):
    """How to charge a customer. The card itself stays at the gateway; here is only its reference there."""

    customer = models.OneToOneField(Customer, on_delete=models.PROTECT, related_name="payment_method")
    gateway = models.CharField(max_length=20)
    reference = models.CharField(max_length=200, help_text="The card's id at the gateway.")
    label = models.CharField(max_length=100, help_text="What the customer sees, such as “Test card •••• 4242”.")

    def __str__(self) -> str:
        return self.label


class PaymentQuerySet(JobRowQuerySet):
    def open(self) -> Self:
        return self.exclude(state__in=[Payment.State.GRANTED, Payment.State.FAILED, Payment.State.REFUNDED])

    def charged_not_granted(self) -> Self:
        """The money was taken, and has become neither credits nor a refund yet."""
        states = Payment.State
        taken = [states.CHARGED, states.RELEASING, states.RELEASED, states.REFUNDING]
        return self.filter(state__in=taken, grant=None)


class Payment(JobRow):
    """Money movement with recovery points: every state is a place a worker can die and another go on from."""

    due_within_seconds = 3_600  # one charged and not granted is looked at each hour

    class Kind(models.TextChoices):
        PLAN = "plan"
        RECHARGE = "recharge"

    class State(models.TextChoices):
        INITIATED = "initiated"
        CHARGING = "charging"
        CHARGED = "charged"
        RELEASING = "releasing"
        RELEASED = "released"
        GRANTED = "granted"
        FAILED = "failed"
        REFUNDING = "refunding"
        REFUNDED = "refunded"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="payments")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    state = models.CharField(max_length=10, choices=State.choices, default=State.INITIATED)
    amount_cents = models.BigIntegerField(help_text="What is charged: the invoice total rounded half up.")
    invoice_total = models.CharField(
        max_length=40, blank=True, default="", help_text="Cents as Metronome sent them, fractions and all."
    )
    currency = models.CharField(max_length=3, default="USD")
    subscription = models.ForeignKey(
        Subscription, on_delete=models.PROTECT, null=True, blank=True, related_name="payments"
    )
    period = models.PositiveIntegerField(null=True, blank=True)
    workflow_id = models.CharField(max_length=64, null=True, blank=True, unique=True)  # noqa: DJ001  NULL: not a recharge
    invoice_id = models.CharField(max_length=64, blank=True, default="", help_text="Metronome's invoice of a recharge.")
    gateway = models.CharField(max_length=20)
    gateway_reference = models.CharField(
        max_length=200, blank=True, default="", help_text="The charge's id at the gateway."
    )
    doubted_at = models.DateTimeField(
        null=True, blank=True, help_text="When Metronome first called the recharge over without saying how it ended."
    )
    release_refusal = models.TextField(
        blank=True, default="", help_text="Why Metronome did not want a paid release; then we grant the credits."
    )
    grant = models.OneToOneField(CreditGrant, on_delete=models.PROTECT, null=True, blank=True, related_name="payment")
    failure = models.TextField(blank=True, default="", help_text="Why it failed, in words for the customer.")
    created_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)

    objects = PaymentQuerySet.as_manager()  # type: ignore[misc]

    class Meta(JobRow.Meta):
        abstract = False
        constraints = [
            models.UniqueConstraint(fields=["subscription", "period"], name="payment_once_a_period"),
            models.UniqueConstraint(
                fields=["customer"],
                condition=Q(kind="recharge") & ~Q(state__in=["granted", "failed", "refunded"]),
                name="payment_one_open_recharge",
            ),
        ]
        indexes = [
            *JobRow.Meta.indexes,
            models.Index(fields=["customer", "-created_at"], name="payment_by_customer"),
            models.Index(fields=["-created_at"], name="payment_newest"),
            models.Index(fields=["state", "-created_at"], name="payment_by_state"),
            models.Index(fields=["invoice_id"], name="payment_by_invoice"),
            models.Index(fields=["gateway_reference"], name="payment_by_charge"),
            # The condition of `open()`, word for word: that is how PostgreSQL knows that it may use it.
            models.Index(
                fields=["customer"], name="payment_open", condition=~Q(state__in=["granted", "failed", "refunded"])
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount_dollars} ({self.state})"

    @property
    def amount_dollars(self) -> str:
        return f"${self.amount_cents // 100:,}.{self.amount_cents % 100:02}"


class ChargeAtTestGateway(models.Model):
    """The test gateway's own books, as a real provider keeps them on its side: one charge a key. Nobody is charged."""

    key = models.CharField(max_length=128, unique=True)
    method_reference = models.CharField(max_length=200)
    amount_cents = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    description = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)
    refunded_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "charges at test gateway"

    def __str__(self) -> str:
        return f"{self.amount_cents / 100:.2f} {self.currency} ({self.key})"


class ComplimentaryGrant(JobRow):
    """Credits a person decided to give: a kindness, or back for something that went wrong. As a job it owes the grant."""

    due_within_seconds = 0

    class Kind(models.TextChoices):
        COMPLIMENTARY = "complimentary"
        CREDIT_BACK = "credit_back"

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="complimentary_grants")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    key = models.CharField(max_length=128, unique=True, help_text="Names the grant at Metronome: one gift, one grant.")
    credits = models.BigIntegerField()
    reason = models.CharField(max_length=200)
    by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="complimentary_grants_given")
    ends_at = models.DateTimeField()
    grant = models.OneToOneField(
        CreditGrant, on_delete=models.PROTECT, null=True, blank=True, help_text="Empty until Metronome has it."
    )
    created_at = models.DateTimeField()

    class Meta(JobRow.Meta):
        abstract = False
        constraints = [models.CheckConstraint(condition=Q(credits__gt=0), name="complimentarygrant_of_something")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.credits:,} credits"


class AutoRechargeQuerySet(JobRowQuerySet):
    def in_trouble(self) -> Self:
        """The last recharge failed, or did not come."""
        return self.filter(Q(stuck_at__isnull=False) | ~Q(failure=""))


class AutoRecharge(JobRow):
    """The customer's recharge settings. As a job it owes their mirror on the Metronome contract."""

    customer = models.OneToOneField(Customer, on_delete=models.PROTECT, related_name="auto_recharge")
    enabled = models.BooleanField(default=False)
    threshold_credits = models.BigIntegerField()
    recharge_to_credits = models.BigIntegerField()
    failure = models.TextField(
        blank=True, default="", help_text="Why the last recharge failed; shown until it is enabled again."
    )
    low_since_at = models.DateTimeField(
        null=True, blank=True, help_text="At or under the threshold with nothing under way since then."
    )
    stuck_at = models.DateTimeField(
        null=True, blank=True, help_text="The recharge did not come; it was toggled once to make Metronome look again."
    )

    objects = AutoRechargeQuerySet.as_manager()  # type: ignore[misc]

    class Meta(JobRow.Meta):
        abstract = False

    def __str__(self) -> str:
        return "on" if self.enabled else "off"
