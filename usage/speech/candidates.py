"""Which of our voices are offered for a sample, and what is said of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from usage import audio
from usage.engines import Settings
from usage.models import VoiceMatch
from usage.voiceprint import Described, Reference

from . import copies, own_voice
from .problems import UnknownMatch

SHARES = (0.6, 0.4)  # of the nearest style and the next in their blend
NEAREST = 3  # of each sex, which together say whose voice it is
SURE = 0.06  # between the sexes' likeness; below it the pitch decides
WOMAN_HZ = 160
# Likeness by which a candidate is called near. Two recordings of one person are at 0.9 and above,
# two people of one sex at 0.5 to 0.75.
WORDS = (
    (0.85, "Very near in kind"),
    (0.75, "Near in kind"),
    (0.65, "Somewhat near"),
    (-1.0, "The nearest we have, and not very near"),
)


def nearest(described: Described) -> list[dict[str, Any]]:
    """The candidates, nearest first: the two nearest styles, and between them their blend.

    What a blend is like lies between what its styles are like: it is taken for their mean, so that
    it is never promised to be nearer than the nearest of them.
    """
    is_woman = _is_woman(described)
    ranked = [each for each in _ranked(described.references) if each.is_woman == is_woman]
    found = [_candidate(each.style, each.gain, each.likeness) for each in ranked[:2]]
    if len(ranked) > 1:
        first, second = ranked[:2]
        blend = _candidate(
            f"{first.style}={SHARES[0]},{second.style}={SHARES[1]}",
            math.sqrt(first.gain * second.gain),
            (first.likeness + second.likeness) / 2,
        )
        found.insert(1, blend)
    return found


def _candidate(style: str, gain: float, likeness: float) -> dict[str, Any]:
    return {"style": style, "gain": round(gain, 2), "likeness": round(likeness, 4)}


def in_words(likeness: float) -> str:
    """How near a candidate is."""
    return next(words for least, words in WORDS if likeness >= least)


def settings_of(match: VoiceMatch, number: int) -> dict[str, Any]:
    """The engine's settings for a candidate, counted from 0. Raises UnknownMatch."""
    if not 0 <= number < len(match.candidates):
        raise UnknownMatch
    candidate = match.candidates[number]
    if "copy" in candidate:
        return copies.settings_of(match)
    return {"style": candidate["style"], "gain": candidate["gain"]}


def heard(match: VoiceMatch, number: int) -> bytes:
    """The sample sentence in the voice of a candidate, as mp3. Costs nothing.

    Raises UnknownMatch, SpeechFailed, and Refused for a copy that was heard often enough.
    """
    settings = settings_of(match, number)
    if "copy" not in settings:
        return sample(**settings)
    copies.count_hearing(match)
    return _spoken(settings)


@lru_cache(maxsize=64)
def sample(*, style: str, gain: float) -> bytes:
    """The sample sentence in that voice, as mp3. Raises SpeechFailed.

    Remembered, because it takes seconds of a core and listening is free.
    """
    return _spoken({"style": style, "gain": gain})


def _spoken(settings: Settings) -> bytes:
    """Not remembered: the sound of a copy is somebody's voice."""
    speech = own_voice.preview_matched(settings)
    encoder = audio.encoder("mp3", sample_rate=speech.sample_rate)
    try:
        return encoder.feed(speech.samples) + encoder.finish()
    finally:
        encoder.close()


def in_kind(style: str) -> str:
    """Accent and sex of a candidate."""
    parts = [part.partition("=")[0] for part in style.split(",")]
    accents = sorted({"British" if part[0] == "b" else "American" for part in parts})
    accent = accents[0] if len(accents) == 1 else "Between American and British"
    return f"{accent}, {'woman' if parts[0][1] == 'f' else 'man'}"


def _ranked(references: Sequence[Reference]) -> list[Reference]:
    return sorted(references, key=lambda each: (-each.likeness, each.style))


def _is_woman(described: Described) -> bool:
    """Whose voice the sample is, of the two kinds that ours are."""
    women, men = (
        sum(each.likeness for each in some[:NEAREST]) / max(1, len(some[:NEAREST]))
        for some in (
            [each for each in _ranked(described.references) if each.is_woman is of_women]
            for of_women in (True, False)
        )
    )
    if abs(women - men) >= SURE or not described.pitch_hz:
        return women > men
    return described.pitch_hz >= WOMAN_HZ
