"""Abbreviations, initials, Roman numerals, signs, and letters among digits."""

import re
import unicodedata

from usage.text.romance.amounts import cardinal
from usage.text.romance.grammar import Grammar
from usage.text.rules import Context, Part, Reading, Rule, rule, whole
from usage.text.symbols import FLAG_BASE, GREEK, GREEK_RUN, GREEK_SYMBOLS_MAX, SUPERSCRIPTS

_ROMAN = r"(?=[IVXLC])(?:C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
_ENDS = re.compile(r"\s*\Z|\s+[\"'(¿¡]?[A-ZÁÉÍÓÚÂÊÔÃÕÇÀÈÌÒÙ]|\s*\n")
_LETTER = r"[^\W\d_⁰-⁹¹²³\u2150-\u2182\u2185-\u218f\u2460-\u24ff\u2776-\u2793]"  # no number either
_NAME = re.compile(r"[ \u00a0][A-ZÁÉÍÓÚ]\w+")
_OPERATORS = {"<=": "≤", ">=": "≥", "!=": "≠", "==": "=", "=>": "→", "->": "→"}
_QUEENS = frozenset({"Isabel", "Beatriz", "Leonor"})
_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}


def letter_rules(grammar: Grammar) -> list[Rule]:
    """Of what begins with a letter."""
    written = sorted(grammar.abbreviations, key=len, reverse=True)
    pattern = "|".join(
        re.escape(each).replace(r"\ ", "[ \\u00a0]") + ("" if each[-1] in "./" else r"(?!\w)")
        for each in written
    )

    def abbreviation(match: re.Match[str], context: Context) -> Reading:
        found = match[0].replace("\u00a0", " ")
        ends = found in grammar.closing and _ENDS.match(context.text, match.end())
        end = match.end() - 1 if ends and found.endswith(".") else match.end()
        said = grammar.abbreviations[found]
        if found[:-1].isalpha() and len(found) == 2:
            if not (name := _NAME.match(context.text, match.end())):
                return None  # the end of a sentence: "plan D."
            masculine, _, feminine = said.partition("/")
            said = feminine if feminine and name[0].endswith("a") else masculine
        return whole(match, said, end=end)

    def number_sign(match: re.Match[str], context: Context) -> Reading:
        return whole(match, grammar.number)

    def initial(match: re.Match[str], context: Context) -> Reading:
        return whole(match, match[1])

    def roman(match: re.Match[str], context: Context) -> Reading:
        before, value = context.before, _value(match[0])
        before = grammar.abbreviations.get(f"{before}.", before)  # "séc. XX"
        following = re.compile(r" (\w+)").match(context.text, match.end())
        if following and following[1].lower() in grammar.ordered:
            return whole(match, grammar.ordinal(value, False))
        if before.lower() in grammar.ordered:
            return whole(match, grammar.ordinal(value, False))
        if before.lower() in grammar.counted:
            return whole(match, grammar.cardinal(value, False, False))
        if len(match[0]) == 1 and match[0] not in "IV":
            return None
        if before[:1].isupper() and before[1:].islower():
            is_ordinal = value <= grammar.regnal_max
            feminine = before.endswith("a") or before in _QUEENS
            said = grammar.ordinal(value, feminine) if is_ordinal else ""
            return whole(match, said or grammar.cardinal(value, False, False))
        return None

    def greek(match: re.Match[str], context: Context) -> Reading:
        if len(match[0]) > GREEK_SYMBOLS_MAX:
            return None
        return whole(match, " ".join(map(_greek, match[0])))

    return [
        rule(rf"(?<![\w.])(?:{pattern})", abbreviation),
        rule(r"(?<!\w)[nN](?:\.?[º°]|[rú]?o?\.)(?=\s?\d)", number_sign),
        rule(rf"(?<![\w.-]){_ROMAN}(?![\w.-]\w|\w)", roman),
        rule(r"(?<![\w.])([A-ZÁÉÍÓÚ])\.(?=\s?[A-ZÁÉÍÓÚ])", initial),
        rule(GREEK_RUN.pattern, greek),
    ]


def mixed_rules(grammar: Grammar) -> list[Rule]:
    """Letters and digits together, "MP tres", and numbers that no other rule has read."""

    def mixed(match: re.Match[str], context: Context) -> Reading:
        parts = []
        for bit in re.finditer(rf"\d+(?:\.\d+)*|{_LETTER}+", match[0]):
            said = bit[0]
            if said[0].isdecimal():
                numbers = [cardinal(number, grammar) for number in said.split(".")]
                said = f" {grammar.point} ".join(numbers)
            parts.append(Part(match.start() + bit.start(), match.start() + bit.end(), said))
        return parts

    def version(match: re.Match[str], context: Context) -> Reading:
        numbers = [cardinal(number, grammar) for number in match[0].split(".")]
        return whole(match, f" {grammar.point} ".join(numbers))

    def digits(match: re.Match[str], context: Context) -> Reading:
        return whole(match, cardinal(match[0], grammar))

    letter = _LETTER
    return [
        rule(r"(?!\d{1,3}(?:\.\d{3})+(?![.\d]))\d{1,9}(?:\.\d{1,9}){2,5}(?!\w)", version),
        rule(rf"(?:{letter}+\d|\d+{letter})(?:{letter}|\d|(?<=\d)\.(?=\d)){{0,30}}", mixed),
        rule(r"\d+", digits),
    ]


def sign_rules(grammar: Grammar) -> list[Rule]:
    """Of what begins with neither."""

    def superscript(match: re.Match[str], context: Context) -> Reading:
        number = "".join(SUPERSCRIPTS.get(sign, "") for sign in match[0])
        number = f"-{number}" if match[0][0] == "⁻" else number
        return whole(match, _power(number, grammar))

    def power(match: re.Match[str], context: Context) -> Reading:
        return whole(match, _power(match[1], grammar))

    def flag(match: re.Match[str], context: Context) -> Reading:
        letters = " ".join(chr(ord(sign) - FLAG_BASE + 65) for sign in match[0])
        return whole(match, f"{grammar.flag} {letters}")

    def drawn(match: re.Match[str], context: Context) -> Reading:
        return whole(match, "")

    def operator(match: re.Match[str], context: Context) -> Reading:
        return whole(match, grammar.names[_OPERATORS[match[0]]])

    return [
        rule(r"[\U0001f1e6-\U0001f1ff]{2}", flag),
        rule(r"[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+", superscript),
        rule(r"([=~+|_])\1{3,}(?=\s|$)", drawn),
        rule("|".join(_OPERATORS), operator),
        rule(r"(?<=[\w)])\^([-−]?\d{1,3})(?!\w)", power),
    ]


def name(sign: str, grammar: Grammar) -> str:
    """A sign in words: by its name, its number, or as what it is."""
    if sign in grammar.names:
        return grammar.names[sign]
    value = unicodedata.numeric(sign, None)
    if value is not None and value == int(value) and 0 <= value < 10**15:
        return grammar.cardinal(int(value), False, False)
    return "emoji" if sign >= "\U0001f000" else grammar.symbol


def _power(number: str, grammar: Grammar) -> str:
    named = {"2": grammar.squared, "3": grammar.cubed}
    said = cardinal(number.lstrip("-−") or "0", grammar)
    if number[:1] in ("-", "−"):
        said = f"{grammar.minus} {said}"
    return named.get(number) or grammar.power.format(said)


def _value(roman: str) -> int:
    values = [_VALUES[letter] for letter in roman]
    return sum(
        -value if value < following else value
        for value, following in zip(values, [*values[1:], 0], strict=True)
    )


def _greek(letter: str) -> str:
    return GREEK[letter].replace("ph", "f").replace("th", "t").replace("rho", "ro")
