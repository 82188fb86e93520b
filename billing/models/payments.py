"""Payments, payment methods, and credits that staff granted."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Self

from django.db import models
from django.db.models import Q

from accounts.models import Customer
from jobs.models import JobRow, JobRowQuerySet

from .contracts import Subscription
from .wallets import CreditGrant


class PaymentMethod(models.Model):
    """How to charge a customer.

    The card data stays at the gateway; the row has only the gateway's reference to it.
    """

    customer = models.OneToOneField(
        Customer, on_delete=models.PROTECT, related_name="payment_method"
    )
    gateway = models.CharField(max_length=20)
    reference = models.CharField(max_length=200, help_text="The card's id at the gateway.")
    label = models.CharField(
        max_length=100, help_text="What the customer sees, such as “Visa •••• 4242”."
    )

    fingerprint = models.CharField(
        max_length=64,
        blank=True,
        default="",
        help_text="The same for one card under any id; what declined once is known by it.",
    )
    brand = models.CharField(max_length=40, blank=True, default="")
    last4 = models.CharField(max_length=4, blank=True, default="")
    exp_month = models.PositiveSmallIntegerField(null=True, blank=True)
    exp_year = models.PositiveSmallIntegerField(null=True, blank=True)
    is_expiry_told = models.BooleanField(
        default=False, help_text="The customer was told that this card ends next month."
    )

    class Meta:
        indexes = [
            models.Index(fields=["exp_year", "exp_month"], name="paymentmethod_by_expiry"),
        ]

    def __str__(self) -> str:
        return self.label

    @property
    def expires(self) -> str:
        """Month and year after which it is not valid any more, such as "04/2029"."""
        return f"{self.exp_month:02}/{self.exp_year}" if self.exp_month and self.exp_year else ""


PAGE_LASTS = timedelta(days=1)  # how long a gateway's page for paying is open

OPEN_PAYMENT = Q(grant__isnull=True) & ~Q(state__in=["failed", "refunded"])


class PaymentQuerySet(JobRowQuerySet["Payment"]):
    def open(self) -> Self:
        """Neither failed nor refunded, and not granted yet."""
        return self.filter(OPEN_PAYMENT)

    def charged_not_granted(self) -> Self:
        """The money was taken, but there are neither credits nor a completed refund yet."""
        states = Payment.State
        return self.filter(state__in=[states.CHARGED, states.REFUNDING], grant=None)


class Payment(JobRow):
    """A movement of money.

    Every state is a recovery point: if a worker dies, another one resumes from it.

    A charged payment is done once the code that requested it has stored the credits it bought
    (`grant`).
    """

    # Payments that are charged but not granted, or wait for a confirmation, are checked every hour.
    due_within_seconds = 3_600

    class Kind(models.TextChoices):
        PLAN = "plan"
        RECHARGE = "recharge"
        PACK = "pack", "top-up"

    class State(models.TextChoices):
        INITIATED = "initiated"
        CHARGING = "charging"
        REQUIRES_ACTION = "requires_action"
        AT_PAGE = "at_page"  # the customer pays at the gateway's own page, or leaves it
        CHARGED = "charged"
        FAILED = "failed"
        REFUNDING = "refunding"
        REFUNDED = "refunded"

    class Decline(models.TextChoices):
        """What a decline says about trying again."""

        LATER = "later"  # the same card may pay another day
        NEW_CARD = "new_card"  # this card's data cannot be charged; another card can
        NEVER = "never"  # never this card again; the customer is told as of a plain decline
        CUSTOMER = "customer"  # the bank wants the customer to confirm it

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="payments")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    state = models.CharField(max_length=20, choices=State.choices, default=State.INITIATED)
    amount_cents = models.BigIntegerField(help_text="What is charged, tax included.")
    tax_cents = models.BigIntegerField(default=0, help_text="How much of it is tax.")
    currency = models.CharField(max_length=3, default="USD")
    credits = models.BigIntegerField(
        null=True, blank=True, help_text="The credits it is for, as its receipt says."
    )
    subscription = models.ForeignKey(
        Subscription, on_delete=models.PROTECT, null=True, blank=True, related_name="payments"
    )
    period = models.PositiveIntegerField(null=True, blank=True)
    gateway = models.CharField(max_length=20)
    gateway_reference = models.CharField(
        max_length=200, blank=True, default="", help_text="The charge's id at the gateway."
    )
    is_by_metronome = models.BooleanField(
        default=False, help_text="Charged by Metronome itself, through Stripe; we only follow it."
    )
    attempt_number = models.PositiveIntegerField(
        default=1,
        help_text="The attempt under way or the last one. Another try or card takes the next one.",
    )
    confirm_by_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="Deadline for the customer to confirm the payment with the bank.",
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
        help_text="Why it failed or is being cancelled. Shown to the customer.",
    )
    decline = models.CharField(
        max_length=10,
        choices=Decline.choices,
        blank=True,
        default="",
        help_text="What the latest decline says about trying again.",
    )
    declined_card = models.CharField(
        max_length=200,
        blank=True,
        default="",
        help_text="The fingerprint of the card that was declined last.",
    )
    refused_cards = models.JSONField(
        default=list,
        blank=True,
        help_text="Fingerprints of cards that must not be charged again for this payment.",
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
                condition=Q(grant__isnull=True) | Q(state__in=["charged", "refunding", "refunded"]),
                name="payment_granted_is_charged",
            ),
            models.CheckConstraint(
                condition=Q(tax_cents__gte=0, tax_cents__lte=models.F("amount_cents")),
                name="payment_tax_is_part",
            ),
        ]
        indexes = [
            *JobRow.Meta.indexes,
            models.Index(fields=["customer", "-created_at"], name="payment_by_customer"),
            models.Index(fields=["-created_at"], name="payment_newest"),
            models.Index(fields=["state", "-created_at"], name="payment_by_state"),
            models.Index(fields=["gateway_reference"], name="payment_by_charge"),
            # What recharges have charged in a month, without reading the rows (`recharge.limits`).
            models.Index(
                fields=["customer", "created_at", "amount_cents"],
                name="payment_of_recharges",
                condition=Q(kind="recharge") & ~Q(state="failed"),
            ),
            # Exactly the condition of `open()`, because PostgreSQL must recognise it to use this.
            models.Index(fields=["customer"], name="payment_open", condition=OPEN_PAYMENT),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount_dollars} ({self.state})"

    @property
    def amount_dollars(self) -> str:
        return dollars(self.amount_cents)

    @property
    def net_cents(self) -> int:
        """The price without tax."""
        return self.amount_cents - self.tax_cents

    @property
    def page_until(self) -> datetime:
        """Until when it can be paid at the gateway's page, if that is opened soon."""
        return self.created_at + PAGE_LASTS


def dollars(cents: int) -> str:
    return f"${cents // 100:,}.{cents % 100:02}"


class ComplimentaryGrant(JobRow):
    """Credits that a member of staff decided to grant: complimentary, or back for a failure.

    The job on the row grants them through Metronome.
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
        max_length=128, unique=True, help_text="Uniqueness key of the grant at Metronome."
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
        help_text="Empty until Metronome has created the credits.",
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
