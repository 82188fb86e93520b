"""Tells the payment gateway whom papers are made out to: it needs it for tax and disputes."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from billing.models import BillingProfile
from jobs.worker import RowJob

from . import setups, tax
from .gateways import gateway


def push(profile: BillingProfile, now: datetime) -> None:
    """Have the gateway know name, address and tax id, and ask it for the rate of tax there.

    Raises Unavailable or Rejected.
    """
    customer = profile.customer
    if not customer.user.is_active:
        return
    gateway().hosted.tell_profile(customer, profile)
    if tax.is_on():
        tax.ask(profile, now)
    if not BillingProfile.objects.filter(pk=profile.pk).exists():
        # Deleted meanwhile. Whoever was made there again by the call is forgotten again.
        with transaction.atomic():
            setups.forget(customer, now)
    # Changed meanwhile, it was made due again, and is told again.
    BillingProfile.objects.filter(pk=profile.pk, changed_at=profile.changed_at).update(
        pushed_at=now
    )


PUSH = RowJob("profiles.push", BillingProfile, push)
