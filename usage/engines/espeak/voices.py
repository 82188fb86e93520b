"""The voices of eSpeak NG: what a customer can tune, and what the installed data can speak."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import espeakng_loader

from usage.engines import EngineFailed, Setting, Settings

# Offered for a personal voice: distinct from each other, none clips, pitch from 90 to 220 Hz.
VARIANTS = {
    "en-us+m1": "Low and steady",
    "en-us+m3": "Warm",
    "en-us+Michael": "Full",
    "en-us+shelby": "Gentle",
    "en-us+f4": "Calm",
    "en-us+f2": "Bright",
    "en-us+f3": "Light",
    "en-us+Annie": "High and clear",
}

PITCHES = range(100)
PACES_WORDS_PER_MINUTE = range(80, 401)
PACE = 175

TUNING = (
    Setting(
        "variant", "Timbre", "en-us+m1", choices=VARIANTS, refusal="Choose one of the timbres."
    ),
    Setting(
        "pitch",
        "Pitch",
        50,
        numbers=PITCHES,
        help="Low to high.",
        refusal="Choose a whole number from 0 to 99.",
    ),
    Setting(
        "range",
        "Melody",
        50,
        numbers=PITCHES,
        help="Level to lively: how far the pitch moves within a sentence.",
        refusal="Choose a whole number from 0 to 99.",
    ),
    Setting(
        "pace",
        "Pace",
        PACE,
        numbers=PACES_WORDS_PER_MINUTE,
        step=5,
        help="Words a minute.",
        refusal="Choose a whole number from 80 to 400.",
    ),
)


@dataclass(frozen=True, slots=True)
class VoiceSettings:
    """How a voice sounds. `variant` is eSpeak NG's own name for it."""

    variant: str
    pitch: int = 50  # 0 to 99
    range: int = 50  # 0 (monotone) to 99
    pace: int = PACE  # words a minute, 80 to 400


def voice_settings(settings: Settings) -> VoiceSettings:
    """What the settings say, with the defaults for what they leave out.

    Raises a permanent EngineFailed for a voice that the installed data does not hold, for numbers
    out of range and for settings of another engine. The library itself would speak with some other
    voice instead.
    """
    try:
        voice = VoiceSettings(**settings)
    except TypeError as error:
        raise EngineFailed(
            f"These are no settings of eSpeak NG: {error}", permanent=True
        ) from error
    language, plus, variant = str(voice.variant).partition("+")
    languages, variants = _installed()
    if language not in languages or (plus and variant not in variants):
        raise EngineFailed(f"eSpeak NG has no voice {voice.variant!r}.", permanent=True)
    for name, value, allowed in (
        ("pitch", voice.pitch, PITCHES),
        ("range", voice.range, PITCHES),
        ("pace", voice.pace, PACES_WORDS_PER_MINUTE),
    ):
        if type(value) is not int or value not in allowed:
            raise EngineFailed(
                f"The {name} goes from {allowed[0]} to {allowed[-1]}.", permanent=True
            )
    return voice


@cache
def _installed() -> tuple[frozenset[str], frozenset[str]]:
    """Names of languages and of variants in the data that came with the library."""
    data = Path(espeakng_loader.get_data_path())
    languages = (path.name.lower() for path in (data / "lang").rglob("*") if path.is_file())
    return frozenset(languages), frozenset(path.name for path in (data / "voices" / "!v").iterdir())


def languages() -> frozenset[str]:
    """Names of the languages in the data, "en-us" for example."""
    return _installed()[0]
