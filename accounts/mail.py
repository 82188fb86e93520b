"""A mail to a person. For workers: no mail leaves in a request."""

from __future__ import annotations

import smtplib
from typing import Any

from django.core.mail import send_mail
from django.template.loader import render_to_string

from jobs.errors import Rejected, Unavailable


def send(*, to: str, subject: str, letter: str, words: dict[str, Any]) -> None:
    """Send templates/emails/<letter>.txt. Raises Unavailable, or Rejected when the address is refused."""
    text = render_to_string(f"emails/{letter}.txt", words)
    try:
        send_mail(subject, text, None, [to])
    except smtplib.SMTPRecipientsRefused as error:
        raise Rejected(f"the mail server refuses the recipient: {error}") from error
    except (smtplib.SMTPException, OSError) as error:
        raise Unavailable(f"no mail server: {error}") from error
