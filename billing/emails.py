"""E-mails about credits and payments.

The worker sends them at least once: if it dies between sending and storing that, one is repeated.
Out of credits is sent by `inbox.handlers`, a failed recharge by `recharge.flow`. What a plan has to
say is told by `notifications.emit`.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.urls import reverse

from accounts import mail
from accounts.models import Customer

SUBJECTS = {
    "recharge_failed": "Your automatic recharge failed",
    "confirm_payment": "Your bank wants you to confirm a payment",
    "out_of_credits": "You are out of credits",
    "credits_ending": "Some of your credits expire soon",
}


def send(*, customer: Customer, template: str, context: dict[str, Any]) -> None:
    """Send an e-mail to the customer, unless the customer was deleted.

    `template` is a key of SUBJECTS. Raises what `mail.send` raises.
    """
    if not customer.user.is_active:
        return
    site = settings.SITE_URL.rstrip("/")
    context = context | {
        "first_name": customer.user.first_name,
        "billing_url": site + reverse("billing"),
        "plans_url": site + reverse("plans"),
    }
    mail.send(
        to=customer.user.email, subject=SUBJECTS[template], template=template, context=context
    )
