"""Dates in the orders people write them in, and times of day."""

import re

from usage.text.cardinals import cardinal, digits, is_year, ordinal, year
from usage.text.rules import END, SPACE, Context, Reading, rule, whole

MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_SHORT = {
    **{name[:3].lower(): name for name in MONTHS},
    "sept": "September",
    **{name.lower(): name for name in MONTHS},
}
DAYS = {
    "mon": "Monday",
    "tue": "Tuesday",
    "tues": "Tuesday",
    "wed": "Wednesday",
    "thu": "Thursday",
    "thur": "Thursday",
    "thurs": "Thursday",
    "fri": "Friday",
    "sat": "Saturday",
    "sun": "Sunday",
}
_MONTH = "|".join(sorted({*MONTHS, *(name[:3] for name in MONTHS), "Sept"}, key=len, reverse=True))
_DAY = r"(?P<day>0?[1-9]|[12]\d|3[01])"


def _year(text: str) -> str:
    if is_year(text):
        return year(int(text))
    if len(text) == 2:
        return (
            f"oh {cardinal(int(text))}"
            if text[0] == "0" and text != "00"
            else ("two thousand" if text == "00" else cardinal(int(text)))
        )
    return cardinal(int(text))


def _american(day: str, month: str, years: str | None) -> str:
    words = f"{month} {ordinal(int(day))}"
    return f"{words}, {_year(years)}" if years else words


def _british(day: str, month: str, years: str | None, context: Context) -> str:
    the = "" if context.before.lower() == "the" else "the "
    words = f"{the}{ordinal(int(day))} of {month}"
    return f"{words}, {_year(years)}" if years else words


def _iso(match: re.Match[str], context: Context) -> Reading:
    words = _american(match["day"], MONTHS[int(match["month"]) - 1], match["year"])
    if match["hour"]:
        words += f", {_clock(match['hour'], match['minute'])}"
        if match["second"] not in (None, "00"):
            words += f" and {_seconds(match['second'])}"
        words += _zone(match["zone"])
    return whole(match, words)


def _zone(text: str | None) -> str:
    """ " UTC plus five thirty" for "+05:30"."""
    if text in (None, ""):
        return ""
    if text == "Z":
        return " UTC"
    sign = "minus" if text[0] == "-" else "plus"
    minutes = "" if text[-2:] == "00" else f" {cardinal(int(text[-2:]))}"
    return f" UTC {sign} {cardinal(int(text[1:3]))}{minutes}"


def _seconds(text: str, fraction: str | None = None) -> str:
    """ "five point three seconds"."""
    if fraction:
        return f"{cardinal(int(text))} point {digits(fraction)} seconds"
    return f"{cardinal(int(text))} second" + ("" if text == "01" else "s")


def _numeric(match: re.Match[str], context: Context) -> Reading:
    """Day and month in the order of the language, or in the only one possible."""
    first, second, sign = int(match[1]), int(match[3]), match[2]
    day_first = sign == "." or context.language.lower() == "en-gb"
    day, month = (first, second) if day_first else (second, first)
    if month > 12:
        day, month = month, day
    if not (0 < month < 13 and 0 < day < 32):
        return None
    if len(match[4]) == 2 and sign == "-":
        return None
    if day_first:
        return whole(match, _british(str(day), MONTHS[month - 1], match[4], context))
    return whole(match, _american(str(day), MONTHS[month - 1], match[4]))


def _month_first(match: re.Match[str], context: Context) -> Reading:
    month = _SHORT[match["month"].lower()]
    if match["last"]:
        words = f"{month} {ordinal(int(match['day']))} to {ordinal(int(match['last']))}"
        return whole(match, f"{words}, {_year(match['year'])}" if match["year"] else words)
    return whole(match, _american(match["day"], month, match["year"]))


def _day_first(match: re.Match[str], context: Context) -> Reading:
    month = _SHORT[match["month"].lower()]
    return whole(
        match, _british(match["day"], month, match["year"], context), end=_end(match, context)
    )


def _month_year(match: re.Match[str], context: Context) -> Reading:
    return whole(match, f"{_SHORT[match['month'].lower()]} {_year(match['year'])}")


def _month_alone(match: re.Match[str], context: Context) -> Reading:
    return whole(match, _SHORT[match[1].lower()])


def _weekday(match: re.Match[str], context: Context) -> Reading:
    return whole(match, DAYS[match[1].lower()])


def _weekdays(match: re.Match[str], context: Context) -> Reading:
    return whole(match, f"{DAYS[match[1].lower()]} to {DAYS[match[2].lower()]}")


def _end(match: re.Match[str], context: Context) -> int:
    """Without the dot that ends the sentence: "3 Mar." """
    ends = re.match(r"\s*\Z|\s+[A-Z]", context.text[match.end() :])
    return match.end() - 1 if ends and match[0].endswith(".") else match.end()


def _clock(hour: str, minute: str) -> str:
    hours = int(hour)
    if minute == "00":
        if hours == 0 or hours > 12:
            return f"{cardinal(hours)} hundred"
        return f"{cardinal(hours)} o'clock"
    minutes = f"oh {cardinal(int(minute))}" if minute[0] == "0" else cardinal(int(minute))
    return f"{cardinal(hours)} {minutes}"


def _half(letter: str) -> str:
    """ "AM" alone would be read as the verb."""
    return "A.M" if letter.lower() == "a" else "PM"


def _time(match: re.Match[str], context: Context) -> Reading:
    hour, minute, second, half = match.group("hour", "minute", "second", "half")
    if fraction := match["fraction"]:  # how long a race took
        minutes = f"{cardinal(int(hour))} minute" + ("" if int(hour) == 1 else "s")
        return whole(match, f"{minutes} {_seconds(minute, fraction)}")
    if int(hour) > 24:
        return None
    words = cardinal(int(hour)) if half and minute == "00" else _clock(hour, minute)
    if second:
        words += f" and {_seconds(second, match['part'])}"
    if half:
        words += f" {_half(half)}"
    return whole(match, words, end=_after_half(match, context))


def _hour(match: re.Match[str], context: Context) -> Reading:
    words = cardinal(int(match["hour"]))
    if match["first"]:
        first = cardinal(int(match["first"]))
        if match["first_half"]:
            first += f" {_half(match['first_half'])}"
        words = f"{first} to {words}"
    return whole(match, f"{words} {_half(match['half'])}", end=_after_half(match, context))


def _after_half(match: re.Match[str], context: Context) -> int:
    """The last dot of "p.m." is the sentence's if a new one begins."""
    end = match.end()
    if match[0].endswith(".") and _NEW_SENTENCE.match(context.text, end):
        return end - 1
    return end


def _to(match: re.Match[str], context: Context) -> Reading:
    """ "nine thirty A.M to five PM"; one of the two has minutes."""
    ends = [match.group("from", "from_minute", "from_half"), match.group("to", "minute", "half")]
    if not (match["from_minute"] or match["minute"]) or any(int(hour) > 24 for hour, *_ in ends):
        return None
    words = " to ".join(
        (_clock(hour, minute) if minute and not (half and minute == "00") else cardinal(int(hour)))
        + (f" {_half(half)}" if half else "")
        for hour, minute, half in ends
    )
    return whole(match, words, end=_after_half(match, context))


def _from(match: re.Match[str], context: Context) -> Reading:
    """The beginning of "January–March", "Monday–Friday" and "3–5 March"."""
    day, month = match.groupdict().get("day"), match.groupdict().get("month")
    if day:
        the = "" if context.before.lower() == "the" else "the "
        return whole(match, f"{the}{ordinal(int(day))} to")
    return whole(match, f"{_SHORT[month.lower()]} to" if month else f"{match['weekday']} to")


# A day, month or zone after "5 p.m." goes on with the sentence.
_NEW_SENTENCE = re.compile(
    rf"[\"')\]]*(?:\s+(?!(?:{'|'.join(DAYS.values())}|{_MONTH}|[ECMP][SD]?T|GMT|UTC)\b)[A-Z\"]|\s*\Z)"
)
_HALF = r"(?P<half>[ap])(?:\.m\.|\.m|m)(?![^\W_])"
RULES = [
    rule(
        r"(?P<year>[12]\d{3})(?P<sign>[-/])(?P<month>0[1-9]|1[0-2])(?P=sign)(?P<day>0[1-9]|[12]\d|3[01])"
        r"(?:[T ](?P<hour>[01]\d|2[0-3]):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d)(?:\.\d{1,9})?)?"
        r"(?P<zone>Z|[+-]\d\d:?\d\d)?)?(?!\d|-\d)",
        _iso,
    ),
    rule(r"(\d{1,2})([/.-])(\d{1,2})\2(\d{4}|\d{2})(?![\w/]|[.-]\d)", _numeric),
    rule(
        rf"(?P<from>\d{{1,2}})(?::(?P<from_minute>[0-5]\d))?"
        rf"(?:{SPACE}?(?P<from_half>[ap])(?:\.m\.|\.?m))?{SPACE}?[-–—]{SPACE}?"
        rf"(?P<to>\d{{1,2}})(?::(?P<minute>[0-5]\d))?(?![\d:]|[.,]\d)(?:{SPACE}?{_HALF})?{END}",
        _to,
        re.I,
    ),
    rule(
        rf"(?P<hour>1[0-2]|0?[1-9])\.(?P<minute>[0-5]\d)(?P<second>(?!))?(?P<part>(?!))?"
        rf"(?P<fraction>(?!))?{SPACE}?{_HALF}",
        _time,
        re.I,
    ),
    rule(
        rf"{_DAY}[-–](?=(?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?{SPACE}(?:of{SPACE})?(?:{_MONTH}){END})",
        _from,
    ),
    rule(
        rf"(?P<hour>\d{{1,2}}):(?P<minute>[0-5]\d)"
        rf"(?::(?P<second>[0-5]\d)(?:\.(?P<part>\d{{1,6}}))?|\.(?P<fraction>\d{{1,3}}))?"
        rf"(?![\d:]|,\d{{3}}(?!\d))"
        rf"(?:{SPACE}?{_HALF})?",
        _time,
        re.I,
    ),
    rule(
        rf"(?:(?P<first>1[0-2]|0?[1-9])(?:{SPACE}?(?P<first_half>[ap])\.?m\.?)?{SPACE}?[-–—]{SPACE}?)?"
        rf"(?P<hour>1[0-2]|0?[1-9]){SPACE}?{_HALF}",
        _hour,
        re.I,
    ),
    rule(
        rf"{_DAY}(?:st|nd|rd|th)?(?:{SPACE}(?:of{SPACE})?|-)(?P<month>{_MONTH}){END}\.?(?:(?:,?{SPACE}|-)(?P<year>\d{{4}}){END})?",
        _day_first,
    ),
]
_DAYS = r"Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat|Sun"
_WEEKDAY = "|".join(DAYS.values())
MONTH_RULES = [
    rule(rf"(?P<month>{_MONTH})\.?[-–](?=(?:{_MONTH}){END})", _from),
    rule(rf"(?P<weekday>{_WEEKDAY})[-–](?=(?:{_WEEKDAY}){END})", _from),
    rule(rf"({_DAYS})\.?[-–]({_DAYS}){END}", _weekdays),
    rule(
        rf"(?P<month>{_MONTH})\.?{SPACE}(?:the{SPACE})?{_DAY}(?:st|nd|rd|th)?"
        rf"(?:{SPACE}?[-–]{SPACE}?(?P<last>\d{{1,2}})(?:st|nd|rd|th)?)?(?:,?{SPACE}(?P<year>\d{{4}}))?"
        rf"{END}(?![:/⁄%]|[.,]\d|{SPACE}?[ap]\.?m\b|(?<!\d\d\d\d)-\d)",
        _month_first,
    ),
    rule(rf"(?P<month>{_MONTH})\.?,?{SPACE}(?P<year>[12]\d{{3}}){END}(?![:%]|[.,]\d)", _month_year),
    rule(rf"(?<=[a-z][-–])({_MONTH}){END}", _month_alone),
    rule(r"(Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec)\.(?=,|\s+[a-z\d])", _month_alone),
    rule(rf"({_DAYS})\.?,(?={SPACE}(?:\d|{_MONTH}))", _weekday),
    rule(rf"({_DAYS})\.(?={SPACE}(?:\d|[a-z]|(?:{_MONTH})))", _weekday),
]
WORDS = frozenset(_SHORT) | frozenset(DAYS)
