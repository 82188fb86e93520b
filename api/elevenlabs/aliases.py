"""The ids of ElevenLabs' default voices, and which voice of ours each of them means.

Examples, integrations and finished programs carry these ids. Each has two voices here, of the same
sex and, as far as there is one, of the same accent, age and character: a standard voice, and a
premium one for the models that programs choose for their quality. So the models cost here as they
do at ElevenLabs: the quality ones twice as much as flash and turbo. Without a model it is the
standard voice. A voice of ours by its own id keeps its price, whatever the model.
"""

from __future__ import annotations

from dataclasses import dataclass

from usage.models import VoiceType
from usage.speech import voices
from usage.speech.voices import Speaker

# How the models begin that a program chooses for their quality.
QUALITY = ("eleven_multilingual_v2", "eleven_v3")
AVA, JUNE, CLARA, OLIVER = (f"standard-{each}" for each in ("ava", "june", "clara", "oliver"))


@dataclass(frozen=True, slots=True)
class Alias:
    """A voice of theirs; `premium` and `standard` are ids of ours."""

    id: str
    name: str
    premium: str
    standard: str = OLIVER  # the one man among the standard voices

    @property
    def ours(self) -> set[str]:
        """All it may mean."""
        return {self.standard, self.premium}


ALIASES = (
    # Women, by what they are at ElevenLabs: American, then British, then others.
    Alias("EXAVITQu4vr4xnSDxMaL", "Sarah", "premium-willa", AVA),
    Alias("hpp4J3VqNfWAUOO0d1Us", "Bella", "premium-nora", AVA),
    Alias("XrExE9yKIg1WjnnlVkGX", "Matilda", "premium-nora", AVA),
    Alias("cgSgspJ2msm6clMCkdW9", "Jessica", "premium-stella", AVA),
    Alias("MF3mGyEYCl7XYWbV9V6O", "Elli", "premium-willa", AVA),
    Alias("FGY2WhTYpPnrIDTdsKH5", "Laura", "premium-stella", JUNE),
    Alias("AZnzlk1XvdvUeBnXmlld", "Domi", "premium-nora", JUNE),
    Alias("jsCqWAovK2LkecY7zXl4", "Freya", "premium-stella", JUNE),
    Alias("jBpfuIE2acCO8z3wKNLl", "Gigi", "premium-stella", JUNE),
    Alias("21m00Tcm4TlvDq8ikWAM", "Rachel", "premium-sadie", CLARA),
    Alias("LcfcDJNUP1GQjkzn1xUU", "Emily", "premium-willa", CLARA),
    Alias("SAz9YHcvj6GT2YYXdXww", "River", "premium-sadie", CLARA),
    Alias("Xb7hH8MSUJpSbSDYk0k2", "Alice", "premium-edith", CLARA),
    Alias("pFZP5JQG7iQjIQuC4Bku", "Lily", "premium-imogen", CLARA),
    Alias("ThT5KcBeYPX3keUQqHPh", "Dorothy", "premium-imogen", CLARA),
    Alias("XB0fDUnXU5powFXDhCwa", "Charlotte", "premium-iris", CLARA),
    # Men: unhurried, deep and young Americans; the storyteller; who is neither here nor there.
    Alias("CwhRBWXzGAHq8TQ4Fs17", "Roger", "premium-theo"),
    Alias("cjVigY5qzO86Huf0OWal", "Eric", "premium-theo"),
    Alias("iP95p4xoKVk53GoZ742B", "Chris", "premium-theo"),
    Alias("pqHfZKP75CvOlQylNhV4", "Bill", "premium-theo"),
    Alias("VR6AewLTigWG4xSOukaG", "Arnold", "premium-theo"),
    Alias("nPczCjzI2devNBz1zQrb", "Brian", "premium-frank"),
    Alias("pNInz6obpgDQGcFmaJgB", "Adam", "premium-frank"),
    Alias("TxGEqnHWrfWFTfGW9XjX", "Josh", "premium-frank"),
    Alias("bIHbv24MWmeRgasZH58o", "Will", "premium-milo"),
    Alias("TX3LPaxmHKxFdv7VOQHJ", "Liam", "premium-milo"),
    Alias("SOYHLrjzK2X1ezoPC6cr", "Harry", "premium-milo"),
    Alias("ErXwobaYiN019PkySvjV", "Antoni", "premium-milo"),
    Alias("yoZ06aMxZJJ28mfd3POQ", "Sam", "premium-milo"),
    Alias("JBFqnCBsd6RMkjVDRZzb", "George", "premium-arthur"),
    Alias("onwK4e9ZLuTAKqWW03F9", "Daniel", "premium-hugh"),
    Alias("IKne3meq5aSn9XLyUdCD", "Charlie", "premium-hugh"),
    Alias("N2lVS1w4EtoT3dr4eOWO", "Callum", "premium-hugh"),
)
_BY_ID = {each.id: each for each in ALIASES}
_BY_NAME = {each.name.lower(): each for each in ALIASES}


def find(voice_id: str) -> Alias | None:
    """The alias of that id, or of that name in any case."""
    return _BY_ID.get(voice_id) or _BY_NAME.get(voice_id.lower())


def tier(model_id: str | None) -> VoiceType:
    """Of the voices that a model means; without a model the standard ones."""
    return VoiceType.PREMIUM if (model_id or "").startswith(QUALITY) else VoiceType.STANDARD


def speaker(alias: Alias, model_id: str | None) -> Speaker:
    """The voice of ours; a standard one where the engine of the premium ones is not there, and the
    default voice where that of both is not.
    """
    ids = [alias.standard]
    if tier(model_id) == VoiceType.PREMIUM:
        ids.insert(0, alias.premium)
    found = [voices.HOUSE[each] for each in ids if voices.HOUSE[each].is_offered]
    return found[0] if found else voices.DEFAULT
