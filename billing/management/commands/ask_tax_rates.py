"""Have the rate of tax of billing profiles asked, after STRIPE_TAX was switched on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any

from django.db.models import QuerySet

from billing.models import BillingProfile
from billing.payments import tax
from billing.payments.profiles import PUSH
from jobs.inline import do_now
from jobs.walk import walk
from operations.command import Operation, Outcome, Refused, attempt


class Command(Operation):
    help = (
        "Asks Stripe Tax for the rate of each billing profile that has none, after STRIPE_TAX was "
        "switched on. Safe to run again."
    )

    def total(self, **options: Any) -> int:
        return _unasked().count()

    def outcomes(self, *, dry_run: bool, now: datetime, **options: Any) -> Iterator[Outcome]:
        if not tax.is_on():
            raise Refused("STRIPE_TAX is off: set it to on first.")
        for profile in walk(_unasked()):
            yield attempt(profile.customer, partial(_ask, profile, dry_run, now))


def _unasked() -> QuerySet[BillingProfile]:
    open_accounts = BillingProfile.objects.filter(customer__user__is_active=True)
    return open_accounts.filter(tax_percent=None)


def _ask(profile: BillingProfile, dry_run: bool, now: datetime) -> Outcome:
    if dry_run:
        return Outcome(profile.customer, "would be asked", profile.country, is_open=True)
    do_now(PUSH, BillingProfile.objects.filter(pk=profile.pk), now=now)
    profile.refresh_from_db()
    known = "unknown there" if profile.tax_percent is None else f"{profile.tax_percent} %"
    return Outcome(profile.customer, "asked", f"{profile.country}: {known}")
