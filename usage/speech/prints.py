"""Voice prints: six bars by which a voice is recognised wherever it is named.

Each bar is a range of frequencies, higher where the voice has more of it than is usual. Those of
the house voices are made from their samples by `render_voice_samples` and kept in prints.json; a
customer's own voice gets one from its id.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

BARS = 6
LEVEL_MAX = 15  # of a bar; 0 is the shortest
KINDS = 4  # colours: one of the first four chart colours
FILE = Path(__file__).with_name("prints.json")

_HEIGHT, _SHORTEST, _TALLEST = 32, 4.0, 25.0  # of the drawing, whose bars stand around its middle
_LEFT, _STEP = 3.5, 5

Levels = list[int]


def _of_house() -> dict[str, Levels]:
    found: dict[str, Levels] = json.loads(FILE.read_text())
    return found


HOUSE = _of_house()


def of(voice_id: str) -> Levels:
    """The heights of the bars from 0 to LEVEL_MAX, the same for the same id at any time."""
    if voice_id in HOUSE:
        return HOUSE[voice_id]
    digest = hashlib.sha256(voice_id.encode()).digest()
    return [byte % (LEVEL_MAX + 1) for byte in digest[:BARS]]


def kind(levels: Levels) -> int:
    """Which colour the print has, from 1 to KINDS."""
    # Weighted by place, so that similar voices do not share one.
    return 1 + sum(level * place for place, level in enumerate(levels, 1)) // KINDS % KINDS


def path(levels: Levels) -> str:
    """The bars as the path of an SVG of 32 by 32."""
    return "".join(
        f"M{_LEFT + _STEP * place:g} {(_HEIGHT - length) / 2:g}v{length:g}"
        for place, length in enumerate(map(_length, levels))
    )


def _length(level: int) -> float:
    return round(_SHORTEST + (_TALLEST - _SHORTEST) * level / LEVEL_MAX, 1)
