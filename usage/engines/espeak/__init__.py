"""eSpeak NG: a classic voice for many languages, in a process of its own; see model.py for why."""

import unicodedata
from collections.abc import Sequence
from typing import Any

from usage.engines import EngineFailed, Settings
from usage.engines.espeak.voices import PACE, TUNING, languages, voice_settings
from usage.engines.pool import Crashed
from usage.engines.pooled import PooledEngine, missing_packages, number
from usage.engines.process import HelperSpec
from usage.text import FORBIDDEN

SAMPLE_RATE = 22_050
GAINS = (0.1, 4.0)


def missing() -> str:
    """Why this engine cannot speak here, for operators; "" if it can."""
    return missing_packages("espeakng_loader", "numpy")


class Espeak(PooledEngine):
    """Settings: those of `VoiceSettings`, and `gain`."""

    spec = HelperSpec(
        name="espeak",
        module="usage.engines.espeak.model",
        sample_rate=SAMPLE_RATE,
        memory_bytes_max=120 << 20,
        # Of a fork too, which holds the samples of a piece several times.
        data_bytes_max=1_000 << 20,
    )
    scripts = None  # what it cannot read it names, character by character
    tuning = TUNING

    @property
    def languages(self) -> frozenset[str]:  # type: ignore[override]
        return languages()

    def problem(self) -> str:
        return missing()

    def pace(self, settings: Settings) -> float:
        return voice_settings(_without_gain(settings)).pace / PACE

    def request(self, settings: Settings) -> dict[str, Any]:
        voice = voice_settings(_without_gain(settings))
        return {
            "variant": voice.variant,
            "pitch": voice.pitch,
            "range": voice.range,
            "pace": voice.pace,
            "gain": number(settings, "gain", 1.0, *GAINS),
        }

    def phonemes(self, words: Sequence[str], language: str, *, seconds: float) -> list[str]:
        """The library's IPA for each word, as it is said among the others, without the signs.

        "^" ties letters that are one sound. Takes at most three times `seconds`. Raises
        EngineFailed.
        """
        if language not in self.languages:
            raise EngineFailed(
                f"eSpeak NG does not know the language {language!r}.", permanent=True
            )
        request = {"phonemes": language, "words": self.words(list(words))}
        try:
            answer, _ = self._pool.ask(request, seconds=seconds)
        except Crashed as error:
            raise EngineFailed("The engine cannot read this passage.", permanent=True) from error
        return [str(phonemes) for phonemes in answer["phonemes"]]

    def words(self, spoken: list[str]) -> list[str]:
        if any(FORBIDDEN.search(word) for word in spoken):
            raise EngineFailed("The text contains control characters.", permanent=True)
        return [_ascii_digits(word) for word in spoken]


def _without_gain(settings: Settings) -> Settings:
    return {name: value for name, value in settings.items() if name != "gain"}


def _ascii_digits(word: str) -> str:
    """The library silently drops the digits of other scripts."""
    return "".join(str(unicodedata.decimal(sign)) if sign.isdecimal() else sign for sign in word)
