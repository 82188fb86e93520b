"""Calendar arithmetic: billing periods, recurrences, durations."""

import re
from calendar import monthrange
from datetime import datetime, timedelta

MONTHS = {"MONTHLY": 1, "QUARTERLY": 3, "ANNUAL": 12}
DAYS = {"DAILY": 1, "WEEKLY": 7}

_DURATION = re.compile(
    r"([+-])?P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?",
    re.ASCII,
)


def add_months(moment: datetime, months: int) -> datetime:
    """The same day of a later month, or its last day if it is shorter."""
    index = moment.year * 12 + moment.month - 1 + months
    year, month = divmod(index, 12)
    return moment.replace(
        year=year, month=month + 1, day=min(moment.day, monthrange(year, month + 1)[1])
    )


def step(anchor: datetime, frequency: str, count: int) -> datetime:
    """The start of the count-th period after the anchor.
    Counted from the anchor, so the 31st survives February."""
    if frequency in MONTHS:
        return add_months(anchor, MONTHS[frequency] * count)
    return anchor + timedelta(days=DAYS[frequency] * count)


def index_of(anchor: datetime, frequency: str, moment: datetime) -> int:
    """Which period from the anchor holds the moment."""
    if frequency in MONTHS:
        months = (moment.year - anchor.year) * 12 + moment.month - anchor.month
        count = months // MONTHS[frequency]
    else:
        count = (moment - anchor) // timedelta(days=DAYS[frequency])
    while step(anchor, frequency, count) > moment:
        count -= 1
    while step(anchor, frequency, count + 1) <= moment:
        count += 1
    return count


def period_of(anchor: datetime, frequency: str, moment: datetime) -> tuple[datetime, datetime]:
    count = index_of(anchor, frequency, moment)
    return step(anchor, frequency, count), step(anchor, frequency, count + 1)


def add_duration(moment: datetime, unit: str, value: int) -> datetime:
    if unit in ("DAYS", "WEEKS"):
        return moment + timedelta(days=value * (7 if unit == "WEEKS" else 1))
    return add_months(moment, value * (12 if unit == "YEARS" else 1))


def add_offset(moment: datetime, offset: str) -> datetime:
    """A signed ISO 8601 duration such as -P3D or PT2H added to a moment. Raises ValueError."""
    match = _DURATION.fullmatch(offset)
    if match is None or not any(match.groups()[1:]) or offset.endswith("T"):
        raise ValueError(f"{offset!r} is not an ISO 8601 duration")
    sign = -1 if match[1] == "-" else 1
    years, months, weeks, days, hours, minutes, seconds = (
        int(part or 0) for part in match.groups()[1:]
    )
    try:
        shifted = add_months(moment, sign * (years * 12 + months))
        return shifted + sign * timedelta(
            weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds
        )
    except OverflowError:
        raise ValueError(f"{offset!r} is too long") from None


def floor_hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
