"""Symbols, emoji, superscripts and single Greek letters in words."""

import re
import unicodedata

from usage.text.cardinals import cardinal, ordinal, spoken
from usage.text.rules import Context, Reading, rule, whole

NAMES = {
    "&": "and",
    "%": "percent",
    "‰": "per mille",
    "+": "plus",
    "=": "equals",
    "<": "less than",
    ">": "greater than",
    "@": "at",
    "#": "hash",
    "*": "star",
    "/": "slash",
    "\\": "backslash",
    "|": "vertical bar",
    "^": "caret",
    "~": "tilde",
    "`": "backtick",
    "$": "dollar",
    "€": "euro",
    "£": "pound",
    "¥": "yen",
    "¢": "cent",
    "₹": "rupee",
    "₿": "bitcoin",
    "°": "degrees",
    "§": "section",
    "¶": "paragraph",
    "©": "copyright",
    "®": "registered",
    "™": "trademark",
    "№": "number",
    "†": "",
    "‡": "",
    "·": "",
    "±": "plus or minus",
    "−": "minus",
    "×": "times",
    "÷": "divided by",
    "∙": "times",
    "⋅": "times",
    "⁄": "over",
    "√": "square root of",
    "∛": "cube root of",
    "∞": "infinity",
    "∑": "sum",
    "∏": "product",
    "∫": "integral",
    "∂": "partial",
    "∆": "delta",
    "∇": "nabla",
    "≈": "approximately",
    "≅": "congruent to",
    "≠": "not equal to",
    "≡": "identical to",
    "≤": "less than or equal to",
    "≥": "greater than or equal to",
    "≪": "much less than",
    "≫": "much greater than",
    "∝": "proportional to",
    "∈": "in",
    "∉": "not in",
    "⊂": "subset of",
    "∪": "union",
    "∩": "intersection",
    "∅": "empty set",
    "∀": "for all",
    "∃": "there exists",
    "¬": "not",
    "∧": "and",
    "∨": "or",
    "∴": "therefore",
    "→": "right arrow",
    "←": "left arrow",
    "↑": "up arrow",
    "↓": "down arrow",
    "↔": "left right arrow",
    "⇒": "implies",
    "⇔": "if and only if",
    "❤": "red heart",
    "♥": "heart",
    "★": "star",
    "☆": "star",
    "✅": "check mark",
    "✔": "check mark",
    "✓": "check mark",
    "❌": "cross mark",
    "✨": "sparkles",
    "☎": "telephone",
    "☀": "sun",
    "⭐": "star",
}
FLAGS = dict(
    pair.split(":")
    for pair in [
        "AR:Argentina",
        "AT:Austria",
        "AU:Australia",
        "BE:Belgium",
        "BR:Brazil",
        "CA:Canada",
        "CH:Switzerland",
        "CL:Chile",
        "CN:China",
        "CO:Colombia",
        "CZ:Czechia",
        "DE:Germany",
        "DK:Denmark",
        "EG:Egypt",
        "ES:Spain",
        "FI:Finland",
        "FR:France",
        "GR:Greece",
        "HU:Hungary",
        "ID:Indonesia",
        "IE:Ireland",
        "IL:Israel",
        "IN:India",
        "IS:Iceland",
        "IT:Italy",
        "JP:Japan",
        "KE:Kenya",
        "LU:Luxembourg",
        "MA:Morocco",
        "MX:Mexico",
        "MY:Malaysia",
        "NG:Nigeria",
        "NL:Netherlands",
        "NO:Norway",
        "PE:Peru",
        "PH:Philippines",
        "PK:Pakistan",
        "PL:Poland",
        "PT:Portugal",
        "RO:Romania",
        "RU:Russia",
        "SE:Sweden",
        "SG:Singapore",
        "TH:Thailand",
        "TR:Turkey",
        "TW:Taiwan",
        "UA:Ukraine",
        "VN:Vietnam",
    ]
) | {
    "EU": "European Union",
    "GB": "United Kingdom",
    "US": "United States",
    "ZA": "South Africa",
    "KR": "South Korea",
    "NZ": "New Zealand",
    "SA": "Saudi Arabia",
    "AE": "United Arab Emirates",
}
SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789", strict=True))
# Bare text keeps these: their compatible forms ("TM", "2", "...") would lose what they say.
KEPT = frozenset("…™№°ªº" + "".join(SUPERSCRIPTS) + "⁺⁻ⁿ")

FLAG_BASE = 0x1F1E6  # the regional sign "A"; flags are two of them
_SKIN = "\U0001f3fb-\U0001f3ff"


def name(sign: str) -> str:
    """A symbol or odd number in plain words; "" for what is only decoration."""
    if sign in NAMES:
        return NAMES[sign]
    if FLAG_BASE <= ord(sign) < FLAG_BASE + 26:
        return f"letter {chr(ord(sign) - FLAG_BASE + 65)}"
    value = unicodedata.numeric(sign, None)
    if value is not None and value == int(value) and 0 <= value < 10**15:
        return cardinal(int(value))
    words = unicodedata.name(sign, "symbol").lower().replace("-", " ")
    spelt = re.sub(r"[^a-z ]", lambda other: f" {cardinal(int(other[0]))} ", words)
    return " ".join(spelt.split())


def power(exponent: str) -> str:
    """ "squared" for "2", "to the minus third" for "-3"."""
    if exponent in ("2", "3"):
        return {"2": "squared", "3": "cubed"}[exponent]
    sign, number = ("minus ", exponent[1:]) if exponent[0] in "-−⁻" else ("", exponent)
    if number.isdecimal() and len(number) < 4:
        return (
            f"to the {sign}{ordinal(int(number))}"
            if not sign
            else f"to the {sign}" + cardinal(int(number))
        )
    return f"to the {sign}{spoken(number) if number[:1].isdecimal() else number}"


def _flag(match: re.Match[str], context: Context) -> Reading:
    letters = "".join(chr(ord(sign) - FLAG_BASE + 65) for sign in match[0])
    return whole(match, f"flag of {FLAGS.get(letters, letters)}")


def _superscript(match: re.Match[str], context: Context) -> Reading:
    number = "".join(SUPERSCRIPTS.get(sign, sign) for sign in match[0]).replace("ⁿ", "N")
    number = number.replace("⁻", "-").replace("⁺", "")
    if number in ("", "-"):  # of an ion
        return whole(match, "minus" if number else "plus")
    before = re.search(r"[^\W_]*\)?$", context.text[max(0, match.start() - 4) : match.start()])
    base = before[0] if before else ""
    if base and (len(base) < 3 or base[-1].isdecimal() or base[-1] == ")"):
        return whole(match, power(number))
    sign = "minus " if number[0] == "-" else ""
    number = number.removeprefix("-")
    return whole(match, sign + (spoken(number) if number.isdecimal() else number))


def _repeated(match: re.Match[str], context: Context) -> Reading:
    """A line of equal signs is drawn, not said, if something else is said."""
    return whole(match, "")


def _operator(match: re.Match[str], context: Context) -> Reading:
    return whole(
        match,
        {
            "<=": "less than or equal to",
            ">=": "greater than or equal to",
            "!=": "not equal to",
            "==": "equals",
            "=>": "right arrow",
            "->": "right arrow",
            "<-": "left arrow",
        }[match[0]],
    )


def _power(match: re.Match[str], context: Context) -> Reading:
    return whole(match, power(match[1]))


# Looked for where a line begins only, or one of thousands would be measured from each of its signs.
_LINE = "|".join(rf"(?<!{sign}){sign}{{4,}}" for sign in ("=", "~", r"\+", r"\|", "_"))

RULES = [
    rule(r"[\U0001f1e6-\U0001f1ff]{2}", _flag),
    rule(r"[⁺⁻]?(?:[⁰¹²³⁴⁵⁶⁷⁸⁹]+|ⁿ)|[⁺⁻]", _superscript),
    rule(rf"(?:{_LINE})(?=\s|$)", _repeated),
    rule(r"<=|>=|!=|==|=>|->|<-", _operator),
    rule(r"(?<=[\w)])\^(-?\d{1,3}(?:\.\d{1,3})?|-?[A-Za-z])(?![^\W_])", _power),
    rule(r"(?<=[\d)])\*\*(-?\d{1,3}(?:\.\d{1,3})?)(?![^\W_])", _power),
]

GREEK = {
    chr(code): unicodedata.name(chr(code)).split()[-1].lower()
    for first in (0x391, 0x3B1)
    for code in range(first, first + 25)
    if unicodedata.name(chr(code), "")
} | {"ς": "sigma", "λ": "lambda", "Λ": "lambda", "ϕ": "phi", "ϵ": "epsilon", "ϑ": "theta"}
GREEK_RUN = re.compile("[" + "".join(GREEK) + "]+")
GREEK_SYMBOLS_MAX = 2  # so many Greek letters together are symbols; more are a Greek word
