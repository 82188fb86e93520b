"""What requests bring: JSON bodies and the query, with a refusal for each field that is wrong.

Fields that we do not know are left alone: clients send what newer versions of their service take.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest

from .errors import MISSING, invalid

UNIX_MAX = 253_402_300_799  # the end of the year 9999


def json_object(request: HttpRequest) -> dict[str, Any]:
    """The body. Raises Failure if it is no JSON object."""
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        raise invalid("body", "The body cannot be read: send JSON.") from None
    if not isinstance(body, dict):
        raise invalid("body", "The body must be a JSON object.")
    return body


def text_of(body: Mapping[str, Any], name: str) -> str:
    """A text that must be there. Raises Failure."""
    value = body.get(name)
    if value is None:
        raise invalid(name, MISSING)
    if not isinstance(value, str):
        raise invalid(name, "This must be a string.")
    return value


def model_of(model_id: object, place: str = "model_id") -> str | None:
    """Any model of theirs will do. Raises Failure for what is none."""
    if model_id is None or (isinstance(model_id, str) and model_id.startswith("eleven_")):
        return model_id
    raise invalid(place, "There is no such model. GET /v1/models lists those there are.")


def manner_of(voice_settings: object) -> dict[str, object]:
    """How to speak, of `voice_settings`: the speed is obeyed, the rest ignored. Raises Failure."""
    if voice_settings is None:
        return {}
    if not isinstance(voice_settings, dict):
        raise invalid("voice_settings", "This must be an object.")
    speed = voice_settings.get("speed")
    if speed is not None and (isinstance(speed, bool) or not isinstance(speed, int | float)):
        raise invalid("speed", "This must be a number.")
    return {} if speed is None else {"speed": speed}


def number(request: HttpRequest, name: str, usual: int, least: int, most: int) -> int:
    """A whole number of the query. Raises Failure."""
    value = request.GET.get(name, "")
    if not value:
        return usual
    if value.isascii() and value.isdigit() and len(value) < 18 and least <= int(value) <= most:
        return int(value)
    raise invalid(f"query/{name}", f"This must be a whole number from {least} to {most}.")


def moment(request: HttpRequest, name: str, *, milliseconds: bool = False) -> datetime | None:
    """A Unix time of the query, in seconds or milliseconds; None if there is none.

    Raises Failure.
    """
    value = request.GET.get(name, "")
    if not value:
        return None
    divisor = 1_000 if milliseconds else 1
    if value.isascii() and value.isdigit() and int(value[:20]) // divisor <= UNIX_MAX:
        return datetime.fromtimestamp(int(value[:20]) / divisor, UTC)
    unit = "milliseconds" if milliseconds else "seconds"
    raise invalid(f"query/{name}", f"This must be a Unix time in {unit}.")


def choice(request: HttpRequest, name: str, usual: str, choices: tuple[str, ...]) -> str:
    """One of some words of the query. Raises Failure."""
    value = request.GET.get(name) or usual
    if value in choices:
        return value
    raise invalid(f"query/{name}", f"Choose one of {', '.join(choices)}.")
