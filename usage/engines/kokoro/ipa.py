"""From eSpeak NG's phonemes to Kokoro's, for languages other than English.

Kokoro was trained on what misaki makes of eSpeak NG's IPA: diphthongs and affricates that the
library ties have a letter each, and the ties of others are dropped.
"""

import logging
from collections.abc import Sequence

from usage.engines import EngineFailed, engine, missing
from usage.engines.espeak import Espeak

logger = logging.getLogger(__name__)

_TIED = {
    "a^ɪ": "I",
    "a^ʊ": "W",
    "d^z": "ʣ",
    "d^ʒ": "ʤ",
    "e^ɪ": "A",
    "o^ʊ": "O",
    "s^s": "S",
    "t^s": "ʦ",
    "t^ʃ": "ʧ",
    "ɔ^ɪ": "Y",
    "ə^ʊ": "Q",
}
_DROPPED = "^-\u032a"  # the last: a mark of teeth, as in Italian "t̪"
_SIGNS = ",;:.!?…—"


def kokoro_phonemes(words: Sequence[str], language: str, seconds: float) -> list[str]:
    """The phonemes of each word in Kokoro's alphabet, with the sign after it.

    Takes at most three times `seconds`. Raises EngineFailed.
    """
    if problem := missing("espeak"):  # in words for operators, who find it in health too
        logger.error("There are no phonemes of %s: %s", language, problem)
        raise EngineFailed("This voice cannot speak just now. Choose another one.")
    espeak = engine("espeak")
    assert isinstance(espeak, Espeak)
    found = espeak.phonemes(words, language, seconds=seconds)
    return [in_kokoros_alphabet(ipa) + _sign(word) for word, ipa in zip(words, found, strict=True)]


def in_kokoros_alphabet(ipa: str) -> str:
    for tied, letter in _TIED.items():
        ipa = ipa.replace(tied, letter)
    return "".join(sign for sign in ipa if sign not in _DROPPED)


def _sign(word: str) -> str:
    return word[-1] if word[-1:] and word[-1] in _SIGNS else ""
