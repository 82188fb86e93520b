"""hibari: one American woman's voice, Kokoro's "heart" distilled to 8 MB. Over a hundred times
faster than real time on one core.
"""

from typing import Any

from usage.engines import Setting, Settings
from usage.engines.neural import SAMPLE_RATE
from usage.engines.pooled import PooledEngine, missing_packages, number, refuse_unknown
from usage.engines.process import HelperSpec

# Within these the estimated quality stays; a man's voice cannot be made by shifting the pitch.
RANGES, PITCHES, PACES, GAINS = (0.7, 1.3), (0.9, 1.1), (0.5, 2.0), (0.1, 4.0)

TUNING = (
    Setting(
        "range",
        "Melody",
        1.0,
        decimals=RANGES,
        step=0.05,
        help="Level to lively: how far the pitch moves within a sentence.",
        refusal="Choose a number from 0.7 to 1.3.",
    ),
    Setting(
        "pitch",
        "Pitch",
        1.0,
        decimals=PITCHES,
        step=0.01,
        help="Low to high.",
        refusal="Choose a number from 0.9 to 1.1.",
    ),
    Setting(
        "pace",
        "Pace",
        1.0,
        decimals=PACES,
        step=0.05,
        help="Slow to fast, at the same pitch.",
        refusal="Choose a number from 0.5 to 2.",
    ),
)


def missing() -> str:
    """Why this engine cannot speak here, for operators; "" if it can."""
    return missing_packages("hibari", "onnxruntime", "numpy")


class Hibari(PooledEngine):
    """Settings: `range`, `pitch` and `pace` are factors; `gain` is that of the samples, one for a
    voice.
    """

    spec = HelperSpec(
        name="hibari",
        module="usage.engines.hibari.model",
        sample_rate=SAMPLE_RATE,
        memory_bytes_max=260 << 20,
        data_bytes_max=1_000 << 20,
    )
    first_characters_max = 60
    takes_ipa = True
    languages = frozenset({"en-us"})
    tuning = TUNING

    def problem(self) -> str:
        return missing()

    def pace(self, settings: Settings) -> float:
        return number(settings, "pace", 1.0, *PACES)

    def request(self, settings: Settings) -> dict[str, Any]:
        refuse_unknown(settings, {"range", "pitch", "pace", "gain"}, "hibari")
        return {
            "range": number(settings, "range", 1.0, *RANGES),
            "pitch": number(settings, "pitch", 1.0, *PITCHES),
            "pace": number(settings, "pace", 1.0, *PACES),
            "gain": number(settings, "gain", 1.0, *GAINS),
        }
