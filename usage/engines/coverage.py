"""Compares what was spoken with what was to be spoken, so that nothing is charged that is not.

Engines drop input silently: letters of scripts they do not know, the rest of a very long word. So
each word must have a time, and the audio must be long enough for its letters. The seconds a letter
takes at least are under half of what the fastest sentences take.
"""

import re
import unicodedata
from collections.abc import Sequence

# By the first word of a letter's Unicode name; seconds at usual speed. Letters that stand for a
# syllable or a word take longer.
LETTER_SECONDS = {"CJK": 0.06, "HIRAGANA": 0.05, "KATAKANA": 0.05, "HANGUL": 0.06}
OTHER_LETTER_SECONDS = 0.025  # alphabets: LATIN, CYRILLIC, GREEK, ARABIC, THAI, ...
NUMBER_SECONDS = 0.04  # a digit: "1,000,000" is two words

_RUN = re.compile(r"([^\W\d_])\1{2,}")


def seconds_min(spoken: str) -> float:
    """The least that speaking this can take at usual speed.

    A letter that is repeated, as in "nooooo", is drawn out and not said as often.
    """

    def run(match: re.Match[str]) -> str:
        return match[0] if _script(match[1]) in LETTER_SECONDS else 2 * match[1]

    total = 0.0
    for character in _RUN.sub(run, spoken.lower()):
        category = unicodedata.category(character)[0]
        if category == "L":
            total += LETTER_SECONDS.get(_script(character), OTHER_LETTER_SECONDS)
        elif category == "N":
            total += NUMBER_SECONDS
    return total


def shortfall(
    words: Sequence[str],
    times: Sequence[tuple[float, float]],
    audio_seconds: float,
    speed: float,
) -> str:
    """What is missing of the words, for the log, without the words; "" if nothing is."""
    if len(times) != len(words):
        return f"{len(times)} times for {len(words)} words"
    silent = sum(end <= begin for begin, end in times)
    if silent:
        return f"{silent} of {len(words)} words have no sound"
    needed = seconds_min(" ".join(words)) / speed
    if audio_seconds < needed:
        return f"{audio_seconds:.2f} s of audio, where {needed:.2f} s are the least"
    return ""


def _script(character: str) -> str:
    return unicodedata.name(character, "").partition(" ")[0]
