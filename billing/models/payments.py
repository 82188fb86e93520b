"""Money movement, how to charge, and credits that a person gave."""

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
    """How to charge a customer.

    The card itself stays at the gateway; here is only its reference there.
    """

    customer = models.OneToOneField(
        Customer, on_delete=models.PROTECT, related_name="payment_method"
    )
    gateway = models.CharField(max_length=20)
    reference = models.CharField(max_length=200, help_text="The card's id at the gateway.")
    label = models.CharField(
        max_length=100, help_text="What the customer sees, such as “Test card •••• 4242”."
    )

    def __str__(self) -> str:
        return self.label


OPEN_PAYMENT = Q(grant__isnull=True) & ~Q(state__in=["failed", "refunded"])


class PaymentQuerySet(JobRowQuerySet["Payment"]):
    def open(self) -> Self:
        """Neither failed nor refunded, and what it pays for is not there yet."""
        return self.filter(OPEN_PAYMENT)

    def charged_not_granted(self) -> Self:
        """The money was taken, and has become neither credits nor a refund yet."""
        states = Payment.State
        return self.filter(state__in=[states.CHARGED, states.REFUNDING], grant=None)


class Payment(JobRow):
    """Money movement with recovery points: every state is a place a worker can die and another go
    on from.

    A charged payment is done when whoever asked for it has noted the credits it bought (`grant`).
    """

    # one charged and not granted, or not confirmed, is looked at each hour
    due_within_seconds = 3_600

    class Kind(models.TextChoices):
        PLAN = "plan"
        RECHARGE = "recharge"

    class State(models.TextChoices):
        INITIATED = "initiated"
        CHARGING = "charging"
        REQUIRES_ACTION = "requires_action"
        CHARGED = "charged"
        FAILED = "failed"
        REFUNDING = "refunding"
        REFUNDED = "refunded"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="payments")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    state = models.CharField(max_length=20, choices=State.choices, default=State.INITIATED)
    amount_cents = models.BigIntegerField()
    currency = models.CharField(max_length=3, default="USD")
    subscription = models.ForeignKey(
        Subscription, on_delete=models.PROTECT, null=True, blank=True, related_name="payments"
    )
    period = models.PositiveIntegerField(null=True, blank=True)
    gateway = models.CharField(max_length=20)
    gateway_reference = models.CharField(
        max_length=200, blank=True, default="", help_text="The charge's id at the gateway."
    )
    charge_number = models.PositiveIntegerField(
        default=0, help_text="Raised when another card is charged instead of one that waits."
    )
    confirm_by_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="Until when the customer's bank may have the payment confirmed.",
    )
    told_at = models.DateTimeField(
        null=True, blank=True, help_text="When the customer was asked by mail to confirm it."
    )
    grant = models.OneToOneField(
        CreditGrant,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="payment",
        help_text="The credits this paid for.",
    )
    failure = models.TextField(
        blank=True,
        default="",
        help_text="Why it failed or is called off, in words for the customer.",
    )
    created_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)

    objects = PaymentQuerySet.as_manager()  # type: ignore[misc]

    class Meta(JobRow.Meta):
        abstract = False
        constraints = [
            models.UniqueConstraint(
                fields=["subscription", "period"], name="payment_once_a_period"
            ),
            models.CheckConstraint(
                condition=Q(grant__isnull=True) | Q(state="charged"),
                name="payment_granted_is_charged",
            ),
        ]
        indexes = [
            *JobRow.Meta.indexes,
            models.Index(fields=["customer", "-created_at"], name="payment_by_customer"),
            models.Index(fields=["-created_at"], name="payment_newest"),
            models.Index(fields=["state", "-created_at"], name="payment_by_state"),
            models.Index(fields=["gateway_reference"], name="payment_by_charge"),
            # The condition of `open()`, word for word: so PostgreSQL knows that it may use it.
            models.Index(fields=["customer"], name="payment_open", condition=OPEN_PAYMENT),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount_dollars} ({self.state})"

    @property
    def amount_dollars(self) -> str:
        return dollars(self.amount_cents)


def dollars(cents: int) -> str:
    return f"${cents // 100:,}.{cents % 100:02}"


class ChargeAtTestGateway(models.Model):
    """The test gateway's own books, as a real provider keeps them on its side: one charge a key.

    Nobody is charged.
    """

    class State(models.TextChoices):
        PAID = "paid"
        WAITING = "waiting"
        CANCELLED = "cancelled"

    state = models.CharField(max_length=10, choices=State.choices, default=State.PAID)
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
    """Credits a person decided to give: a kindness, or back for something that went wrong.

    As a job it owes the grant.
    """

    due_within_seconds = 0

    class Kind(models.TextChoices):
        COMPLIMENTARY = "complimentary"
        CREDIT_BACK = "credit_back"

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="complimentary_grants"
    )
    kind = models.CharField(max_length=20, choices=Kind.choices)
    key = models.CharField(
        max_length=128, unique=True, help_text="Names the grant at Metronome: one gift, one grant."
    )
    credits = models.BigIntegerField()
    reason = models.CharField(max_length=200)
    by = models.ForeignKey(
        "accounts.User", on_delete=models.PROTECT, related_name="complimentary_grants_given"
    )
    ends_at = models.DateTimeField()
    grant = models.OneToOneField(
        CreditGrant,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        help_text="Empty until Metronome has it.",
    )
    created_at = models.DateTimeField()

    class Meta(JobRow.Meta):
        abstract = False
        constraints = [
            models.CheckConstraint(
                condition=Q(credits__gt=0), name="complimentarygrant_of_something"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.credits:,} credits"
