"""How long a customer's credits last at the rate of the last two weeks, in words.

Said only where there is enough to reckon with, and without credits that are not there yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from accounts.models import Customer
from billing import ledger
from billing.models import AutoRecharge, Wallet
from billing.subscriptions import status

from . import statistics

DAYS = 14  # full ones, before today
DAYS_OLD_MIN, DAYS_USED_MIN = 7, 3
AHEAD_DAYS_MAX = 366
TOO_LITTLE = (
    f"Too little was spoken yet to say how long your credits last: that takes {DAYS_OLD_MIN} days "
    f"of which {DAYS_USED_MIN} have speech."
)
NOTHING = f"Nothing was spoken in the last {DAYS} days, so nothing says how long your credits last."


@dataclass(frozen=True, slots=True)
class Forecast:
    """`sentences` always say something. The rest is empty where nothing can be foretold."""

    sentences: tuple[str, ...]
    credits_a_day: int = 0
    left: tuple[int, ...] = ()  # after each 24 hours from now


def made(customer: Customer, wallet: Wallet | None, now: datetime) -> Forecast:
    today = now.astimezone(UTC).date()
    begun = statistics.first_day(customer)
    if begun is None or (today - begun).days < DAYS_OLD_MIN:
        return Forecast((TOO_LITTLE,))
    span = statistics.Span(max(today - timedelta(days=DAYS), begun), today)
    used = statistics.speech_by_day(customer, span)
    if not used:
        return Forecast((NOTHING,))
    credits_a_day = used.total() // span.days
    if len(used) < DAYS_USED_MIN or not credits_a_day or wallet is None:
        return Forecast((TOO_LITTLE,))
    outlook = ledger.outlook(
        wallet_id=wallet.pk, credits_a_day=credits_a_day, now=now, days=AHEAD_DAYS_MAX
    )
    return Forecast(
        (
            _until(credits_a_day, span.days, outlook),
            *_unused(outlook),
            *_recharge(customer, outlook, today),
            *_plan(customer, now),
        ),
        credits_a_day,
        outlook.left,
    )


def _until(credits_a_day: int, days: int, outlook: ledger.Outlook) -> str:
    rate = f"At {credits_a_day:,} credits a day, as in the last {days} days,"
    if not outlook.left:
        return f"{rate} you would need credits now: there are none."
    if outlook.empty_at is None:
        return f"{rate} your credits last for more than a year."
    return f"{rate} your credits last until {_day(outlook.empty_at)}."


def _unused(outlook: ledger.Outlook) -> list[str]:
    if not outlook.unused:
        return []
    at, credits = outlook.unused[0]
    return [f"{credits:,} of them end unused on {_day(at)}."]


def _recharge(customer: Customer, outlook: ledger.Outlook, today: date) -> list[str]:
    row = AutoRecharge.objects.filter(customer=customer, enabled=True, paused_until_at=None).first()
    if row is None or row.failure:
        return []
    low = (n for n, left in enumerate(outlook.left, 1) if left <= row.threshold_credits)
    day = next(low, None)
    if day is None:
        return []
    return [
        f"Auto-recharge fills up to {row.recharge_to_credits:,} when {row.threshold_credits:,} are "
        f"left, about {_day(today + timedelta(days=day))}."
    ]


def _plan(customer: Customer, now: datetime) -> list[str]:
    plan = status.shown(customer, now)
    if plan is None or plan.state not in ("active", "changing") or plan.until is None:
        return []
    following = plan.next_plan or plan.plan
    if plan.plan.once or plan.until <= now:
        return []
    return [f"Your {following.name} plan brings {following.credits:,} on {_day(plan.until)}."]


def _day(at: date) -> str:
    return f"{at.day} {at:%B %Y}"
