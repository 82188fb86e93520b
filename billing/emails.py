"""E-mails about payments.

The worker sends them at least once: if it dies between sending and storing that, one is repeated.
Out of credits is sent by `inbox.handlers`, a failed recharge by `recharge.flow`. What a plan has to
say is told by `notifications.emit`.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse

from accounts.models import Customer
from mails import transport

SUBJECTS = {
    "recharge_failed": "Your automatic recharge failed",
    "confirm_payment": "Your bank wants you to confirm a payment",
}


def send(*, customer: Customer, template: str, context: dict[str, Any]) -> None:
    """Send an e-mail to the customer, unless the customer was deleted.

    `template` is a key of SUBJECTS. Raises what `transport.send` raises.
    """
    if not customer.user.is_active:
        return
    site = settings.SITE_URL.rstrip("/")
    context = context | {
        "first_name": customer.user.first_name,
        "billing_url": site + reverse("billing"),
        "plans_url": site + reverse("plans"),
    }
    text = render_to_string(f"emails/{template}.txt", context)
    transport.send(to=customer.user.email, subject=SUBJECTS[template], text=text)
