"""English words for whole and decimal numbers, ordinals, years, fractions and strings of digits."""

import re

SMALL = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
TENS = ["zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
SCALES = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (1000, "thousand"))
CARDINAL_DIGITS_MAX = 15  # longer numbers are read digit by digit
GROUP_DIGITS = 3

_IRREGULAR = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
# Group separators besides comma and dot: apostrophe, blank, no-break space, narrow one, thin space.
GROUPING = "' \u00a0\u202f\u2009"
_ENGLISH_GROUPS = re.compile(r"\d{1,3}(?:,\d{2,3})*,\d{3}")  # in India "1,00,000"


def cardinal(number: int) -> str:
    """ "one hundred twenty-three" for 123. Numbers from 0 to below 10**15."""
    if number < 20:
        return SMALL[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return TENS[tens] + (f"-{SMALL[ones]}" if ones else "")
    if number < 1000:
        hundreds, rest = divmod(number, 100)
        return f"{SMALL[hundreds]} hundred" + (f" {cardinal(rest)}" if rest else "")
    scale, name = next(entry for entry in SCALES if number >= entry[0])
    many, rest = divmod(number, scale)
    return f"{cardinal(many)} {name}" + (f" {cardinal(rest)}" if rest else "")


def ordinal(number: int) -> str:
    """ "twenty-first" for 21."""
    head, last = re.fullmatch(r"(.*?)(\w+)", cardinal(number)).groups()  # type: ignore[union-attr]
    if last in _IRREGULAR:
        return f"{head}{_IRREGULAR[last]}"
    return head + (f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th")


def digits(text: str) -> str:
    """ "zero zero seven" for "007"; whatever is no digit is left out."""
    return " ".join(SMALL[int(digit)] for digit in text if digit.isdecimal())


def digit_groups(text: str) -> str:
    """Digits one by one, with a comma after each written group: a phone number."""
    return ", ".join(filter(None, map(digits, re.split(r"[^\d]+", text))))


def year(number: int) -> str:
    """ "nineteen oh five" for 1905, "two thousand five" for 2005; for 1100 to 2099."""
    century, rest = divmod(number, 100)
    if century == 20 and rest < 10:
        return cardinal(number)
    if not rest:
        return f"{cardinal(century)} hundred"
    return f"{cardinal(century)} {'oh ' if rest < 10 else ''}{cardinal(rest)}"


def is_year(text: str) -> bool:
    return len(text) == 4 and text.isdecimal() and "1100" <= text <= "2099"


def plural(word: str) -> str:
    """ "fifties" for "fifty", "thirds" for "third"."""
    if word.endswith("y"):
        return f"{word[:-1]}ies"
    return f"{word}es" if word.endswith("x") else f"{word}s"


def plain(text: str) -> str:
    """A written number as digits with at most one dot: "1234.5" for "1.234,5" and for "1,234.5"."""
    text = re.sub(f"[{GROUPING}]", "", text)
    if "," in text and "." in text:
        decimal = max(",", ".", key=text.rfind)
        group = "." if decimal == "," else ","
        return text.replace(group, "").replace(decimal, ".")
    if "," in text:
        return text.replace(",", "" if _ENGLISH_GROUPS.fullmatch(text) else ".")
    return text.replace(".", "") if text.count(".") > 1 else text


def spoken(text: str) -> str:
    """A number as `plain` returns it, in words."""
    whole, point, fraction = text.partition(".")
    if not whole:
        words = ""
    elif (len(whole) > 1 and whole[0] == "0") or len(whole) > CARDINAL_DIGITS_MAX:
        words = digits(whole)
    else:
        words = cardinal(int(whole))
    return f"{words} point {digits(fraction)}".strip() if point else words


def fraction(numerator: int, denominator: int) -> str:
    """ "three quarters" for 3 and 4."""
    part = {2: "half", 4: "quarter"}.get(denominator) or ordinal(denominator)
    if numerator != 1:
        part = "halves" if denominator == 2 else plural(part)
    return f"{cardinal(numerator)} {part}"
