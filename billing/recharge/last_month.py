"""What settings would have charged last month, replayed from what was really spent.

The time this takes does not grow with the number of captures. Only the other entries are read (an
index finds them): between two of them the balance only fell, so their balances say by how much.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from billing import plans
from billing.ledger import sql
from billing.models import LedgerEntry, Wallet

from . import limits

ENTRIES_MAX = 5_000  # of grants and expiries; far more than a month has
# Only versions have an index, so the last version before a moment is found bit by bit, the highest
# first: a bit is kept if the last entry up to that version is from before the moment.
BALANCE_BEFORE = """
WITH RECURSIVE bits(version, step) AS (
    SELECT CAST(0 AS bigint), CAST(%s AS bigint)
    UNION ALL
    SELECT version + CASE WHEN (
               SELECT e.created_at FROM billing_ledgerentry e
                WHERE e.wallet_id = %s AND e.version <= bits.version + step
                ORDER BY e.version DESC LIMIT 1) >= %s THEN 0 ELSE step END,
           step / 2
      FROM bits WHERE step > 0)
SELECT balance_after FROM billing_ledgerentry
 WHERE wallet_id = %s AND version <= (SELECT version FROM bits WHERE step = 0)
 ORDER BY version DESC LIMIT 1"""


@dataclass(frozen=True, slots=True)
class LastMonth:
    begins_at: datetime
    spent_credits: int
    recharges: int
    cents: int
    is_limited: bool  # the limit ended it before the month did


@dataclass(slots=True)
class _Replay:
    """A balance that is recharged whenever spending brings it to the threshold."""

    balance: int
    threshold: int
    recharge_to: int
    limit_cents: int | None  # None: three recharges
    recharges: int = 0
    cents: int = 0
    is_limited: bool = False

    def spend(self, credits: int) -> None:
        while credits > 0 and not self.is_limited:
            until_low = max(self.balance - self.threshold, 0)
            if credits < until_low:
                break
            self.balance -= until_low
            credits -= until_low
            self._recharge()
        self.balance = max(self.balance - credits, 0)

    def _recharge(self) -> None:
        cents = plans.cents_of(self.recharge_to - self.balance)
        if self.limit_cents is None:
            self.is_limited = self.recharges >= plans.RECHARGE_LIMIT_RECHARGES
        else:
            self.is_limited = self.cents + cents > self.limit_cents
        if self.is_limited:
            return
        self.balance = self.recharge_to
        self.cents += cents
        self.recharges += 1


def replay(
    *,
    customer_id: UUID,
    threshold_credits: int,
    recharge_to_credits: int,
    limit_cents: int | None,
    now: datetime,
) -> LastMonth | None:
    """What these settings would have charged in the calendar month (UTC) before `now`.

    Without `limit_cents` the limit is three recharges. None for a customer who had nothing yet.
    Credits of real recharges are left out, since those of the settings stand in their place.
    """
    until_at, _ = limits.month_of(now)
    begins_at, _ = limits.month_of(until_at - timedelta(days=1))
    wallet = Wallet.objects.filter(customer_id=customer_id).first()
    if wallet is None:
        return None
    ended_with = _balance_before(wallet, until_at)
    if ended_with is None:
        return None
    began_with = _balance_before(wallet, begins_at) or 0
    balance = _Replay(began_with, threshold_credits, recharge_to_credits, limit_cents)
    spent = 0
    for fell, added in _changes(wallet, began_with, ended_with, begins_at, until_at):
        spent += fell
        balance.spend(fell)
        balance.balance = max(balance.balance + added, 0)
    return LastMonth(begins_at, spent, balance.recharges, balance.cents, balance.is_limited)


def _changes(
    wallet: Wallet, began_with: int, ended_with: int, begins_at: datetime, until_at: datetime
) -> Iterator[tuple[int, int]]:
    """Credits that were spent, and then added or taken by something else, in order."""
    others = LedgerEntry.objects.filter(
        wallet_id=wallet.pk, created_at__gte=begins_at, created_at__lt=until_at
    ).exclude(kind=LedgerEntry.Kind.CAPTURE)
    fields = ("kind", "amount", "balance_after", "grant__name")
    left = began_with
    for kind, amount, balance_after, name in others.order_by("version").values_list(*fields)[
        :ENTRIES_MAX
    ]:
        is_recharge = kind == LedgerEntry.Kind.GRANT and name == plans.RECHARGE_COMMIT_NAME
        yield max(left - (balance_after - amount), 0), 0 if is_recharge else amount
        left = balance_after
    yield max(left - ended_with, 0), 0


def _balance_before(wallet: Wallet, at: datetime) -> int | None:
    """The balance after the last entry before a moment, None if there was none yet."""
    first_step = 1 << wallet.version.bit_length()
    found = sql.one(BALANCE_BEFORE, [first_step, wallet.pk, sql.at(at), wallet.pk])
    return found[0] if found else None
