"""The scripts of a text, by which an engine is chosen or the text refused."""

import unicodedata

from usage.text.bare import compatible
from usage.text.rules import listed
from usage.text.symbols import GREEK_RUN, GREEK_SYMBOLS_MAX

# Where the first word of a letter's name is not the name of its script.
_NAMES = {
    "CJK": "HAN",
    "IDEOGRAPHIC": "HAN",
    "VERTICAL": "HAN",
    "HALFWIDTH": "KATAKANA",
    "KATAKANA-HIRAGANA": "KATAKANA",
    "CANADIAN": "CANADIAN_ABORIGINAL",
    "ARABIC-INDIC": "ARABIC",
    "NKO": "NKO",
}
# Letters of no script of their own: modifiers, mathematical signs, ordinals.
_COMMON = listed("MODIFIER FEMININE MASCULINE MICRO OHM ANGSTROM KELVIN ALEF EULER SCRIPT")
_TWO_WORDS = listed("OLD NEW TAI LINEAR OL SYLOTI MEETEI KAYAH PHAGS-PA SORA WARANG")


def script(letter: str) -> str | None:
    """ "LATIN" for "a"; None for what is no letter of a script."""
    first, *rest = unicodedata.name(letter, "UNKNOWN").split()
    if first in _COMMON:
        return None
    if first in _TWO_WORDS and rest:
        return f"{first}_{rest[0]}"
    return _NAMES.get(first, first)


def scripts(text: str) -> frozenset[str]:
    """Unicode scripts of the letters of a text: {"LATIN", "CYRILLIC"}.

    Full-width and mathematical letters count as what they look like. One or two Greek letters
    together are read by name ("α-helix") and not counted; a Greek word is.
    """
    if text.isascii():
        return frozenset({"LATIN"}) if any(map(str.isalpha, text)) else frozenset()
    text = "".join(map(compatible, text))
    text = GREEK_RUN.sub(lambda run: run[0] if len(run[0]) > GREEK_SYMBOLS_MAX else " ", text)
    return frozenset(filter(None, (script(c) for c in set(text) if c.isalpha())))
