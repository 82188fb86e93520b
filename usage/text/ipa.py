"""IPA as people and dictionaries write it, in the phonemes that the neural voices were trained on.

Those are misaki's, one set for American and one for British English: diphthongs are one sign, and a
stress mark stands before its vowel, not before its syllable. Signs that English has no sound for
are refused by `unknown`, because the voices would drop them or say something else. All of it is
expected in NFC.
"""

import re

PRIMARY, SECONDARY = "ˈ", "ˌ"

# What is written → American, British.
_SIGNS: dict[str, tuple[str, str]] = {
    **{sign: (sign, sign) for sign in "bdfhjklmnpstvwzðŋɡθʃʒʧʤɔəɛɪʊʌiuɑᵊ"},
    "tʃ": ("ʧ", "ʧ"),
    "dʒ": ("ʤ", "ʤ"),
    "eɪ": ("A", "A"),
    "aɪ": ("I", "I"),
    "aʊ": ("W", "W"),
    "ɔɪ": ("Y", "Y"),
    "oʊ": ("O", "Q"),
    "əʊ": ("O", "Q"),
    "ɝ": ("ɜɹ", "ɜː"),
    "ɝː": ("ɜɹ", "ɜː"),
    "ɜː": ("ɜɹ", "ɜː"),
    "ɜːr": ("ɜɹ", "ɜː"),
    "ɜːɹ": ("ɜɹ", "ɜː"),
    "ɜr": ("ɜɹ", "ɜː"),
    "ɜɹ": ("ɜɹ", "ɜː"),
    "ɜ": ("ɜɹ", "ɜː"),
    "ɚ": ("əɹ", "ə"),
    "eə": ("ɛə", "ɛː"),
    "ɛə": ("ɛə", "ɛː"),
    "l\u0329": ("ᵊl", "ᵊl"),
    "n\u0329": ("ᵊn", "ᵊn"),
    "m\u0329": ("ᵊm", "ᵊm"),
    "a": ("æ", "a"),
    "æ": ("æ", "a"),
    "ɒ": ("ɑ", "ɒ"),
    "e": ("ɛ", "ɛ"),
    "o": ("ɔ", "ɔ"),
    "ɐ": ("ə", "ə"),
    "ɨ": ("ɪ", "ɪ"),
    "ᵻ": ("ᵻ", "ɪ"),
    "r": ("ɹ", "ɹ"),
    "ɹ": ("ɹ", "ɹ"),
    "ɻ": ("ɹ", "ɹ"),
    "g": ("ɡ", "ɡ"),
    "ɫ": ("l", "l"),
    "ʍ": ("w", "w"),
    "ɾ": ("T", "t"),
    "ʔ": ("t", "t"),
    "ː": ("", "ː"),
    " ": (" ", " "),
    **dict.fromkeys((".", "ˑ", "ʰ", "‿"), ("", "")),
    **dict.fromkeys((PRIMARY, "'", "’"), (PRIMARY, PRIMARY)),
    **dict.fromkeys((SECONDARY, ","), (SECONDARY, SECONDARY)),
}
_SIGN = re.compile("|".join(map(re.escape, sorted(_SIGNS, key=len, reverse=True))))
_TIES = str.maketrans("", "", "\u0361\u035c\u032f")  # two signs for one sound; "not a syllable"
_VOWELS = frozenset("AIOQWYaiuæɑɒɔəɛɜɪʊʌᵊᵻ")
_VOICELESS, _HISSING = frozenset("ptkfθ"), frozenset("szʃʒʧʤ")


def unknown(ipa: str) -> list[str]:
    """The signs that are no sound of English, each once, in order."""
    return list(dict.fromkeys(_SIGN.sub("", _plain(ipa))))


def is_audible(ipa: str) -> bool:
    """Whether anything is said: more than marks of stress and length."""
    return any(sign.isalpha() and sign not in "ˈˌː" for sign in phonemes(ipa))


def phonemes(ipa: str, *, british: bool = False) -> str:
    """The phonemes for this IPA, which has no `unknown` sign. Without a stress mark the first vowel
    gets the stress.
    """
    said, stress = "", ""
    for match in _SIGN.finditer(_plain(ipa)):
        sign = _SIGNS[match[0]][british]
        if sign in (PRIMARY, SECONDARY):
            stress = sign
            continue
        if stress and sign[:1] in _VOWELS:
            said += stress
            stress = ""
        said += sign
    if PRIMARY not in said and (vowel := next((s for s in said if s in _VOWELS), "")):
        said = said.replace(vowel, PRIMARY + vowel, 1)
    return re.sub(" +", " ", said).strip()


def possessive(ipa: str) -> str:
    """The IPA with the "'s" of "the fox's tail"."""
    last = phonemes(ipa)[-1:]
    return ipa + ("ɪz" if last in _HISSING else "s" if last in _VOICELESS else "z")


def _plain(ipa: str) -> str:
    return re.sub(r"\s+", " ", ipa.translate(_TIES))
