"""How a text is spoken, whoever speaks it: speed, pause between paragraphs, pronunciations.

It is kept in `Generation.manner`, only what differs from the default, so that a generation that is
taken over, continued or made again sounds the same. The price does not depend on it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from usage.engines import SPEEDS, Engine
from usage.engines.whole import Speech, pieces_for, speak_whole
from usage.models import Generation
from usage.text.pieces import PARAGRAPH_PAUSE, Piece

from .problems import Refused
from .voices import Speaker

SPEED = 1.0
SLOWEST = 0.5  # engines make what is slower by stretching
PAUSES = (0.0, 5.0)  # seconds, shortest and longest
DECIMALS = 3  # more are rounded away

SPEED_REFUSAL = f"Choose a speed from {SPEEDS[0]:g} to {SPEEDS[1]:g}; {SPEED:g} is the usual one."
PAUSE_REFUSAL = f"Choose a pause from {PAUSES[0]:g} to {PAUSES[1]:g} seconds."

# Of a request. Pronunciations are the customer's own, and not asked for by each request.
FIELDS = ("speed", "pause_seconds")
_NUMBER = re.compile(r"[+-]?[0-9]{1,6}(?:\.[0-9]{0,20})?|\.[0-9]{1,20}")


def checked(wanted: Mapping[str, object] | None) -> dict[str, Any]:
    """What `Generation.manner` keeps of a request: {} for the usual manner.

    `wanted` may have "speed" and "pause_seconds", as numbers or strings of them; None and "" mean
    the default, and other entries are none of ours. Raises Refused, by field.
    """
    wanted = wanted or {}
    errors: dict[str, list[str]] = {}
    speed = _within(wanted.get("speed"), SPEEDS)
    pause_seconds = _within(wanted.get("pause_seconds"), PAUSES)
    if speed is False:
        errors["speed"] = [SPEED_REFUSAL]
    if pause_seconds is False:
        errors["pause_seconds"] = [PAUSE_REFUSAL]
    if errors:
        raise Refused(errors)
    kept: dict[str, Any] = {}
    if speed is not None and speed != SPEED:
        kept["speed"] = speed
    if pause_seconds is not None and pause_seconds != usual_pause_seconds(speed or SPEED):
        kept["pause_seconds"] = pause_seconds
    return kept


def usual_pause_seconds(speed: float) -> float:
    """The pause between paragraphs where none is asked for: it follows the speed."""
    return round(PARAGRAPH_PAUSE / speed, DECIMALS)


def hashed(manner: Mapping[str, Any]) -> str:
    """What of it belongs to the body of a request, to be put before the rest of the body.

    Nothing for the usual manner.
    """
    return "".join(f"{field}={manner[field]}\n" for field in FIELDS if field in manner)


def shown(wanted: Mapping[str, Any]) -> dict[str, object]:
    """For the form: what is wanted as it was typed or kept, and the bounds."""
    typed = {field: str(wanted.get(field, "")) for field in FIELDS}
    return {
        "speed": typed["speed"] or str(SPEED),
        "pause_seconds": typed["pause_seconds"],
        "usual_pause_seconds": str(PARAGRAPH_PAUSE),
        "speeds": [f"{bound:g}" for bound in SPEEDS],
        "pauses": [f"{bound:g}" for bound in PAUSES],
    }


def speed(manner: Mapping[str, Any]) -> float:
    """How much faster than usual it is spoken."""
    return float(manner.get("speed", SPEED))


def speed_of(generation: Generation) -> float:
    """How much faster than usual the generation is spoken."""
    return speed(generation.manner)


def pace(speed: float) -> float:
    """How many characters an engine speaks in a second at that speed, as a share of the usual.

    What is faster is taken for as much work, what is slower for twice as much at most.
    """
    return min(1.0, max(SLOWEST, speed))


def spoken(
    engine: Engine,
    generation: Generation,
    speaker: Speaker,
    *,
    deadline_seconds: float,
    heard: Callable[[bytes], object] | None = None,
) -> Speech:
    """Speak a generation from its row: its text, in its manner, with this voice. Of a text that
    was stopped that is what was charged.

    The same row gives the same bytes on one machine. `heard` gets the samples of each piece as soon
    as they are there. Raises NothingToSpeak and EngineFailed as `speak_whole` does.
    """
    return speak_whole(
        engine,
        generation.text[: generation.characters_reached],
        settings=speaker.settings,
        deadline_seconds=deadline_seconds,
        heard=heard,
        **_reading(generation, speaker),
    )


def pieces(engine: Engine, generation: Generation, speaker: Speaker) -> list[Piece]:
    """The pieces of a generation, for who speaks them one by one.

    They are those that `spoken` speaks, without what was left out. Give them to `engine.speak` with
    the speaker's settings and `speed_of(generation)`.
    """
    text = generation.text[: generation.characters_reached]
    found = pieces_for(engine, text, **_reading(generation, speaker))
    left_out = generation.left_out
    return [piece for piece in found if not any(a <= piece.start < b for a, b in left_out)]


def _reading(generation: Generation, speaker: Speaker) -> dict[str, Any]:
    return {
        "speed": speed_of(generation),
        "paragraph_pause_seconds": generation.manner.get("pause_seconds"),
        "pronunciations": generation.manner.get("pronunciations", {}),
        "language": speaker.language,
    }


def _within(value: object, bounds: tuple[float, float]) -> float | bool | None:
    """The number; None if there is none, False if it is no number or out of bounds."""
    if value is None or isinstance(value, str) and not value.strip():
        return None
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return round(float(value), DECIMALS) if bounds[0] <= value <= bounds[1] else False
