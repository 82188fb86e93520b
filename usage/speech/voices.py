"""The voices one can speak with: those of the house, and a customer's own."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, unquote

from accounts.models import Customer
from usage.engines import Settings, engine, missing, remote
from usage.models import Voice, VoiceType
from usage.text import scripts

from . import pricing
from .problems import UnknownVoice

ID_CHARACTERS_MAX, NAME_CHARACTERS_MAX = 120, 60  # of `Generation.voice` and `voice_name`
# By the code of a language, or by its first part.
LANGUAGE_NAMES = {
    "ar": "Arabic",
    "bg": "Bulgarian",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "fi": "Finnish",
    "fr": "French",
    "he": "Hebrew",
    "hi": "Hindi",
    "hu": "Hungarian",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "nl": "Dutch",
    "no": "Norwegian",
    "pl": "Polish",
    "pt": "Portuguese",
    "pt-br": "Brazilian Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sv": "Swedish",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "zh": "Chinese",
}


@dataclass(frozen=True, slots=True)
class Speaker:
    """A voice ready to speak, whoever made it."""

    id: str
    name: str
    type: VoiceType
    engine: str
    settings: Settings
    description: str = ""
    language: str = "en"  # in which it reads: numbers, addresses, abbreviations
    group: str = ""  # label of the speech servers that have it
    needs: tuple[str, ...] = ()  # further engines, for the phonemes of its language

    @property
    def language_name(self) -> str:
        """ "Spanish"; the code of a language that has no name here."""
        code = self.language.lower()
        return LANGUAGE_NAMES.get(code) or LANGUAGE_NAMES.get(code.partition("-")[0], code)

    @property
    def engines(self) -> tuple[str, ...]:
        """All that must be there for it to speak."""
        return (self.engine, *self.needs)

    @property
    def credits_per_character(self) -> int:
        return pricing.CREDITS_PER_CHARACTER[self.type]

    @property
    def sample(self) -> str:
        """Its sample among the static files, made by `render_voice_samples`; "" if there is none.

        Customers hear their own voices before they set them up.
        """
        return f"voices/{self.id}.mp3" if self.id in HOUSE else ""

    @property
    def is_offered(self) -> bool:
        """Whether its engines can speak on this machine."""
        return not any(map(missing, self.engines))

    def refusal(self, text: str) -> str:
        """Why the voice cannot speak this text, and which can; "" if it can."""
        if not (foreign := self._foreign(text)):
            return ""
        names = " and ".join(sorted(script.replace("_", " ").title() for script in foreign))
        others = ", ".join(one.name for one in house() if not one._foreign(text))
        return f"{self.name} does not speak {names} letters. " + (
            f"Choose a voice that does: {others}." if others else "No voice does."
        )

    def _foreign(self, text: str) -> frozenset[str]:
        spoken = engine(self.engine).scripts
        return frozenset() if spoken is None else scripts(text) - spoken


def _standard(id_: str, name: str, description: str, engine_name: str, **settings: Any) -> Speaker:
    return Speaker(f"standard-{id_}", name, VoiceType.STANDARD, engine_name, settings, description)


def _premium(id_: str, name: str, description: str, style: str, gain: float) -> Speaker:
    settings = {"style": style, "gain": gain}
    return Speaker(f"premium-{id_}", name, VoiceType.PREMIUM, "kokoro", settings, description)


def _further(language: str, id_: str, name: str, *how: Any) -> Speaker:
    """A premium voice of another language than English."""
    return replace(_premium(id_, name, *how), language=language, needs=("espeak",))


# The first of each tier is its default. `gain` makes all equally loud, within 1 LUFS around -23.5:
# one number a voice, never of a text, so that streams and files are the same.
HOUSE: dict[str, Speaker] = {
    speaker.id: speaker
    for speaker in (
        _standard("ava", "Ava", "American, woman, warm", "hibari", gain=1.35),
        _standard("june", "June", "American, woman, lively", "hibari", range=1.3, gain=1.35),
        _standard("clara", "Clara", "American, woman, calm", "hibari", range=0.7, gain=1.35),
        _standard(
            "oliver", "Oliver", "British, man, plain", "kokoro", style="bm_george", gain=0.81
        ),
        _standard(
            "classic",
            "Ada",
            "American, classic synthesizer",
            "espeak",
            variant="en-us+f4",
            gain=0.6,
        ),
        _premium("nora", "Nora", "American, woman, clear and lively", "af_heart", 0.91),
        _premium("theo", "Theo", "American, man, full and unhurried", "am_michael", 1.0),
        _premium("imogen", "Imogen", "British, woman, close", "bf_emma", 0.66),
        _premium("stella", "Stella", "American, woman, bright", "af_bella=0.3,af_aoede=0.7", 0.59),
        _premium("willa", "Willa", "American, woman, soft", "af_nicole=0.5,af_heart=0.5", 0.91),
        _premium("sadie", "Sadie", "American, woman, even", "af_sarah", 0.71),
        _premium("frank", "Frank", "American, man, deep", "am_fenrir", 0.6),
        _premium("milo", "Milo", "American, man, young", "am_puck=0.6,am_eric=0.4", 0.63),
        _premium("edith", "Edith", "British, woman, composed", "bf_isabella", 0.5),
        _premium(
            "arthur", "Arthur", "British, man, storyteller", "bm_fable=0.6,bm_george=0.4", 0.82
        ),
        _premium(
            "iris", "Iris", "Between American and British, woman", "af_heart=0.6,bf_emma=0.4", 0.8
        ),
        _premium(
            "hugh", "Hugh", "Between American and British, man", "am_michael=0.5,bm_george=0.5", 0.9
        ),
        _further("es", "lucia", "Lucía", "Castilian, woman, clear", "ef_dora", 0.99),
        _further("es", "mateo", "Mateo", "Castilian, man, lively", "em_alex", 0.94),
        _further("pt-br", "beatriz", "Beatriz", "Brazilian, woman, clear", "pf_dora", 0.97),
        _further("pt-br", "caio", "Caio", "Brazilian, man, lively", "pm_alex", 0.93),
        _further("it", "chiara", "Chiara", "Italian, woman, bright", "if_sara", 0.33),
        _further("it", "lorenzo", "Lorenzo", "Italian, man, even", "im_nicola", 0.59),
    )
}

DEFAULT = next(iter(HOUSE.values()))


REMOTE = "remote-"  # begins the id of a voice of speech servers: "remote-GROUP-VOICE"


def house() -> list[Speaker]:
    """The house voices that can speak on this machine, the others are hidden; after them those of
    speech servers, as far as their lists are known. Asks no server.
    """
    here = [speaker for speaker in HOUSE.values() if speaker.is_offered]
    there = map(_remote_speaker, remote.offered())
    return here + [speaker for speaker in there if len(speaker.id) <= ID_CHARACTERS_MAX]


def _remote_speaker(offered: remote.Offered) -> Speaker:
    voice, server = offered.voice, offered.server
    return Speaker(
        f"{REMOTE}{server.group}-{quote(voice.id, safe='')}",
        voice.name[:NAME_CHARACTERS_MAX],
        VoiceType(server.tier),
        "remote",
        {"voice": voice.id, "group": server.group},
        language=offered.language,
        group=server.label,
    )


def _remote(voice_id: str) -> Speaker | None:
    """The voice of speech servers with that id. Its id says all: after a restart it is found before
    any server has answered, and a server that is away keeps its voices.
    """
    group, hyphen, quoted = voice_id.removeprefix(REMOTE).partition("-")
    found = remote.find(group, unquote(quoted)) if hyphen and quoted else None
    speaker = found and _remote_speaker(found)
    return speaker if speaker and speaker.id == voice_id else None


def resolve(customer: Customer, voice_id: str) -> Speaker:
    """The voice of that id; "standard" and "premium" mean the first house voice of the tier.

    Raises UnknownVoice.
    """
    speaker: Speaker | None
    for speaker in HOUSE.values():
        if voice_id in (speaker.id, speaker.type) and speaker.is_offered:
            return speaker
    if voice_id.startswith(REMOTE) and (speaker := _remote(voice_id)):
        return speaker
    try:
        own = Voice.objects.get(id=uuid.UUID(voice_id), customer=customer, state=Voice.State.READY)
    except (ValueError, Voice.DoesNotExist) as error:
        raise UnknownVoice(voice_id) from error
    return own_speaker(own)


def of(customer: Customer) -> list[Speaker]:
    """The customer's own voices, oldest first."""
    return [
        own_speaker(voice)
        for voice in customer.voices.filter(state=Voice.State.READY).order_by("created_at", "id")
    ]


def own_speaker(voice: Voice) -> Speaker:
    made = "Your own, matched" if voice.match_id else "Your own"
    if voice.engine == "remote":
        made = "A copy of your voice"
    return Speaker(
        str(voice.id), voice.name, VoiceType.STANDARD, voice.engine, voice.settings, made
    )
