"""The voices by the names that OpenAI's clients send, and by our own ids."""

from __future__ import annotations

from accounts.models import Customer
from api.failures import Failure
from usage.models import VoiceType
from usage.speech import voices
from usage.speech.problems import UnknownVoice
from usage.speech.voices import Speaker

# Their names → our standard and our premium voice of the same sex. Oliver is the one man among the
# standard voices.
ALIASES: dict[str, tuple[str, str]] = {
    "alloy": ("standard-ava", "premium-nora"),
    "ash": ("standard-oliver", "premium-theo"),
    "ballad": ("standard-oliver", "premium-hugh"),
    "cedar": ("standard-oliver", "premium-theo"),
    "coral": ("standard-june", "premium-iris"),
    "echo": ("standard-oliver", "premium-milo"),
    "fable": ("standard-oliver", "premium-arthur"),
    "marin": ("standard-ava", "premium-imogen"),
    "nova": ("standard-june", "premium-stella"),
    "onyx": ("standard-oliver", "premium-frank"),
    "sage": ("standard-clara", "premium-sadie"),
    "shimmer": ("standard-clara", "premium-willa"),
    "verse": ("standard-oliver", "premium-milo"),
}
DEFAULT = "alloy"  # where a request names none
TIERS = (VoiceType.STANDARD, VoiceType.PREMIUM)  # as they stand in a row of ALIASES


def chosen(customer: Customer, name: str, tier: VoiceType) -> Speaker:
    """The voice of one of their names, of that tier, or of one of our ids, whose tier is its own.

    Of a voice that cannot speak on this machine it is the first of its tier. Raises Failure.
    """
    ids = [ALIASES[name][TIERS.index(tier)], tier.value] if name in ALIASES else [name]
    for voice_id in ids:
        try:
            return voices.resolve(customer, voice_id)
        except UnknownVoice:
            continue
    if name in ALIASES:
        message = f"No {tier.value} voice can speak just now. Choose a model of the other tier."
    else:
        message = (
            f"There is no voice {name[:60]!r}. Use one of {', '.join(ALIASES)}, or the id of a "
            "voice that GET /v1/audio/voices lists."
        )
    raise Failure(400, "invalid_value", message, errors={"voice": [message]})


def check(speaker: Speaker, text: str) -> None:
    """Refuse letters that the voice does not know, with the ids of those that do. Raises Failure.

    The voices' own refusal names them for people, who choose from a list.
    """
    if not (refusal := speaker.refusal(text)):
        return
    able = [one.id for one in voices.house() if not one.refusal(text)]
    message = f"{refusal} As voice, send {' or '.join(able)}." if able else refusal
    raise Failure(400, "invalid_value", message, errors={"text": [message]})


def listed(own: list[Speaker]) -> list[dict[str, str]]:
    """All voices for a list to choose from: own ones, those of the house, and their names."""
    ours = [{"id": one.id, "name": _named(one)} for one in [*own, *voices.house()]]
    return ours + [{"id": name, "name": name} for name in ALIASES]


def _named(speaker: Speaker) -> str:
    """ "Nora (American, woman, clear and lively; premium)"."""
    about = [speaker.description or speaker.group or speaker.language_name, speaker.type.value]
    return f"{speaker.name} ({'; '.join(about)})"
