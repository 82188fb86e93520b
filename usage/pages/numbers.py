"""The charts of the usage page: credits by day and the balance, with the tables behind them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from accounts.models import Customer
from billing import ledger
from billing.models import LedgerEntry, Wallet
from usage import forecast, statistics
from usage.statistics import Every, Series, Span

from . import charts
from .charts import NARROW, WIDE
from .ranges import Shown

CHANGES_MAX = 500  # of a balance, on one page
AHEAD_SHARE = 4  # the forecast is as long as a quarter of the range, and a week at least
KINDS = {
    LedgerEntry.Kind.GRANT: "came",
    LedgerEntry.Kind.GRANT_CHANGE: "changed",
    LedgerEntry.Kind.EXPIRY: "expired",
    LedgerEntry.Kind.ADJUSTMENT: "adjusted",
}


class Row(NamedTuple):
    """Of the table behind the columns: credits of each part, by the first day of the row."""

    first: date
    title: str
    numbers: list[tuple[str, int]]
    once: int
    total: int


class ChangeRow(NamedTuple):
    at: datetime
    word: str
    name: str
    amount: int
    balance_after: int
    label: str

    @property
    def size(self) -> int:
        return abs(self.amount)


def context(customer: Customer, shown: Shown, now: datetime) -> dict[str, Any]:
    span = shown.span
    wallet = Wallet.objects.filter(customer=customer).first()
    names = statistics.Names(customer)
    expected = forecast.made(customer, wallet, now)
    whole, before = (statistics.whole(customer, each) for each in (span, span.before))
    change = _change(whole.credits, before.credits)
    parts = statistics.series(customer, span, shown.split, names)
    once = statistics.once(customer, span, names)
    found: dict[str, Any] = {
        "shown": shown,
        "whole": whole,
        "audio": _length(whole.audio_ms),
        "change": change,
        "change_size": abs(change or 0),
        "before": before,
        "once": once,
        "once_credits": sum(one.credits for one in once),
        "a_day": whole.credits // span.days,
        "parts": list(enumerate(parts, 1)),
        "forecast": expected,
    }
    if parts or once:
        found |= _columns(customer, shown, parts, once)
    if wallet:
        found |= _balance(customer, wallet, shown, expected, now)
    return found


def _change(credits: int, before: int) -> int | None:
    """In percent, None where there is nothing to compare with."""
    return round(100 * (credits - before) / before) if before else None


def _length(audio_ms: int) -> str:
    """“3 h 41 min”, “2 min 5 s”, “7 s”."""
    minutes, seconds = divmod(round(audio_ms / 1_000), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def _columns(
    customer: Customer, shown: Shown, parts: list[Series], once: list[statistics.Once]
) -> dict[str, Any]:
    found = statistics.buckets(customer, shown.span, shown.split, parts, shown.every)
    paid: Counter[date] = Counter()
    for one in once:
        paid[statistics.first_of(one.day, shown.every)] += one.credits
    titles = {first: title(first, shown.every, shown.span) for first in found}
    marks = [
        (
            statistics.first_of(one.day, shown.every),
            f"{one.day.day} {one.day:%b}: own voice {one.name}, once, {one.credits:,} credits",
            f"Own voice, once: {one.credits:,}",
        )
        for one in once
    ]
    said = {first: f"{titles[first]}: {sum(found[first]):,} credits" for first in found}
    written = _written(list(found), shown.every)
    names = [part.name for part in parts]
    rows = [
        Row(
            first,
            titles[first],
            list(zip(names, numbers, strict=True)),
            paid[first],
            sum(numbers) + paid[first],
        )
        for first, numbers in found.items()
    ]
    return {
        "bars": [charts.bars(paper, found, said, written, marks) for paper in (WIDE, NARROW)],
        "rows_behind": rows[::-1],
        "columns_label": (
            f"Credits by {shown.every} and {shown.split}, {_days(shown.span)}. "
            "The table below has every number."
        ),
    }


def _days(span: Span) -> str:
    return f"{span.start.day} {span.start:%B} to {span.last.day} {span.last:%B %Y}"


def _points_written(points: Sequence[tuple[datetime, int]]) -> str:
    """For the script: “seconds:credits” of each point."""
    return " ".join(f"{int(at.timestamp())}:{credits}" for at, credits in points)


def title(first: date, every: Every, span: Span) -> str:
    """What a column is of: “Sat 28 Nov 2026”, “23 to 29 Nov 2026”, “November 2026”."""
    if every == "day":
        return f"{first:%a} {first.day} {first:%b %Y}"
    last = statistics.after(first, every) - timedelta(days=1)
    if every == "month" and first >= span.start and last <= span.last:
        return f"{first:%B %Y}"
    begins, ends = max(first, span.start), min(last, span.last)
    if begins == ends:
        return f"{ends.day} {ends:%b %Y}"
    month = "" if begins.month == ends.month else f" {begins:%b}"
    return f"{begins.day}{month} to {ends.day} {ends:%b %Y}"


def _written(firsts: list[date], every: Every) -> dict[date, str]:
    """Labels of the axis: a month's name where it is another than on the label before."""
    if every == "month":
        return {first: f"{first:%b}" for first in firsts}
    return {first: f"{first.day} {first:%b}" for first in firsts}


# --- The balance ----------------------------------------------------------------------------------


def _balance(
    customer: Customer, wallet: Wallet, shown: Shown, expected: forecast.Forecast, now: datetime
) -> dict[str, Any]:
    begins = statistics.midnight(shown.span.start)
    changes = ledger.changes(wallet_id=wallet.pk, since=begins, limit=CHANGES_MAX + 1)
    if len(changes) > CHANGES_MAX:
        return {"too_many_changes": CHANGES_MAX}
    until_now = Span(shown.span.start, shown.today + timedelta(days=1))
    used = statistics.by_day(customer, until_now)
    ends = min(now, statistics.midnight(shown.span.end))
    points = _points(wallet.balance, changes, used, until_now, now)
    points = [point for point in points if point[0] <= ends] or points[:1]
    ahead = []
    if shown.is_until_today and expected.left:
        days = max(7, shown.span.days // AHEAD_SHARE)
        ahead = [(now, wallet.balance)]
        for number, left in enumerate(expected.left[:days], 1):
            ahead.append((now + timedelta(days=number), min(left, wallet.balance)))
    inside = [change for change in changes if change.at <= ends]
    if not inside and not any(number for _, number in points):
        return {}
    happened = [_happened(change) for change in reversed(inside)]
    last = (ahead or points)[-1][0].date()
    every_day = [
        shown.span.start + timedelta(days=n) for n in range(1, (last - begins.date()).days)
    ]
    labels = list(_written(every_day, "day").items())
    return {
        "lines": [charts.line(paper, points, ahead, happened, labels) for paper in (WIDE, NARROW)],
        "changes": [_row(change) for change in inside],
        "balance_from": points[0][1],
        "balance_to": points[-1][1],
        "balance_ahead": ahead,
        "points_written": _points_written(points),
        "ahead_written": _points_written(ahead),
        "balance_label": (
            f"Balance, {_days(shown.span)}: from {points[0][1]:,} to {points[-1][1]:,} credits"
            f"{', with a forecast' if ahead else ''}. The table below has every change."
        ),
    }


def _points(
    balance: int,
    changes: Sequence[ledger.Change],
    used: Counter[date],
    span: Span,
    now: datetime,
) -> list[tuple[datetime, int]]:
    """The balance from the range's begin until now: reckoned back from now's, day by day, by what
    was used and what came; exact where something came. Changes are newest first."""
    left = list(changes)
    found = [(now, balance)]
    for number in range(span.days):
        day = span.last - timedelta(days=number)
        day_at = statistics.midnight(day)
        came = 0
        while left and left[0].at >= day_at:
            change = left.pop(0)
            came += change.amount
            found += [
                (change.at, change.balance_after),
                (change.at, change.balance_after - change.amount),
            ]
        balance += used[day] - came
        found.append((day_at, max(balance, 0)))
    return found[::-1]


def _label(change: ledger.Change) -> str:
    """What stands beside its mark: “Top-up +40,000”, “812 expired”."""
    if change.amount < 0:
        return f"{-change.amount:,} {KINDS[LedgerEntry.Kind(change.kind)]}"
    return f"{change.name[:18]} +{change.amount:,}".lstrip()


def _happened(change: ledger.Change) -> charts.Happened:
    kind = "plus" if change.amount > 0 else "end"
    word = KINDS[LedgerEntry.Kind(change.kind)]
    at = f"{change.at.day} {change.at:%b, %H:%M} UTC"
    name = f" ({change.name})" if change.name else ""
    return charts.Happened(
        change.at,
        kind,
        max(change.balance_after, 0),
        f"{at}: {abs(change.amount):,} credits {word}{name}, balance {change.balance_after:,}",
        _label(change),
    )


def _row(change: ledger.Change) -> ChangeRow:
    word = KINDS[LedgerEntry.Kind(change.kind)].capitalize()
    return ChangeRow(
        change.at, word, change.name, change.amount, change.balance_after, _label(change)
    )
