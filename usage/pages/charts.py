"""Charts as the numbers of an SVG: what a browser without scripts sees. Templates write the markup.

Each is drawn twice, wide and narrow with fewer labels. Lengths are those of the viewBox.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

TOP, FOOT = 26.0, 26.0
STEPS = 4  # lines above the base
GAP = 1.3  # between the parts of a column
DIAMOND = "M{x:.1f} {y:.1f}l5.5 5.5-5.5 5.5-5.5-5.5z"


@dataclass(frozen=True, slots=True)
class Paper:
    """How large a drawing is, and how many labels fit below it."""

    width: int
    height: int
    left: int
    labels: int
    is_narrow: bool = False

    @property
    def right(self) -> float:
        return self.width - 8.0

    @property
    def base(self) -> float:
        return self.height - FOOT


WIDE, NARROW = Paper(1120, 270, 48, 12), Paper(360, 230, 40, 4, is_narrow=True)


class Label(NamedTuple):
    x: str
    y: str
    text: str


class Part(NamedTuple):
    """Of a column; `place` from 1 is its colour."""

    place: int
    y: str
    height: str


@dataclass(frozen=True, slots=True)
class Column:
    title: str
    x: str
    width: str
    parts: tuple[Part, ...]
    hit_x: str
    hit_width: str


class Mark(NamedTuple):
    """Something that happened at a moment. `kind`: once, plus or end."""

    kind: str
    path: str
    x: str
    y: str
    title: str
    label: Label | None


@dataclass(frozen=True, slots=True)
class Bars:
    paper: Paper
    lines: tuple[Label, ...]
    columns: tuple[Column, ...]
    labels: tuple[Label, ...]
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Line:
    paper: Paper
    lines: tuple[Label, ...]
    path: str
    area: str
    ahead: str  # what is expected, dashed
    now_x: str
    labels: tuple[Label, ...]
    marks: tuple[Mark, ...]


class Happened(NamedTuple):
    """A mark to be drawn, at a moment of the chart's axis."""

    at: datetime
    kind: str
    value: float
    title: str
    label: str


def scale(most: float) -> list[int]:
    """Numbers for the lines of an axis that reaches `most`, from 0 up, evenly spaced and round."""
    step = max(most, 4) / STEPS
    unit = 10 ** math.floor(math.log10(step))
    factor = next(each for each in (1, 2, 2.5, 5, 10) if each * unit >= step - 1e-9)
    step = max(1, math.ceil(factor * unit))
    return [step * number for number in range(STEPS + 1)]


def short(number: int) -> str:
    """“950”, “12.5k”, “3M”."""
    for size, letter in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return str(number)


def bars(
    paper: Paper,
    columns: Mapping[date, Sequence[int]],
    titles: Mapping[date, str],
    written: Mapping[date, str],
    once: Sequence[tuple[date, str, str]],
) -> Bars:
    """Stacked columns. `titles` say their numbers, `written` are the labels below them.

    `once`: what is marked above a column and belongs to none, as its first day, title and label.
    """
    ticks = scale(max(map(sum, columns.values()), default=0))
    y = _heights(paper, ticks)
    slot = (paper.right - paper.left) / max(len(columns), 1)
    width = min(slot * 0.72, 64)
    middles = {first: paper.left + slot * (number + 0.5) for number, first in enumerate(columns)}
    drawn = []
    for first, numbers in columns.items():
        parts, below = [], 0
        for place, number in enumerate(numbers, 1):
            if number:
                top, foot = y(below + number), y(below) - (GAP if below else 0)
                parts.append(Part(place, _n(top), _n(max(foot - top, 0.6))))
            below += number
        middle = middles[first]
        drawn.append(
            Column(
                titles[first],
                _n(middle - width / 2),
                _n(width),
                tuple(parts),
                _n(middle - slot / 2),
                _n(slot),
            )
        )
    every = math.ceil(len(columns) / paper.labels)
    labels = [
        Label(_n(middles[first]), _n(paper.height - 8), written[first])
        for number, first in enumerate(columns)
        if number % every == 0
    ]
    marks = _above(paper, [(middles[first], title, label) for first, title, label in once])
    return Bars(paper, _lines(paper, ticks), tuple(drawn), tuple(labels), marks)


def line(
    paper: Paper,
    points: Sequence[tuple[datetime, int]],
    ahead: Sequence[tuple[datetime, int]],
    happened: Sequence[Happened],
    days: Sequence[tuple[date, str]],
) -> Line:
    """A balance over time, and what is expected. `days` are labels of the axis."""
    begins, ends = points[0][0], (ahead or points)[-1][0]
    span = max((ends - begins) / timedelta(seconds=1), 1.0)
    ticks = scale(max(number for _, number in (*points, *ahead)))
    y = _heights(paper, ticks)

    def x(at: datetime) -> float:
        share = (at - begins) / timedelta(seconds=1) / span
        return paper.left + (paper.right - paper.left) * min(max(share, 0.0), 1.0)

    def path(some: Sequence[tuple[datetime, int]]) -> str:
        return "M" + "L".join(f"{_n(x(at))} {_n(y(number))}" for at, number in some)

    written = path(points)
    area = f"{written}V{_n(paper.base)}H{_n(x(begins))}z"
    every = math.ceil(len(days) / paper.labels)
    labels = [
        Label(_n(x(datetime(day.year, day.month, day.day, tzinfo=UTC))), _n(paper.height - 8), text)
        for number, (day, text) in enumerate(days)
        if number % every == every // 2
    ]
    return Line(
        paper,
        _lines(paper, ticks),
        written,
        area,
        path(ahead) if ahead else "",
        _n(x(points[-1][0])) if ahead else "",
        tuple(labels),
        _beside(paper, [(x(one.at), y(one.value), one) for one in happened]),
    )


def _heights(paper: Paper, ticks: Sequence[int]):  # type: ignore[no-untyped-def]
    def y(number: float) -> float:
        return paper.base - (paper.base - TOP) * max(number, 0) / ticks[-1]

    return y


def _lines(paper: Paper, ticks: Sequence[int]) -> tuple[Label, ...]:
    y = _heights(paper, ticks)
    return tuple(Label(_n(paper.left - 8.0), _n(y(tick)), short(tick)) for tick in ticks)


def _above(paper: Paper, found: Sequence[tuple[float, str, str]]) -> tuple[Mark, ...]:
    """Diamonds above the columns; a label where the one before leaves room."""
    marks, free = [], 0.0
    for x, title, text in sorted(found):
        label = None
        width = _width(text)
        if x > free and not paper.is_narrow:
            on_the_left = x + 10 + width > paper.right
            label = Label(_n(x - 10 - width if on_the_left else x + 10), "16", text)
            free = x + 22 + width
        marks.append(Mark("once", DIAMOND.format(x=x, y=6.0), _n(x), "6", title, label))
    return tuple(marks)


def _beside(paper: Paper, found: Sequence[tuple[float, float, Happened]]) -> tuple[Mark, ...]:
    """Circles and crosses on the line; labels where they cover no other, biggest first."""
    taken: list[tuple[float, float, float]] = []
    labels: dict[int, Label] = {}
    order = sorted(range(len(found)), key=lambda number: -abs(found[number][1] - paper.base))
    for number in order:
        x, y, one = found[number]
        width = _width(one.label)
        begins = x + 9 if x + 9 + width < paper.right else x - 9 - width
        height = max(y - 6, 14.0)
        is_free = all(
            begins + width < left or begins > right or abs(height - other) > 14
            for left, right, other in taken
        )
        if one.label and is_free and len(labels) < (3 if paper.is_narrow else 12):
            taken.append((begins, begins + width, height))
            labels[number] = Label(_n(begins), _n(height), one.label)
    marks = []
    for number, (x, y, one) in enumerate(found):
        path = "" if one.kind == "plus" else f"M{x - 5:.1f} {y - 5:.1f}l10 10m0-10l-10 10"
        marks.append(Mark(one.kind, path, _n(x), _n(y), one.title, labels.get(number)))
    return tuple(marks)


def _width(text: str) -> float:
    """About how wide a label of 12 px is."""
    return 6.6 * len(text)


def _n(number: float) -> str:
    return f"{number:.1f}"
