"""Voices of a customer's own, as every dialect makes them: one recording in, a voice out.

What may be done is decided by `usage.speech.clone`; here the request is read.
"""

from __future__ import annotations

from datetime import datetime

from django.http import HttpRequest

from accounts import throttle
from billing import ledger
from usage.speech import clone, withdrawal
from usage.speech.asked import Asked

from .access import ApiRequest, key_of
from .failures import Failure

SEVERAL = "Send one recording of 10 seconds to 5 minutes; {count} came. Join them into one file."
STORAGE_RETRY_SECONDS = 30


class Several(ValueError):
    """More than one file came where one is wanted. The message says what to do."""


def one(request: HttpRequest, *fields: str) -> bytes | None:
    """The file under one of these fields; None without one. Raises Several."""
    files = [file for field in fields for file in request.FILES.getlist(field)]
    if len(files) > 1:
        raise Several(SEVERAL.format(count=len(files)))
    return files[0].read() if files else None


def make(request: ApiRequest, *, name: str, sample: bytes, agreed: str) -> clone.Made:
    """Raises what `clone.make` raises."""
    return clone.make(
        customer=request.customer,
        name=name,
        sample=sample,
        agreed=agreed,
        address=throttle.address(request),
        key=key_of(request),
        now=request.now,
        asked=Asked(api_key_id=request.api_key.pk),
    )


def headers(made: clone.Made, now: datetime) -> dict[str, str]:
    """What the voice cost, and what is left."""
    credits = str(made.voice.credits) if made.is_new else "0"
    found = {
        "Vocalis-Credits": credits,
        "character-cost": credits,  # as ElevenLabs calls it
        "Vocalis-Available": str(
            ledger.spendable(customer_id=made.voice.customer_id, now=now).usable
        ),
    }
    return found if made.is_new else found | {"Idempotent-Replayed": "true"}


def delete(request: ApiRequest, voice_id: str, now: datetime) -> None:
    """Delete an own voice with what was computed for it. Raises UnknownVoice and Failure."""
    try:
        withdrawal.delete_voice(customer=request.customer, voice_id=voice_id, now=now)
    except OSError as error:
        raise unreachable() from error


def unreachable() -> Failure:
    """A file could not be deleted; the same again tries it."""
    message = "The recording cannot be deleted just now. Try again in a moment."
    return Failure(503, "audio_unreachable", message, retry_after_seconds=STORAGE_RETRY_SECONDS)
