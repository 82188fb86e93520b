"""What an API key may spend: a second gate, in the transaction of the reservation.

Each change is one conditional UPDATE of the key's row, so requests in parallel spend no more than
the limit. A period begins at midnight UTC; the first change after it begins the new one. What was
held over midnight counts in the period in which it is captured.

Transactions that need it lock a wallet's grants first, then the budget, then the wallet's row.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Sum

from billing.models import KeyBudget, Reservation

from . import sql

NEVER = datetime(1970, 1, 1, tzinfo=UTC)  # the start of a period that has no other
Period = KeyBudget.Period

READ = """
SELECT limit_credits, period, period_start_at, spent, held FROM billing_keybudget
 WHERE api_key_id = %s"""
SPENT_NOW = "CASE WHEN period_start_at < %s THEN 0 ELSE spent END"
BEGIN_PERIOD = "period_start_at = CASE WHEN period_start_at < %s THEN %s ELSE period_start_at END"
HOLD = f"""
UPDATE billing_keybudget SET held = held + %s, spent = {SPENT_NOW}, {BEGIN_PERIOD}
 WHERE api_key_id = %s AND period = %s
   AND (limit_credits IS NULL OR {SPENT_NOW} + held + %s <= limit_credits)"""
SETTLE = f"""
UPDATE billing_keybudget SET held = held - %s, spent = {SPENT_NOW} + %s, {BEGIN_PERIOD}
 WHERE api_key_id = %s AND period = %s"""


class BudgetExceeded(Exception):
    """The key's budget has fewer than `needed` credits left. Nothing was changed."""

    def __init__(self, api_key_id: UUID, budget: Budget, needed: int) -> None:
        assert budget.limit is not None and budget.remaining is not None
        super().__init__(
            f"{needed:,} credits needed, {budget.remaining:,} of this key's budget of "
            f"{budget.limit:,} are left"
        )
        self.api_key_id, self.budget, self.needed = api_key_id, budget, needed
        self.limit, self.remaining = budget.limit, budget.remaining


@dataclass(frozen=True, slots=True)
class Budget:
    """A key's budget at one moment, in credits. Without a limit `limit` and `remaining` are None.

    `resets_at` is None if it never begins anew.
    """

    limit: int | None
    period: str
    spent: int
    held: int
    resets_at: datetime | None

    @property
    def remaining(self) -> int | None:
        return None if self.limit is None else max(0, self.limit - self.spent - self.held)


def period_start(period: str, now: datetime) -> datetime:
    """When the period that `now` is in began."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    match period:
        case Period.DAY:
            return midnight
        case Period.WEEK:
            return midnight - timedelta(days=midnight.weekday())
        case Period.MONTH:
            return midnight.replace(day=1)
    return NEVER


def period_end(period: str, now: datetime) -> datetime | None:
    """When it ends; None if it never does."""
    start = period_start(period, now)
    match period:
        case Period.DAY:
            return start + timedelta(days=1)
        case Period.WEEK:
            return start + timedelta(days=7)
        case Period.MONTH:
            return (start + timedelta(days=31)).replace(day=1)
    return None


def budget(api_key_id: UUID, now: datetime) -> Budget:
    """The key's budget now. Raises KeyBudget.DoesNotExist."""
    limit, period, start, spent, held = _read(api_key_id)
    return _at(limit, period, start, spent, held, now)


def budgets(api_key_ids: list[UUID], now: datetime) -> dict[UUID, Budget]:
    """The budgets of many keys, by one query."""
    names = ("api_key_id", "limit_credits", "period", "period_start_at", "spent", "held")
    rows = KeyBudget.objects.filter(pk__in=api_key_ids).values_list(*names)
    return {row[0]: _at(row[1], row[2], row[3], row[4], row[5], now) for row in rows}


def of_row(row: KeyBudget, now: datetime) -> Budget:
    """The budget of a row that was read before."""
    start, spent, held = row.period_start_at, row.spent, row.held
    return _at(row.limit_credits, row.period, start, spent, held, now)


def set_budget(api_key_id: UUID, *, limit: int | None, period: str, now: datetime) -> None:
    """Say how much a key may spend (None: no limit), and how often that begins anew.

    What it has spent in the current period stays counted. Raises ValueError for a limit below 0 or
    an unknown period.
    """
    if (limit is not None and limit < 0) or period not in Period.values:
        raise ValueError(f"no budget: {limit!r}, {period!r}")
    start = period_start(period, now)
    with transaction.atomic():
        rows = KeyBudget.objects.select_for_update()
        found = rows.filter(pk=api_key_id).first() or KeyBudget(pk=api_key_id)
        # A capture that is not committed yet adds itself once we have released the row.
        captured = Reservation.objects.filter(
            api_key=api_key_id, state=Reservation.State.CAPTURED, resolved_at__gte=start
        )
        found.limit_credits, found.period, found.period_start_at = limit, period, start
        found.spent = captured.aggregate(sum=Sum("captured"))["sum"] or 0
        found.save()


def hold(api_key_id: UUID, amount: int, now: datetime) -> None:
    """Count `amount` as held. Raises BudgetExceeded; then the caller's transaction must end."""
    while True:
        limit, period, start_at, spent, held = _read(api_key_id)
        found = _at(limit, period, start_at, spent, held, now)
        if found.remaining is not None and found.remaining < amount:
            raise BudgetExceeded(api_key_id, found, amount)
        start = sql.at(period_start(period, now))
        with connection.cursor() as cursor:
            cursor.execute(
                HOLD,
                [amount, start, start, start, sql.key(api_key_id), period, start, amount],
            )
            if cursor.rowcount:
                return
        # Others were faster, or its period was changed: look again.


def settle(api_key_id: UUID, *, held: int, captured: int, now: datetime) -> None:
    """Count `held` as held no longer, and `captured` of it as spent."""
    is_done = False
    while not is_done:
        period = _read(api_key_id)[1]
        start = sql.at(period_start(period, now))
        with connection.cursor() as cursor:
            cursor.execute(
                SETTLE, [held, start, captured, start, start, sql.key(api_key_id), period]
            )
            is_done = bool(cursor.rowcount)


def _read(api_key_id: UUID) -> tuple[int | None, str, datetime, int, int]:
    row = sql.one(READ, [sql.key(api_key_id)])
    if row is None:
        raise KeyBudget.DoesNotExist(f"API key {api_key_id} has no budget")
    limit, period, start, spent, held = row
    return limit, period, sql.aware(start), spent, held


def _at(
    limit: int | None, period: str, start: datetime, spent: int, held: int, now: datetime
) -> Budget:
    is_over = start < period_start(period, now)
    return Budget(limit, period, 0 if is_over else spent, held, period_end(period, now))
