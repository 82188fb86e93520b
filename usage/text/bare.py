"""The bare text: what is left of a written text for rules of reading, and where each bit is from.

Markup and invisible characters are gone; letters and digits of compatible forms (full-width,
mathematical, other scripts' digits, ligatures) are the ordinary ones; quotes and hyphens have one
form. The price counts the written text, which this never changes.
"""

import functools
import unicodedata
from dataclasses import dataclass

from usage.text.markup import marks
from usage.text.symbols import KEPT

_FORMS = {
    **dict.fromkeys("‘’‚‛ʼ´′", "'"),
    **dict.fromkeys("“”„‟«»″〝〞", '"'),
    **dict.fromkeys("‐‑⁃", "-"),
    **dict.fromkeys("―⸺⸻", "—"),
    **dict.fromkeys("。", "."),
    **dict.fromkeys("、،", ","),
    **dict.fromkeys("؛", ";"),
    **dict.fromkeys("؟", "?"),
    **dict.fromkeys("।॥", "."),
    **dict.fromkeys("\u2028\u2029\u0085", "\n"),
    **dict.fromkeys("\u00a0\u202f\u2009", None),
    "⁓": "~",
    "‒": "–",
    "⋯": "…",
}
_KEYCAP = "\u20e3"
_BLANK_FILLERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")


@dataclass(frozen=True, slots=True)
class Bare:
    text: str
    places: tuple[int, ...] | range  # for each character, where it begins in the written text
    ends: tuple[int, ...] | range  # ... and where that which it stands for ends


def identity(text: str) -> Bare:
    return Bare(text, range(len(text)), range(1, len(text) + 1))


@functools.lru_cache(maxsize=4096)
def compatible(character: str) -> str:
    """The character in the form in which it is read: "A" for "Ａ", "5" for "٥", "fi" for "ﬁ".

    "" for what is invisible or a variant of the character before it. A form of several words has
    blanks around it.
    """
    if character.isascii() or character in KEPT:
        return character
    if character in _FORMS:
        return _FORMS[character] or character
    category = unicodedata.category(character)
    if category in ("Cf", "Cc", "Co", "Cn", "Cs", "Me") or character in _BLANK_FILLERS:
        return " " if character in _BLANK_FILLERS else ""
    if "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef":
        return ""
    if "\U0001f3fb" <= character <= "\U0001f3ff":  # skin tones
        return ""
    if category == "Sk" or "\u2160" <= character <= "\u2188":  # accents alone, Roman numerals
        return character
    if category == "Nd":
        return str(unicodedata.decimal(character))
    form = _decomposed(character)
    if category[0] == "L" and not any(map(str.isalnum, form)):
        return character  # Arabic vowel signs by themselves
    return f" {form.strip()} " if form != character and (" " in form or "⁄" in form) else form


def _beside(written: str, place: int) -> str:
    """The form of a character where it stands.

    "①②" are two numbers and "log₂8" is none of 28, so there are blanks between them; there is none
    before a blank or sign: "½-inch".
    """
    character = written[place]
    if character.isascii() or character.isalpha():
        return compatible(character)
    before, after = written[place - 1 : place], written[place + 1 : place + 2]
    form = compatible(character)
    kind = unicodedata.decomposition(character).partition(" ")[0]
    if character == _KEYCAP:
        return " " if after.isalnum() else ""
    if kind == "<sub>":
        return " " * before.isdecimal() + form + " " * after.isdecimal()
    if not form.strip():
        return form
    if kind == "<circle>" and form.isdecimal():
        form = f" {form} "
    return form.rstrip(" ") if form[-1:] == " " and not after.isalnum() else form


def _decomposed(character: str) -> str:
    """Its compatibility decomposition, to the end; canonical ones are left as NFC has them."""
    kind, _, codes = unicodedata.decomposition(character).partition(" ")
    if not kind.startswith("<"):
        return character
    return "".join(compatible(chr(int(code, 16))) for code in codes.split())


def bare(written: str) -> Bare:
    """The bare text of a normalised text."""
    if written.isascii() and not _may_have_marks(written):
        return identity(written)
    text: list[str] = []
    places: list[int] = []
    ends: list[int] = []

    def add(form: str, start: int, end: int) -> None:
        text.append(form)
        places.extend([start] * len(form))
        ends.extend([end] * len(form))

    def plain(start: int, end: int) -> None:
        if (segment := written[start:end]).isascii():
            text.append(segment)
            places.extend(range(start, end))
            ends.extend(range(start + 1, end + 1))
            return
        for place in range(start, end):
            add(_beside(written, place), place, place + 1)

    done = 0
    for start, end, meaning in marks(written) if _may_have_marks(written) else ():
        plain(done, start)
        if meaning == written[start + 1 : end - 1]:
            plain(start + 1, end - 1)  # an address in angle brackets
        else:
            add("".join(map(compatible, meaning)), start, end)
        done = end
    plain(done, len(written))
    return Bare("".join(text), tuple(places), tuple(ends))


def _may_have_marks(written: str) -> bool:
    return any(sign in written for sign in "<&*_`~[#>|\\-=+•‣◦")
