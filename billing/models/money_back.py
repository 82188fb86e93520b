"""Money that goes back: refunds by staff, disputes at the bank, and what Stripe warns of."""

from __future__ import annotations

import uuid
from typing import Self

from django.db import models
from django.db.models import Q

from accounts.models import Customer
from jobs.models import JobRow, JobRowQuerySet

from .payments import Payment, dollars
from .wallets import DISPUTE_HOLD, CreditGrant


class Refund(JobRow):
    """Money that staff gives back for one payment, with the credits it had bought.

    Every state is a recovery point of `billing.refunds.flow`.
    """

    due_within_seconds = 0

    class State(models.TextChoices):
        REQUESTED = "requested"  # the credits have left the balance here
        TAKEN_BACK = "taken_back", "to be paid back"  # they have left Metronome, too
        PAID_BACK = "paid_back", "paid back"
        REFUSED = "refused", "came back"  # the bank did not take it: a person decides
        RETURNING = "returning", "giving credits back"
        CALLED_OFF = "called_off", "called off"

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="refunds")
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="refunds")
    state = models.CharField(max_length=10, choices=State.choices, default=State.REQUESTED)
    amount_cents = models.BigIntegerField()
    credits = models.BigIntegerField(default=0, help_text="Taken back with it.")
    grant = models.ForeignKey(
        CreditGrant,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="What they are taken from. Empty: the payment never had credits.",
    )
    reduced_to = models.BigIntegerField(
        null=True, blank=True, help_text="The credits that the grant keeps: those that were spent."
    )
    reason = models.TextField(help_text="The customer reads it.")
    by = models.ForeignKey(
        "accounts.User",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="refunds_given",
        help_text="Who asked for it.",
    )
    number = models.PositiveIntegerField(
        default=1, help_text="Counts the tries at the gateway; each has a key of its own."
    )
    first_sent_at = models.DateTimeField(
        null=True, blank=True, help_text="Of this try. Set before it is sent."
    )
    reference = models.CharField(
        max_length=200, blank=True, default="", help_text="The refund's id at the gateway."
    )
    failure = models.TextField(blank=True, default="", help_text="Why it came back.")
    created_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta(JobRow.Meta):
        abstract = False
        constraints = [
            models.UniqueConstraint(
                fields=["payment"], condition=~Q(state="called_off"), name="refund_once_a_payment"
            ),
            models.CheckConstraint(
                condition=Q(amount_cents__gt=0, credits__gte=0), name="refund_of_something"
            ),
        ]
        indexes = [
            *JobRow.Meta.indexes,
            models.Index(fields=["reference"], name="refund_by_reference"),
            models.Index(fields=["-created_at"], name="refund_newest"),
            models.Index(
                fields=["created_at"], name="refund_came_back", condition=Q(state="refused")
            ),
        ]

    def __str__(self) -> str:
        return f"refund of {self.amount_dollars} ({self.get_state_display()})"

    @property
    def amount_dollars(self) -> str:
        return dollars(self.amount_cents)

    @property
    def key(self) -> str:
        """The idempotency key of this try at the gateway, which also names the refund there."""
        return f"vocalis-refund-{self.pk}-{self.number}"


class DisputeQuerySet(JobRowQuerySet["Dispute"]):
    def undecided(self) -> Self:
        """Lost ones that keep a wallet frozen, about which staff has not decided yet."""
        lost = self.filter(state=Dispute.State.LOST, decided_at=None)
        return lost.filter(customer__wallet__frozen_at__isnull=False)


class Dispute(JobRow):
    """What a customer's bank says of one charge, as last read at Stripe.

    The job on the row reads it again and follows it.
    """

    due_within_seconds = 3_600

    class State(models.TextChoices):
        NEW = "new"  # not read yet
        INQUIRY = "inquiry"  # the bank asks; no money moved
        WITHDRAWN = "withdrawn"  # the bank has taken the money until it is decided
        WON = "won"
        LOST = "lost"
        CLOSED = "closed"  # an inquiry that came to nothing

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="disputes")
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="disputes")
    gateway = models.CharField(max_length=20)
    reference = models.CharField(max_length=200, help_text="The dispute's id at the gateway.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.NEW)
    status = models.CharField(
        max_length=40, blank=True, default="", help_text="The gateway's word."
    )
    reason = models.CharField(max_length=60, blank=True, default="")
    amount_cents = models.BigIntegerField(default=0)
    evidence_due_at = models.DateTimeField(null=True, blank=True)
    credits_taken = models.BigIntegerField(
        null=True, blank=True, help_text="What was left of the payment's credits once it was lost."
    )
    reduced_to = models.BigIntegerField(null=True, blank=True)
    taken_at = models.DateTimeField(
        null=True, blank=True, help_text="When Metronome had taken them as well."
    )
    created_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)
    decided_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When staff unfroze the wallet of a lost one, or decided to keep it frozen.",
    )

    objects = DisputeQuerySet.as_manager()  # type: ignore[misc]

    class Meta(JobRow.Meta):
        abstract = False
        constraints = [
            models.UniqueConstraint(fields=["gateway", "reference"], name="dispute_once"),
        ]
        indexes = [
            *JobRow.Meta.indexes,
            models.Index(fields=["reference"], name="dispute_by_reference"),
            models.Index(fields=["-created_at"], name="dispute_newest"),
            models.Index(
                fields=["created_at"],
                name="dispute_open",
                condition=Q(state__in=["inquiry", "withdrawn"]),
            ),
            models.Index(
                fields=["customer"],
                name="dispute_undecided",
                condition=Q(state="lost", decided_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"dispute of {self.amount_dollars} ({self.state})"

    @property
    def amount_dollars(self) -> str:
        return dollars(self.amount_cents)

    @property
    def hold(self) -> str:
        """The reason under which it freezes the wallet."""
        return f"{DISPUTE_HOLD}{self.pk}"


class PaymentAlert(models.Model):
    """Something that Stripe says of a payment, and that a person should look at."""

    class Kind(models.TextChoices):
        EARLY_WARNING = "early_warning", "early fraud warning"
        REVIEW = "review", "review"
        FOREIGN_REFUND = "foreign_refund", "refund made at Stripe"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="alerts")
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    reference = models.CharField(max_length=200, help_text="Its id at the gateway.")
    detail = models.CharField(max_length=200, blank=True, default="", help_text="Stripe's word.")
    amount_cents = models.BigIntegerField(help_text="Of the payment, or of the refund.")
    created_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_because = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "reference"], name="paymentalert_once"),
        ]
        indexes = [
            models.Index(fields=["reference"], name="paymentalert_by_reference"),
            models.Index(
                fields=["created_at"], name="paymentalert_open", condition=Q(closed_at__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {dollars(self.amount_cents)}"
