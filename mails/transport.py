"""Hands one mail to the mail server. For workers only: requests do not wait for it."""

from __future__ import annotations

import smtplib

from django.core.mail import EmailMultiAlternatives, get_connection

from jobs.errors import Rejected, Unavailable


def send(
    *,
    to: str,
    subject: str,
    text: str,
    html: str = "",
    headers: dict[str, str] | None = None,
    user_id: int | None = None,
) -> None:
    """Send a mail. `user_id` is for the outbox page of a site under development.

    Raises Rejected if the mail server refuses permanently, Unavailable after any other failure. The
    first digit of the server's reply decides (RFC 5321, 4.2.1): 4 is temporary (greylisting, a full
    mailbox, too many mails), 5 is permanent.
    """
    message = EmailMultiAlternatives(subject, text, None, [to], headers=headers)
    if html:
        message.attach_alternative(html, "text/html")
    setattr(message, "user_id", user_id)  # noqa: B010  an attribute of ours
    try:
        # The connection that a message opens itself leaves a socket open if the login is refused.
        with get_connection() as connection:
            message.connection = connection
            message.send()
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
