"""From written to spoken words: applies the rules of each kind, place by place.

For English every rule is applied; Spanish, Portuguese and Italian have rules of their own. In other
languages numbers and abbreviations are left to the engine, and only addresses and signs of no
language are put in words.
"""

import re
import sys
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from usage.text import abbreviations, addresses, dates, money, numbers, romance, symbols, units
from usage.text.bare import Bare
from usage.text.codes import LETTER, mixed
from usage.text.rules import Context, Part, Reading, Rule

LETTERS_MAX = 30  # of one spoken word; some engines read no further

_MARKS = "".join(
    chr(code)
    for code in range(0x300, min(0x20000, sys.maxunicode))
    if unicodedata.category(chr(code))[0] == "M"
)
_LETTERS = rf"(?:{LETTER}|[{_MARKS}])"
_WORD = re.compile(
    rf"{LETTER}{_LETTERS}*(?:'{_LETTERS}+)*(?:-{LETTER}{_LETTERS}*(?:'{_LETTERS}+)*)*"
)
# A word that no rule can say anything about.
_PLAIN = re.compile(r"[A-Za-z]+(?:'[a-z]+)?(?=[\s,;!?)\]\"]|[.:](?:\s|\Z)|\Z)")
_NEXT = re.compile(r"[^\s,;:!?\"…—)\]}]|!=")
_CODE = re.compile(r"(C|F|J|G|D|A)#(?!\w)|(C|g)\+\+|\.NET\b|Notepad\+\+")
_DOTTED = re.compile(rf"(?<={LETTER})\.(?={LETTER})|(?<=\d)\.(?={LETTER})")
_TIMES = re.compile(r"(?<=[\d)])\s?[*](?=\s?[\d(])")
_SENTENCE_END = re.compile(r"[.!?…\n]")
_CAPITAL_NUMERAL = re.compile(r"[IVXLCDM]+|[IVX]{2,}'s")

_LETTER_RULES: list[Rule] = [
    numbers.VERSION,
    numbers.NUMERO,
    numbers.FACTORIAL,
    *dates.MONTH_RULES,
    *money.BEFORE,
    *abbreviations.RULES,
]
_DIGIT_RULES: list[Rule] = [
    *numbers.EARLY,
    numbers.DECADE,
    *numbers.PHONES,
    *dates.RULES,
    *money.AFTER,
    *units.RULES,
    *numbers.RULES,
]
_SIGN_RULES: list[Rule] = [
    *money.BEFORE,
    *numbers.PHONES,
    *numbers.SIGNED,
    *units.RULES,
]
_SPECIAL = abbreviations.SPECIAL | dates.WORDS | {"v", "usd", "eur", "gbp", "chf", "c", "g"}


@dataclass(frozen=True, slots=True)
class Token:
    """Something spoken: its range in the bare text."""

    start: int
    end: int
    spoken: str
    ipa: str = ""  # of the whole word, if a customer gave it


def read(
    bare: Bare,
    *,
    language: str,
    literal: bool = False,
    given: Mapping[int, Part] = MappingProxyType({}),
) -> list[Token]:
    """The spoken words of a bare text, in order.

    `literal` reads drawn lines as well, for a text that has nothing else. `given` is what customers
    want said, by the place where it begins.
    """
    reader = _Reader(bare.text, language, literal, given)
    tokens: list[Token] = []
    for part in reader.parts():
        tokens.extend(_cut(part, bare))
    return tokens


class _Reader:
    def __init__(self, text: str, language: str, literal: bool, given: Mapping[int, Part]) -> None:
        self.context = Context(text, language.lower())
        self.english = language.lower().startswith("en")
        self.romance = romance.rules(language)
        self.literal = literal
        self.given = given
        self.addresses = any(sign in text for sign in "./@")

    def parts(self) -> list[Part]:
        """All parts that are spoken."""
        context, text = self.context, self.context.text
        parts: list[Part] = []
        place = 0
        while next_ := _NEXT.search(text, place):
            start = next_.start()
            if _SENTENCE_END.search(text, place, start):
                context.before = ""
            found = self._given(start) or self._at(start) or [Part(start, start + 1, "")]
            place = max(found[-1].end, start + 1)
            if spoken := [part for part in found if part.spoken.strip()]:
                if parts and text[parts[-1].end : place] == "'s" and spoken[0].spoken == "s":
                    spoken = [_possessive(parts.pop(), place)]
                parts.extend(spoken)
                last = spoken[-1]
                context.before = text[last.start : last.end].rstrip(".")
            elif text[start] in ".":
                context.before = ""
        return parts

    def _given(self, place: int) -> Reading:
        """What is given for this place, or the beginning of a word that contains such a place."""
        if not self.given:
            return None
        if part := self.given.get(place):
            address = self._address(place)
            return address if address and address[-1].end > part.end else [part]
        found = self._at(place)
        if found and len(found) == 1 and found[0].spoken == self.context.text[place : found[0].end]:
            inside = [start for start in self.given if place < start < found[0].end]
            if inside:
                end = min(inside)
                return [Part(place, end, found[0].spoken[: end - place].rstrip("-'"))]
        return found

    def _at(self, place: int) -> Reading:
        text, sign = self.context.text, self.context.text[place]
        if self.english and (plain := _PLAIN.match(text, place)):
            word = plain[0]
            if (
                len(word) > 1
                and word.lower() not in _SPECIAL
                and not _CAPITAL_NUMERAL.fullmatch(word)
            ):
                return [Part(place, plain.end(), word)]
        if sign.isalpha():
            return self._letters(place)
        if sign.isdecimal():
            return self._digits(place)
        return self._sign(place)

    def _first(self, rules: list[Rule], place: int) -> Reading:
        for rule in rules:
            if (reading := rule.at(place, self.context)) is not None:
                return reading
        return None

    def _address(self, place: int) -> Reading:
        return self._first(addresses.RULES, place) if self.addresses else None

    def _letters(self, place: int) -> Reading:
        text = self.context.text
        if reading := self._address(place):
            return reading
        if self.english:
            if reading := self._first(_LETTER_RULES, place) or self._code(place):
                return reading
            if reading := self._greek(place) or mixed(text, place):
                return reading
        elif self.romance:
            reading = self._first(self.romance.letters, place) or self._elided(place)
            if reading:
                return reading
        word = _WORD.match(text, place)
        return [Part(place, word.end(), word[0])] if word else self._named(place)

    def _elided(self, place: int) -> Reading:
        """ "l'8 marzo": the word before an apostrophe together with its number."""
        elided = romance.ELIDED.match(self.context.text, place)
        if not elided or not (reading := self._digits(elided.end())):
            return None
        spoken = romance.elided(elided[1], reading[0].spoken)
        return [Part(place, reading[0].end, spoken), *reading[1:]]

    def _digits(self, place: int) -> Reading:
        text = self.context.text
        if reading := self._address(place):
            return reading
        if self.romance and (reading := self._first(self.romance.digits, place)):
            return reading
        if not self.english:
            number = re.compile(r"\d{1,15}(?:[.,:/'-]\d{1,15})*").match(text, place)
            return [Part(place, number.end(), number[0])] if number else None
        return (
            self._first(_DIGIT_RULES, place)
            or mixed(text, place)
            or self._first(numbers.LAST, place)
        )

    def _sign(self, place: int) -> Reading:
        text, sign = self.context.text, self.context.text[place]
        if sign in "@#" and (reading := self._first(addresses.MENTIONS, place)):
            return reading
        if self.english:
            if reading := self._first(_SIGN_RULES, place) or self._code(place):
                return reading
            if sign == "." and text[place + 1 : place + 2].isdecimal():
                before = text[place - 1 : place]
                if not before.isdecimal() and not before.isalpha():
                    return self._first(numbers.LAST, place)
        elif (
            self.romance
            and (reading := self._first(self.romance.signs, place))
            and (reading[0].spoken or not self.literal)
        ):
            return reading
        if reading := self._between(place):
            return reading
        for rule in symbols.RULES if not self.romance else ():
            reading = rule.at(place, self.context)
            if reading is not None and (reading[0].spoken or not self.literal):
                return reading
        return self._named(place)

    def _between(self, place: int) -> Reading:
        """Dots and slashes between letters, a star between numbers."""
        text, language = self.context.text, self.context.language
        if _DOTTED.match(text, place):
            if text[place + 1].isupper() and text[place - 1].islower():
                return None  # a forgotten blank after a sentence
            return [Part(place, place + 1, addresses.signs(language)["."])]
        if self.english and _TIMES.match(text, place):
            return [Part(place, place + 1, "times")]
        if text[place] in "/\\" and (text[place - 1 : place] + text[place + 1 : place + 2]).strip():
            sign = text[place]
            return [Part(place, place + 1, addresses.signs(language).get(sign, "backslash"))]
        return None

    def _named(self, place: int) -> Reading:
        """One sign by its name; punctuation has none."""
        sign = self.context.text[place]
        category = unicodedata.category(sign)
        if sign in symbols.NAMES or category[0] in "NS":
            if self.romance:
                spoken = self.romance.name(sign)
            elif not self.english and category not in ("So", "Nl", "No"):
                spoken = addresses.signs(self.context.language).get(sign, sign)
            else:
                spoken = symbols.name(sign)
            if sign in "*#" and not self._stands_alone(place):
                return None
            return [Part(place, place + 1, spoken)]
        return None

    def _stands_alone(self, place: int) -> bool:
        text = self.context.text
        return not (text[max(0, place - 1) : place] + text[place + 1 : place + 2]).strip()

    def _greek(self, place: int) -> Reading:
        run = symbols.GREEK_RUN.match(self.context.text, place)
        word = _WORD.match(self.context.text, place)
        if not run or len(run[0]) > symbols.GREEK_SYMBOLS_MAX or not word:
            return None
        letters = word[0].split("-")[0]
        if len(letters) > len(run[0]) and len(symbols.GREEK_RUN.sub("", letters)) != len(
            letters
        ) - len(run[0]):
            return None
        names = " ".join(symbols.GREEK[letter] for letter in run[0])
        return [Part(place, run.end(), names)]

    def _code(self, place: int) -> Reading:
        """ "C sharp", "C plus plus", "dot net"."""
        code = _CODE.match(self.context.text, place)
        if not code:
            return None
        spoken = code[0].replace("#", " sharp").replace("+", " plus").replace(".NET", "dot net")
        return [Part(place, code.end(), spoken)]


def _possessive(part: Part, end: int) -> Part:
    """What a rule has read, with its "'s": "Covid-19's"."""
    spoken = part.spoken.rstrip(".")
    return part._replace(end=end, spoken=spoken + ("'" if spoken.endswith("s") else "'s"))


def _cut(part: Part, bare: Bare) -> list[Token]:
    """A part with words over LETTERS_MAX letters in several, where the written text can be cut."""
    if max(map(len, part.spoken.split())) <= LETTERS_MAX:
        return [Token(*part)]
    if part.spoken != bare.text[part.start : part.end]:
        words = (
            word[at : at + LETTERS_MAX]
            for word in part.spoken.split()
            for at in range(0, len(word), LETTERS_MAX)
        )
        return [Token(part.start, part.end, " ".join(words), part.ipa)]
    tokens, start = [], part.start
    while start < part.end:
        end = min(start + LETTERS_MAX, part.end)
        if end < part.end and (hyphen := bare.text.rfind("-", start + 1, end)) > 0:
            end = hyphen + 1
        while end < part.end and end > start + 1 and _inseparable(bare, end):
            end -= 1
        tokens.append(Token(start, end, bare.text[start:end].strip("-'")))
        start = end
    return [token for token in tokens if token.spoken]


def _inseparable(bare: Bare, place: int) -> bool:
    """Whether a cut would part a written character, or an accent from its letter."""
    return (
        bare.places[place] == bare.places[place - 1]
        or unicodedata.category(bare.text[place])[0] == "M"
    )
