"""What a request for speech says: its JSON, read field by field. The first error is the answer.

Fields that we do not know are ignored, and null is as if the field was not sent: programs send what
their users wrote.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from api.audio import Output
from api.failures import Failure
from usage import audio
from usage import text as texts
from usage.engines import SPEEDS
from usage.models import VoiceType

from .models import MODELS
from .voices import DEFAULT

INPUT_CHARACTERS_MAX = 4_096
TOO_LONG = "string_above_max_length"
FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")
STREAM_FORMATS = ("audio", "sse")
PCM_RATE = 24_000  # Hz; their clients play it at this rate, and nothing in it says another
QUOTED_CHARACTERS_MAX = 60  # of what was sent, in a message


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request for speech. `tier` is that of a voice which is given by one of their names."""

    text: str
    voice: str
    tier: VoiceType
    output: Output
    speed: float | None
    is_sse: bool

    @property
    def answer(self) -> str:
        """What belongs to the answer, for the idempotency key."""
        return f"{'sse-' if self.is_sse else ''}{self.output}"


def read(body: bytes) -> Wanted:
    """The request. Raises Failure with status 400, or 404 for an unknown model."""
    fields = _object(body)
    tier = MODELS.get(model := _required(fields, "model"))
    if tier is None:
        message = f"There is no model {_quoted(model)}. Use one of {', '.join(MODELS)}."
        raise Failure(404, "model_not_found", message, errors={"model": [message]})
    text = _input(fields)
    voice = _voice(fields)
    form = _one_of(fields, "response_format", FORMATS)
    if not audio.FORMATS[form].is_offered:
        offered = ", ".join(name for name in FORMATS if audio.FORMATS[name].is_offered)
        raise refused("response_format", f"This site does not make {form}. Use {offered}.")
    speed = _speed(fields)
    _string(fields, "instructions")
    return Wanted(
        text=text,
        voice=voice,
        tier=tier,
        output=Output(form, PCM_RATE if form == "pcm" else None),
        speed=speed,
        is_sse=_one_of(fields, "stream_format", STREAM_FORMATS) == "sse",
    )


def refused(field: str, message: str, code: str = "invalid_value") -> Failure:
    """Why a field is not taken, to be raised."""
    return Failure(400, code, message, errors={field: [message]})


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        message = "The body cannot be read as JSON. Send a JSON object."
        raise Failure(400, "invalid_json", message) from None
    if not isinstance(found, dict):
        raise Failure(400, "invalid_type", f"Send a JSON object, not {_kind(found)}.")
    return found


def _input(fields: dict[str, Any]) -> str:
    text = _required(fields, "input")
    if (characters := texts.count(text)) > INPUT_CHARACTERS_MAX:
        raise refused(
            "input",
            f"input has {characters:,} characters and at most {INPUT_CHARACTERS_MAX:,} can be "
            f"spoken at once. Shorten it by {characters - INPUT_CHARACTERS_MAX:,}.",
            TOO_LONG,
        )
    return text


def _voice(fields: dict[str, Any]) -> str:
    voice = fields.get("voice")
    if isinstance(voice, dict):
        voice = voice.get("id")
    elif voice is None:
        return DEFAULT
    if not isinstance(voice, str):
        raise refused(
            "voice",
            'voice must be a string, or an object like {"id": "premium-nora"}.',
            "invalid_type",
        )
    return voice


def _speed(fields: dict[str, Any]) -> float | None:
    speed = fields.get("speed")
    if speed is None:
        return None
    if isinstance(speed, bool) or not isinstance(speed, int | float):
        raise refused("speed", f"speed must be a number, not {_kind(speed)}.", "invalid_type")
    if not SPEEDS[0] <= speed <= SPEEDS[1]:
        raise refused("speed", f"speed must be from {SPEEDS[0]:g} to {SPEEDS[1]:g}.")
    return float(speed)


def _required(fields: dict[str, Any], name: str) -> str:
    value = _string(fields, name)
    if value is None:
        raise refused(name, f"{name} is missing.", "missing_required_parameter")
    if not value:
        raise refused(name, f"{name} must not be empty.")
    return value


def _one_of(fields: dict[str, Any], name: str, values: Collection[str]) -> str:
    """The value, the first one if none was sent."""
    value = _string(fields, name)
    if value is None:
        return next(iter(values))
    if value not in values:
        raise refused(name, f"{name} must be one of {', '.join(values)}, not {_quoted(value)}.")
    return value


def _string(fields: dict[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise refused(name, f"{name} must be a string, not {_kind(value)}.", "invalid_type")
    return value


def _kind(value: object) -> str:
    """What a value of JSON is, in words."""
    for kinds, words in KINDS:
        if isinstance(value, kinds):
            return words
    return "null"


KINDS: tuple[tuple[Any, str], ...] = (
    (bool, "true or false"),
    ((int, float), "a number"),
    (str, "a string"),
    (list, "an array"),
    (dict, "an object"),
)


def _quoted(value: str) -> str:
    return repr(value[:QUOTED_CHARACTERS_MAX])
