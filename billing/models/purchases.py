"""Top-ups: credits that a customer buys once."""

from __future__ import annotations

from typing import Self

from django.db import models
from django.db.models import Q

from accounts.models import Customer
from jobs.models import JobRow, JobRowQuerySet

from .payments import Payment, dollars
from .wallets import CreditGrant

OPEN_PURCHASE = ~Q(state__in=["granted", "failed"])


class PurchaseQuerySet(JobRowQuerySet["Purchase"]):
    def open(self) -> Self:
        return self.filter(OPEN_PURCHASE)


class Purchase(JobRow):
    """One top-up: credits for an amount that was shown.

    Every state is a recovery point.
    """

    due_within_seconds = 3_600  # like its payment

    class State(models.TextChoices):
        REQUESTED = "requested"
        CHARGED = "charged"
        GRANTED = "granted"
        FAILED = "failed"

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="purchases")
    state = models.CharField(max_length=10, choices=State.choices, default=State.REQUESTED)
    key = models.CharField(
        max_length=64, help_text="Key of the form: the same form sent twice is one purchase."
    )
    amount_cents = models.BigIntegerField()
    credits = models.BigIntegerField()
    payment = models.OneToOneField(Payment, on_delete=models.PROTECT, related_name="purchase")
    charged_at = models.DateTimeField(
        null=True, blank=True, help_text="From then on its credits are valid for a year."
    )
    grant = models.OneToOneField(
        CreditGrant, on_delete=models.PROTECT, null=True, blank=True, related_name="purchase"
    )
    failure = models.TextField(
        blank=True, default="", help_text="Why it was not paid. Shown to the customer."
    )
    created_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)

    objects = PurchaseQuerySet.as_manager()  # type: ignore[misc]

    class Meta(JobRow.Meta):
        abstract = False
        constraints = [
            models.UniqueConstraint(fields=["customer", "key"], name="purchase_key_unique"),
            models.CheckConstraint(
                condition=Q(credits__gt=0, amount_cents__gt=0), name="purchase_of_something"
            ),
        ]
        indexes = [
            *JobRow.Meta.indexes,
            models.Index(fields=["customer", "-created_at"], name="purchase_by_customer"),
            models.Index(fields=["-created_at"], name="purchase_newest"),
            models.Index(fields=["state", "-created_at"], name="purchase_by_state"),
        ]

    def __str__(self) -> str:
        return f"top-up of {self.amount_dollars} ({self.state})"

    @property
    def amount_dollars(self) -> str:
        return dollars(self.amount_cents)
