"""Attempts at a payment: what was sent to the gateway, under which key, and what came of it."""

from __future__ import annotations

from django.db import models

from .payments import Payment


class PaymentAttempt(models.Model):
    """One charge that was or may have been asked of the gateway, with one card.

    Everything that is sent is stored before the first send, so that each repetition sends exactly
    the same under the same key, whatever has changed here since.
    """

    class Outcome(models.TextChoices):
        OPEN = "open"  # not sent yet, or nobody knows what came of it
        WAITING = "waiting"  # the bank wants the customer to confirm it
        PAID = "paid"
        DECLINED = "declined"
        CANCELLED = "cancelled"  # by us, or because nobody confirmed it
        NEVER = "never"  # the gateway has no such charge and will not make one any more

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="tries")
    number = models.PositiveIntegerField(help_text="Counted from 1 within the payment.")
    key = models.CharField(max_length=128, unique=True, help_text="Idempotency key of the charge.")
    method_reference = models.CharField(
        max_length=200,
        blank=True,
        help_text="The card's id at the gateway. Empty until it is typed in at the gateway's page.",
    )
    fingerprint = models.CharField(max_length=64, blank=True, default="")
    label = models.CharField(max_length=100, blank=True, default="")
    amount_cents = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    parameters = models.JSONField(help_text="Exactly what is sent, each time it is sent.")
    created_at = models.DateTimeField()
    first_sent_at = models.DateTimeField(
        null=True, blank=True, help_text="Set before the first send. The key is safe for a day."
    )
    is_doubtful = models.BooleanField(
        default=False,
        help_text="The last answer was an error of the gateway's own: look the charge up first.",
    )
    outcome = models.CharField(max_length=10, choices=Outcome.choices, default=Outcome.OPEN)
    decline = models.CharField(
        max_length=10, choices=Payment.Decline.choices, blank=True, default=""
    )
    message = models.TextField(blank=True, default="", help_text="Why it was declined.")
    gateway_reference = models.CharField(
        max_length=200, blank=True, default="", help_text="The charge's id, once it is known."
    )
    refund_reference = models.CharField(
        max_length=200, blank=True, default="", help_text="The refund's id, once it is known."
    )
    receipt_url = models.URLField(max_length=500, blank=True, default="")
    is_at_page = models.BooleanField(
        default=False, help_text="Paid by the customer at the gateway's own page."
    )
    page_reference = models.CharField(
        max_length=200, blank=True, default="", help_text="The id of that page, once it is known."
    )
    came_back_at = models.DateTimeField(
        null=True, blank=True, help_text="When the customer returned from that page, having paid."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["payment", "number"], name="paymentattempt_once"),
        ]
        indexes = [
            models.Index(fields=["gateway_reference"], name="paymentattempt_by_charge"),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number}: {self.outcome}"

    @property
    def card_name(self) -> str:
        """What tells its card from others: the fingerprint, else the gateway's reference."""
        return self.fingerprint or self.method_reference

    @property
    def is_over(self) -> bool:
        """Whether no money can come of it any more."""
        over = self.Outcome.DECLINED, self.Outcome.CANCELLED, self.Outcome.NEVER
        return self.outcome in over
