"""Dates and times of day."""

import re

from usage.text.romance.amounts import cardinal
from usage.text.romance.grammar import Grammar
from usage.text.rules import Context, Reading, Rule, listed, rule, whole

_HOUR_WORDS = listed("ore alle dalle las às")  # before "9.30"
_END = r"(?![\w]|[./:]\d)"
_YEARS_FROM_2000 = 70  # a year of two digits below it is of this century


def rules(grammar: Grammar) -> list[Rule]:
    """Of what begins with a digit."""
    months = "|".join(grammar.months)

    def date(match: re.Match[str], context: Context) -> Reading:
        day, month, year = (int(match[name]) for name in ("day", "month", "year"))
        if not (1 <= day <= 31 and 1 <= month <= 12):
            return None
        if len(match["year"]) == 2:
            year += 2000 if year < _YEARS_FROM_2000 else 1900
        said = grammar.date.format(
            day=day_of(day),
            month=grammar.months[month - 1],
            year=grammar.cardinal(year, False, False),
        )
        return whole(match, said)

    def day_of(day: int) -> str:
        return grammar.first if day == 1 else grammar.cardinal(day, False, False)

    def first(match: re.Match[str], context: Context) -> Reading:
        return whole(match, grammar.first)

    def day_of_month(match: re.Match[str], context: Context) -> Reading:
        return whole(match, grammar.cardinal(int(match["day"]), False, False))

    return [
        rule(
            rf"(?P<day>\d{{1,2}})(?P<s>[/.-])(?P<month>\d{{1,2}})(?P=s)(?P<year>\d{{4}}|\d\d){_END}",
            date,
        ),
        rule(rf"(?P<year>\d{{4}})-(?P<month>\d\d)-(?P<day>\d\d){_END}", date),
        rule(rf"1(?:[ºo°]|\.º)?(?=(?: de)? (?:{months})\b)", first, re.I),
        rule(rf"(?P<day>\d{{1,2}})(?=(?: de)? (?:{months})\b)", day_of_month, re.I),
        *_times(grammar),
    ]


def _times(grammar: Grammar) -> list[Rule]:
    def time(match: re.Match[str], context: Context) -> Reading:
        hour, minute = int(match["hour"]), match["minute"] or ""
        groups = match.groupdict()
        if "dot" in groups and not groups["dot"] and context.before.lower() not in _HOUR_WORDS:
            return None  # "9.30" of something else
        if hour > 24 or int(minute or 0) > 59 or int(match["second"] or 0) > 59:
            return None
        feminine = grammar.feminine_hours and (grammar.of == "de" or hour == 1)
        said = grammar.cardinal(hour, feminine, False)
        if int(minute or 0):
            said += f" {grammar.time_and} {cardinal(str(int(minute)), grammar)}"
        elif grammar.full_hour:
            said += f" {grammar.full_hour.one if hour == 1 else grammar.full_hour.many}"
        if match["second"]:
            said += f" {grammar.time_and} {cardinal(str(int(match['second'])), grammar)}"
        return whole(match, f"{said} {grammar.to}" if "dash" in groups else said)

    clock = r"(?P<hour>\d{1,2})"
    return [
        rule(
            rf"{clock}(?::|h)(?P<minute>\d\d)?(?P<second>(?!))?h?\s?(?P<dash>[-–])"
            r"(?=\s?\d{1,2}(?::\d\d|h)(?!\w*[:-]\d))",
            time,
        ),
        rule(
            rf"{clock}\.(?P<minute>[0-5]\d)(?P<second>(?!))?(?P<dot>\s?(?:hs|hrs?|h)\b)?"
            rf"{_END}(?!\s?[%€$£°])",
            time,
        ),
        rule(rf"{clock}:(?P<minute>\d\d)(?::(?P<second>\d\d))?(?:\s?(?:hs|hrs?|h)\b)?{_END}", time),
        rule(rf"{clock}h(?:(?P<minute>\d\d)(?:min)?)?(?P<second>(?!))?{_END}", time),
    ]
