"""Sends e-mail from a template. For workers only: requests do not wait for a mail server."""

from __future__ import annotations

import smtplib
from typing import Any

from django.core.mail import get_connection, send_mail
from django.template.loader import render_to_string

from jobs.errors import Rejected, Unavailable


def send(*, to: str, subject: str, template: str, context: dict[str, Any]) -> None:
    """Send templates/emails/<template>.txt, rendered with `context`.

    Raises Rejected if the mail server refuses permanently, Unavailable after any other failure. The
    first digit of the server's reply decides (RFC 5321, 4.2.1): 4 is temporary (greylisting, a full
    mailbox, too many mails), 5 is permanent.
    """
    text = render_to_string(f"emails/{template}.txt", context)
    try:
        # The connection that send_mail opens itself leaves a socket open if the login is refused.
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
