"""The text of a generation, which price and engines both trust.

`check` says whether a text can be spoken, `count` what it costs, `pieces` what is said for it and
`scripts` which letters it needs. Pure functions without Django.
"""

from usage.text.check import (
    FORBIDDEN,
    LONG_MAX_CHARACTERS,
    MAX_CHARACTERS,
    TextRefused,
    check,
    count,
    is_audible,
    normalise,
)
from usage.text.pieces import Piece, Word, pieces
from usage.text.scripts import scripts

__all__ = [
    "FORBIDDEN",
    "LONG_MAX_CHARACTERS",
    "MAX_CHARACTERS",
    "Piece",
    "TextRefused",
    "Word",
    "check",
    "count",
    "is_audible",
    "normalise",
    "pieces",
    "scripts",
]
