"""What the rules for Romance languages need of one of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

MOST = 10**15  # cardinals are below it; longer numbers are said digit by digit


@dataclass(frozen=True, slots=True)
class Noun:
    one: str
    many: str
    feminine: bool = False


@dataclass(frozen=True, slots=True)
class Money:
    unit: Noun
    cent: Noun | None = None


@dataclass(frozen=True, slots=True)
class Grammar:
    """`cardinal` takes the number, whether what is counted is feminine, and whether its noun
    follows ("veintiún euros"); `ordinal` the number and whether it is feminine.
    """

    cardinal: Callable[[int, bool, bool], str]
    ordinal: Callable[[int, bool], str]
    comma: str  # of decimals
    point: str
    minus: str
    plus: str
    to: str  # in a range
    over: str  # in a fraction without a name
    percent: str
    of: str  # between millions and what they are of
    with_cents: str  # between a currency and its cents
    time_and: str  # between hours and minutes
    full_hour: Noun | None  # said after an hour without minutes
    feminine_hours: bool
    months: tuple[str, ...]
    date: str  # "{day} de {month} de {year}"
    first: str  # of a month
    halves: tuple[str, ...]  # names of the parts from 1/2 to 1/10, in the singular
    squared: str
    cubed: str
    power: str  # "elevado a {}"
    millions: tuple[str, ...]  # words after which a currency follows with `of`
    number: str  # for "nº"
    flag: str
    symbol: str  # for one without a name
    currencies: Mapping[str, Money]
    units: Mapping[str, Noun]
    abbreviations: Mapping[str, str]
    closing: frozenset[str]  # abbreviations that may end a sentence
    counted: frozenset[str]  # words before a Roman numeral that is a cardinal, "capítulo IV"
    ordered: frozenset[str]  # ... that is an ordinal
    regnal_max: int  # up to it a king's number is an ordinal
    feminine: Callable[[str], bool]  # whether a plural noun is feminine, by its letters
    names: Mapping[str, str]  # of signs

    def digits(self, text: str) -> str:
        return " ".join(self.cardinal(int(digit), False, False) for digit in text)


def feminine_of(ordinal: str) -> str:
    return " ".join(word[:-1] + "a" if word.endswith("o") else word for word in ordinal.split())


# Signs that every language names for itself, in this order.
SIGNS = "& % ‰ + = < > @ # * / \\ | ^ ~ $ € £ ¥ ° § © ® ™ ± − × ÷ √ ∞ ≈ ≠ ≤ ≥ → ❤ ♥ ★ ⭐ ✅ ✔ ✓ ❌ "
EMOJI = "😀 😃 😄 😁 😂 🤣 😊 😍 😘 😉 😎 😢 😭 😡 😱 🤔 👍 👎 👏 🙏 💪 🎉 🔥 ✨ 🚀 🎵 🌍 ☀ 🌧 ☕"


def named(names: str, emoji: str) -> dict[str, str]:
    """Names of SIGNS and EMOJI, separated by commas."""
    signs = [*SIGNS.split(), *EMOJI.split()]
    said = [name.strip() for name in f"{names}, {emoji}".split(",")]
    return dict(zip(signs, said, strict=True)) | {"†": "", "‡": "", "·": ""}


def row(text: str) -> tuple[str, ...]:
    """The words of a text, in their order."""
    return tuple(text.split())


def nouns(text: str, feminine: str = "") -> dict[str, Noun]:
    """ "km kilómetro kilómetros" a line; those written in `feminine` are feminine."""
    found = {}
    for line in text.strip().splitlines():
        sign, one, many = (part.strip() for part in line.split("|"))
        found[sign] = Noun(one, many, sign in feminine.split())
    return found
