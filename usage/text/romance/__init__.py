"""Rules of reading for Spanish, Brazilian Portuguese and Italian.

What differs between them is a `Grammar`: tables of words and how numbers are said. The rules are
the same.
"""

import re
from dataclasses import dataclass
from functools import cache

from usage.text.romance import amounts, calendar, italian, phrases, portuguese, spanish
from usage.text.romance.grammar import Grammar
from usage.text.rules import Rule

_GRAMMARS = {"es": spanish.GRAMMAR, "it": italian.GRAMMAR, "pt": portuguese.GRAMMAR}


ELIDED = re.compile(r"([^\W\d_]{1,6})'(?=\d)")
_FULL = {"l": "il", "un": "un"}


def elided(word: str, spoken: str) -> str:
    """ "l'otto", and "il primo" for "l'1"."""
    if spoken[0] in "aeiou":
        return f"{word}'{spoken}"
    full = _FULL.get(word.lower()) or word.removesuffix("l")
    return f"{full} {spoken}"


@dataclass(frozen=True, slots=True)
class Rules:
    """By what stands first; in each list the first that applies is taken."""

    grammar: Grammar
    letters: list[Rule]
    digits: list[Rule]
    signs: list[Rule]

    def name(self, sign: str) -> str:
        return phrases.name(sign, self.grammar)


def rules(language: str) -> Rules | None:
    """Of a language such as "pt-br"; None if there are none."""
    return _rules(language.lower().partition("-")[0])


@cache
def _rules(language: str) -> Rules | None:
    if not (grammar := _GRAMMARS.get(language)):
        return None
    numbers, mixed = amounts.rules(grammar), phrases.mixed_rules(grammar)
    return Rules(
        grammar,
        letters=[*phrases.letter_rules(grammar), *numbers[:1], mixed[1]],
        digits=[*calendar.rules(grammar), mixed[0], *numbers, *mixed[1:]],
        signs=[*numbers, *phrases.sign_rules(grammar)],
    )
