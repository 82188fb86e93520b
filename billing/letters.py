"""Mails about credits and payments. Sent by the worker, at least once: a death between mail and row repeats one."""

from __future__ import annotations

import smtplib
from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.urls import reverse

from accounts.models import Customer
from jobs.errors import Rejected, Unavailable

SUBJECTS = {
    "recharge_failed": "Your automatic recharge did not go through",
    "renewal_failed": "Your plan was not renewed",
    "out_of_credits": "You are out of credits",
    "credits_ending": "Some of your credits end soon",
}


def send(*, customer: Customer, letter: str, words: dict[str, Any]) -> None:
    """Send one of SUBJECTS to the customer. Raises Unavailable, or Rejected when the address is refused."""
    site = settings.SITE_URL.rstrip("/")
    words |= {
        "first_name": customer.user.first_name,
        "billing_url": site + reverse("billing"),
        "plans_url": site + reverse("plans"),
    }
    text = render_to_string(f"emails/{letter}.txt", words)
    try:
        send_mail(SUBJECTS[letter], text, None, [customer.user.email])
    except smtplib.SMTPRecipientsRefused as error:
        raise Rejected(f"the mail server refuses the recipient: {error}") from error
    except (smtplib.SMTPException, OSError) as error:
        raise Unavailable(f"no mail server: {error}") from error
