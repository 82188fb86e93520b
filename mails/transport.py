"""Hands one mail to the mail server or provider. For workers only: requests wait for neither."""

from __future__ import annotations

import smtplib
from typing import Any

from anymail.exceptions import AnymailAPIError, AnymailError, AnymailRecipientsRefused
from django.core.mail import EmailMultiAlternatives, get_connection

from jobs.errors import Rejected, Unavailable

# A provider that refuses our key, our account or our sender refuses every mail alike.
REFUSED_PAUSE_SECONDS = 60
REFUSED_STATUS = (401, 402, 403)
PASSING_STATUS = (408, 409, 425, 429)
# Amazon SES answers these with 400, although they say nothing about the mail.
SES_PASSING = {"LimitExceededException", "SendingPausedException", "AccountSuspendedException"}
WORDS_MAX = 500
# What the package raises about an answer that is not what the provider's documentation says.
UNREADABLE = (AttributeError, LookupError, TypeError)


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
    mailbox, too many mails), 5 is permanent. Providers answer with the status of HTTP instead.
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
        _check_taken(message)
    except AnymailError as error:  # before OSError, which some of them are as well
        raise _of_provider(error) from error
    except UNREADABLE as error:
        raise Unavailable(f"the answer to a mail cannot be read ({error})") from error
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


def _check_taken(message: EmailMultiAlternatives) -> None:
    """Raise Rejected if a provider answered with a refusal that the package did not understand.

    It looks for the address in the words of some providers, and finds nothing if they change.
    """
    answer: Any = getattr(getattr(message, "anymail_status", None), "esp_response", None)
    if getattr(answer, "status_code", 200) >= 400:
        raise Rejected(f"the mail provider: {answer.status_code} {answer.text[:WORDS_MAX]}")


def _of_provider(error: AnymailError) -> Exception:
    """What a provider's failure means for the row."""
    words = f"the mail provider: {str(error)[:WORDS_MAX]}"
    status, code = _answer_of(error)
    if isinstance(error, AnymailRecipientsRefused):
        return Rejected(words)
    if status in REFUSED_STATUS or code in SES_PASSING:
        return Unavailable(words, pause_seconds=REFUSED_PAUSE_SECONDS)
    if not isinstance(error, AnymailAPIError):  # it cannot be said in this provider's terms
        return Rejected(words)
    if status is None or status in PASSING_STATUS or not 400 <= status <= 499:
        return Unavailable(words)
    return Rejected(words)


def _answer_of(error: AnymailError) -> tuple[int | None, str]:
    """The status of the provider's answer, None if there was none, and its code at Amazon."""
    answer: Any = getattr(error.__cause__, "response", None)
    if isinstance(answer, dict):  # Amazon's own client
        about, what = answer.get("ResponseMetadata", {}), answer.get("Error", {})
        return about.get("HTTPStatusCode"), str(what.get("Code", ""))
    status: int | None = getattr(error, "status_code", None)
    return status, ""
