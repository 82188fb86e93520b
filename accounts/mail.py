"""A mail to a person. For workers: no mail leaves in a request."""

from __future__ import annotations

import smtplib
from typing import Any

from django.core.mail import get_connection, send_mail
from django.template.loader import render_to_string

from jobs.errors import Rejected, Unavailable


def send(*, to: str, subject: str, template: str, context: dict[str, Any]) -> None:
    """Send templates/emails/<template>.txt. Raises Unavailable, or Rejected when the mail server
    refuses for good.

    The first digit of the server's answer tells the two apart, whichever command it answers (RFC
    5321, 4.2.1): 4 is "not now" (greylisting, a full mailbox, too many mails), 5 is "never".
    Whatever else goes wrong may pass.
    """
    text = render_to_string(f"emails/{template}.txt", context)
    try:
        # send_mail's own connection leaves a socket open when the log-in is refused.
        with get_connection() as connection:
            send_mail(subject, text, None, [to], connection=connection)
    except (smtplib.SMTPException, OSError) as error:
        if _is_final(error):
            raise Rejected(f"the mail server refuses: {error}") from error
        raise Unavailable(f"no mail server: {error}") from error


def _is_final(error: Exception) -> bool:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = [code for code, _ in error.recipients.values()]
    else:
        codes = [getattr(error, "smtp_code", 0)]
    return all(500 <= code <= 599 for code in codes)
