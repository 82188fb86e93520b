"""Customers at a payment gateway, cards being saved there, and what is to be removed there."""

from __future__ import annotations

import uuid

from django.db import models

from accounts.models import Customer
from jobs.models import JobRow


class GatewayCustomer(models.Model):
    """Who a customer is at a gateway: cards are kept and charged under this id there."""

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="gateway_customers"
    )
    gateway = models.CharField(max_length=20)
    reference = models.CharField(max_length=200, help_text="The customer's id at the gateway.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["customer", "gateway"], name="gatewaycustomer_once"),
            models.UniqueConstraint(fields=["reference", "gateway"], name="gatewaycustomer_of_one"),
        ]

    def __str__(self) -> str:
        return self.reference


class CardSetup(JobRow):
    """One visit to the gateway's page where a card is typed in.

    The job reads what became of it. It is due when the customer comes back, when the gateway tells
    us, and now and then for the case that neither happens.
    """

    due_within_seconds = 86_400

    class State(models.TextChoices):
        OPEN = "open"
        DONE = "done"
        SUPERSEDED = "superseded"  # a card that was begun later had been saved already
        EXPIRED = "expired"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="card_setups")
    gateway = models.CharField(max_length=20)
    reference = models.CharField(
        max_length=200, blank=True, default="", help_text="The visit's id at the gateway."
    )
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    came_back_at = models.DateTimeField(
        null=True, blank=True, help_text="When the customer returned from the page."
    )
    back_to = models.CharField(
        max_length=500,
        blank=True,
        default="",
        help_text="The path of the page that needed a card, with what was chosen there.",
    )
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta(JobRow.Meta):
        abstract = False
        indexes = [
            *JobRow.Meta.indexes,
            models.Index(fields=["reference"], name="cardsetup_by_reference"),
            models.Index(fields=["customer", "-created_at"], name="cardsetup_by_customer"),
        ]

    def __str__(self) -> str:
        return f"card setup ({self.state})"


class GatewayRemoval(JobRow):
    """A card or a customer that the gateway is to forget. The row is deleted once it has.

    Its customer may be gone here by then, so the row names nobody but by ids.
    """

    due_within_seconds = 0

    class Kind(models.TextChoices):
        CARD = "card"
        CUSTOMER = "customer"
        PERSON = "person"  # all that was made for one of our customers, whose id is the reference

    kind = models.CharField(max_length=10, choices=Kind.choices)
    gateway = models.CharField(max_length=20)
    reference = models.CharField(max_length=200)
    created_at = models.DateTimeField()

    class Meta(JobRow.Meta):
        abstract = False

    def __str__(self) -> str:
        return f"{self.kind} {self.reference}"
