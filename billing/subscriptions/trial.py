"""Who may have the trial: a confirmed address, once a mailbox, never after a paid plan.

A mailbox is what `accounts.mailbox` makes of an address: sub-addresses and spelling variants of the
domain are one. It is kept as a hash under SECRET_KEY, so that the row names nobody.
"""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.utils.crypto import salted_hmac

from accounts import mailbox
from accounts.models import Customer
from billing import plans
from billing.models import Subscription, TrialClaim

SALT = "billing.subscriptions.trial"

NOT_CONFIRMED = (
    "Confirm your e-mail address first: open the link that we have sent to {}. "
    "Your profile sends it again."
)
MAILBOX_USED = "Somebody with this mailbox has used the trial. Choose a plan to go on."
HAD_A_PLAN = "The trial is for trying Vocalis before you have a plan."


def had_paid_plan(customer: Customer) -> bool:
    """Whether a plan that costs anything has ever begun for the customer."""
    paid = [plan.key for plan in plans.PLANS.values() if not plan.once]
    begun = Subscription.objects.filter(customer=customer, plan__in=paid)
    return begun.exclude(anchor_at=None).exists()


def refusal(customer: Customer) -> str:
    """Why the customer cannot have the trial, in words for the page; "" if nothing is in the way.

    Whether the customer has had it is not asked here.
    """
    if had_paid_plan(customer):
        return HAD_A_PLAN
    if not is_confirmed(customer):
        return NOT_CONFIRMED.format(customer.user.email)
    return MAILBOX_USED if _is_mailbox_used(customer) else ""


def is_open(customer: Customer) -> bool:
    """Whether the customer could begin the trial now, once the address is confirmed."""
    chosen = Subscription.objects.filter(customer=customer)
    live = chosen.filter(state__in=(Subscription.State.REQUESTED, Subscription.State.ACTIVE))
    had = chosen.filter(plan="trial").exclude(anchor_at=None)
    if live.exists() or had.exists() or had_paid_plan(customer):
        return False
    return not _is_mailbox_used(customer)


def is_confirmed(customer: Customer) -> bool:
    """Whether the address counts as confirmed: under development, any does."""
    customer.user.refresh_from_db(fields=["email", "email_confirmed_at"])
    is_known = customer.user.email_confirmed_at is not None
    return is_known or not settings.TRIAL_NEEDS_CONFIRMATION


def claim(customer: Customer, now: datetime) -> bool:
    """Note that the customer's mailbox has the trial, in the transaction that begins it.

    Returns False if another customer was faster with the same mailbox: that must not commit then.
    """
    row, is_new = TrialClaim.objects.get_or_create(
        mailbox_hash=_hash(customer), defaults={"customer": customer, "claimed_at": now}
    )
    return is_new or row.customer_id == customer.pk


def _is_mailbox_used(customer: Customer) -> bool:
    claims = TrialClaim.objects.filter(mailbox_hash=_hash(customer))
    return claims.exclude(customer=customer).exists()


def _hash(customer: Customer) -> str:
    named = mailbox.of(customer.user.email)
    return salted_hmac(SALT, named, algorithm="sha256").hexdigest()
