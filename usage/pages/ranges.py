"""Which days of usage a page or an export shows, and how they are split."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple, cast
from urllib.parse import urlencode

from django.http import QueryDict

from usage.statistics import SPLITS, Every, Span, WrongDays, first_of

RANGES = {
    "7": "7 days",
    "30": "30 days",
    "90": "90 days",
    "month": "This month",
    "last": "Last month",
}
OWN = "own"
DEFAULT = "30"
EVERY: tuple[Every, ...] = ("day", "week", "month")
BARS_MAX = 92  # of days; more become weeks, which fit a year
WRONG = "Choose a first and a last day, not after today, with at most a year between them."


class Choice(NamedTuple):
    label: str
    query: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown. `wrong`: why the days that were asked for are not."""

    name: str  # of RANGES, or OWN
    span: Span
    every: Every
    split: str
    today: date
    wrong: str = ""
    typed: tuple[str, str] = ("", "")

    @property
    def is_until_today(self) -> bool:
        return self.span.last == self.today

    @property
    def query(self) -> dict[str, str]:
        days = {"from": f"{self.span.start}", "to": f"{self.span.last}"}
        own = days if self.name == OWN else {}
        return {"range": self.name, **own, "every": self.every, "by": self.split}

    @property
    def written_query(self) -> str:
        return urlencode(self.query)

    @property
    def first(self) -> str:
        return self.typed[0] or f"{self.span.start}"

    @property
    def last(self) -> str:
        return self.typed[1] or f"{self.span.last}"

    @property
    def ranges(self) -> list[Choice]:
        # Without `every`, which follows from how long the range is.
        return [
            Choice(label, urlencode({"range": name, "by": self.split}), name == self.name)
            for name, label in RANGES.items()
        ]

    @property
    def splits(self) -> list[Choice]:
        return [self._choice("by", split, split == self.split) for split in SPLITS]

    @property
    def everys(self) -> list[Choice]:
        offered = [each for each in EVERY if each != "day" or self.span.days <= BARS_MAX]
        return [self._choice("every", each, each == self.every) for each in offered]

    def _choice(self, name: str, value: str, is_chosen: bool) -> Choice:
        return Choice(value.capitalize(), urlencode({**self.query, name: value}), is_chosen)


def shown(asked: QueryDict, now: datetime) -> Shown:
    """What a request asks for; what it does not say, or says wrongly, is as usual."""
    today = now.astimezone(UTC).date()
    name, wrong, typed = asked.get("range", DEFAULT), "", ("", "")
    if name == OWN:
        typed = asked.get("from", "").strip(), asked.get("to", "").strip()
        try:
            span = _own(*typed, today)
        except ValueError:
            name, span, wrong = DEFAULT, _named(DEFAULT, today), WRONG
    else:
        name = name if name in RANGES else DEFAULT
        span = _named(name, today)
    every = asked.get("every", "")
    if every not in EVERY or (every == "day" and span.days > BARS_MAX):
        every = "day" if span.days <= BARS_MAX else "week"
    split = asked.get("by", "")
    return Shown(
        name, span, cast(Every, every), split if split in SPLITS else "voice", today, wrong, typed
    )


def _named(name: str, today: date) -> Span:
    tomorrow, month = today + timedelta(days=1), first_of(today, "month")
    if name == "month":
        return Span(month, tomorrow)
    if name == "last":
        return Span(first_of(month - timedelta(days=1), "month"), month)
    return Span(tomorrow - timedelta(days=int(name)), tomorrow)


def _own(first: str, last: str, today: date) -> Span:
    """Raises ValueError."""
    begins, ends = date.fromisoformat(first), date.fromisoformat(last)
    if ends > today or begins.year < 2000:
        raise WrongDays(WRONG)
    return Span(begins, ends + timedelta(days=1)).checked()
