"""Word error rate: how many words of a text were not understood, of a hundred."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

# What a transcript writes otherwise though it was understood: in figures, in the other English.
SAME = {
    **{"1": "one", "2": "two", "3": "three", "4": "four", "5": "five", "6": "six", "7": "seven"},
    **{"8": "eight", "9": "nine", "10": "ten", "11": "eleven", "12": "twelve"},
    **{"neighbors": "neighbours", "harbor": "harbour", "color": "colour", "gray": "grey"},
}


def words(text: str) -> list[str]:
    """The words as they are heard: no case, no punctuation, hyphens as blanks."""
    plain = unicodedata.normalize("NFC", text).casefold().replace("’", "'")
    found = (word.strip("'") for word in re.findall(r"[\w']+", plain))
    return [SAME.get(word, word) for word in found if word]


def errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """The least number of words replaced, left out and put in between the two."""
    row = list(range(len(heard) + 1))
    for number, word in enumerate(said, 1):
        before, row = row, [number]
        for place, other in enumerate(heard, 1):
            row.append(min(before[place] + 1, row[-1] + 1, before[place - 1] + (word != other)))
    return row[-1]


def wrong(said: Sequence[str], heard: Sequence[str]) -> list[str]:
    """The places where the two differ, as "said → heard"."""
    from difflib import SequenceMatcher

    changes = SequenceMatcher(None, said, heard, autojunk=False).get_opcodes()
    return [
        f"{' '.join(said[a:b])} → {' '.join(heard[c:d])}"
        for kind, a, b, c, d in changes
        if kind != "equal"
    ]
