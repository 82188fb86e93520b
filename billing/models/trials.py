"""Which mailboxes have had the trial."""

from __future__ import annotations

from django.db import models

from accounts.models import Customer


class TrialClaim(models.Model):
    """A mailbox that has had the trial, as a keyed hash: an account may be deleted, and it stays.

    See `billing.subscriptions.trial`.
    """

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="trial_claims")
    mailbox_hash = models.CharField(max_length=64, unique=True)
    claimed_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"trial of {self.customer_id}"
