"""How much recharges may charge: a limit for each calendar month, and two charges in ten minutes.

What counts is what is charged, with tax. Months are calendar months in UTC. A customer has one open
recharge at most, and `flow` asks here before it requests the payment, under the lock of the
customer's settings. So what is charged in a month is never more than the limit that was in force
when it was requested.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db.models import Count, Sum

from billing import plans
from billing.models import AutoRecharge, Contract, Payment, Recharge
from billing.payments import tax
from notifications import banners, emit

CHARGES_MAX, CHARGES_SECONDS = 2, 600
NEAR_PERCENT = 80


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month of one customer: what recharges have charged in it, and its limit."""

    begins_at: datetime
    resets_at: datetime
    charged_cents: int
    limit_cents: int
    # The most that one recharge costs, if the limit is that of three; None for the customer's own.
    once_cents: int | None = None

    def allows(self, amount_cents: int) -> bool:
        return self.charged_cents + amount_cents <= self.limit_cents

    def after(self, amount_cents: int) -> Month:
        """The month once another recharge of this amount is charged, as one of the three."""
        unused = 0 if self.once_cents is None else self.once_cents - amount_cents
        return replace(
            self,
            charged_cents=self.charged_cents + amount_cents,
            limit_cents=self.limit_cents - unused,
        )

    @property
    def percent(self) -> int:
        """How much of the limit is used."""
        return min(100, 100 * self.charged_cents // self.limit_cents) if self.limit_cents else 100


def month_of(now: datetime) -> tuple[datetime, datetime]:
    """The begin of the calendar month (UTC) and of the next one."""
    begins_at = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return begins_at, (begins_at + timedelta(days=32)).replace(day=1)


def this_month(customer_id: UUID, settings: AutoRecharge | None, now: datetime) -> Month:
    """The customer's month that `now` is in, with the limit in force.

    Without settings somebody set the recharge up at Metronome, whose numbers count then.
    """
    if settings:
        own_cents, recharge_to = settings.limit_cents, settings.recharge_to_credits
    else:
        contract = Contract.objects.filter(customer_id=customer_id).first()
        own_cents, recharge_to = None, (contract and contract.recharge_to_credits) or 0
    return month_with(
        customer_id,
        now,
        limit_cents=own_cents,
        recharge_to_credits=recharge_to or plans.RECHARGE_TO_CREDITS_DEFAULT,
    )


def month_with(
    customer_id: UUID, now: datetime, *, limit_cents: int | None, recharge_to_credits: int
) -> Month:
    """The same, as if these were the settings.

    Without `limit_cents` the limit is three recharges: what those of the month have charged, and
    the most that the others of the three may cost. So there are always three, and never a fourth.
    """
    begins_at, resets_at = month_of(now)
    charged_cents, recharges = _charged(customer_id, begins_at)
    if limit_cents is not None:
        return Month(begins_at, resets_at, charged_cents, limit_cents)
    once_cents = tax.with_tax(customer_id, plans.cents_of(recharge_to_credits))
    left = max(plans.RECHARGE_LIMIT_RECHARGES - recharges, 0)
    return Month(begins_at, resets_at, charged_cents, charged_cents + left * once_cents, once_cents)


def next_charge_at(customer_id: UUID, now: datetime) -> datetime:
    """When another recharge may be charged: `now`, unless there were two in the last ten minutes.

    Counted from the moment we learned of a charge, which is no earlier than the charge itself.
    """
    charged = Recharge.objects.filter(customer_id=customer_id, charged_at__isnull=False)
    latest = charged.order_by("-created_at").values_list("charged_at", flat=True)[:CHARGES_MAX]
    moments = [moment for moment in latest if moment]
    if len(moments) < CHARGES_MAX:
        return now
    return max(now, moments[-1] + timedelta(seconds=CHARGES_SECONDS))


def emit_used(recharge: Recharge, now: datetime) -> None:
    """Tell that a recharge has used up 80 or 100 % of the month's limit, whichever is higher.

    Each is told once for a month and a limit.
    """
    if recharge.limit_cents is None or recharge.month_cents is None:
        return
    if recharge.month_cents >= recharge.limit_cents:
        emit_limit(recharge, "recharge.limit_reached", now)
    elif 100 * recharge.month_cents >= NEAR_PERCENT * recharge.limit_cents:
        refused = Recharge.objects.filter(
            customer_id=recharge.customer_id,
            refusal=Recharge.Refusal.LIMIT,
            limit_cents=recharge.limit_cents,
            resets_at=recharge.resets_at,
        )
        if not refused.exists():  # then it was told as reached
            emit_limit(recharge, "recharge.limit_near", now)


def emit_limit(recharge: Recharge, kind: str, now: datetime) -> None:
    """Tell that the month's limit is nearly or wholly used up."""
    if recharge.resets_at is None:
        raise ValueError(f"recharge {recharge.pk} was never compared with a limit")
    data = {
        "limit_cents": recharge.limit_cents,
        "month_cents": recharge.month_cents,
        "resets_at": recharge.resets_at.isoformat(),
    }
    key = f"{recharge.resets_at:%Y-%m-%d}-{recharge.limit_cents}"
    emit(recharge.customer_id, kind, key, data, now)


def take_down_told(customer_id: UUID, now: datetime) -> None:
    """Show no longer what was told of a limit that is not in force any more."""
    for kind in ("recharge.limit_near", "recharge.limit_reached"):
        banners.take_down(customer_id, kind, "", now)


def _charged(customer_id: UUID, begins_at: datetime) -> tuple[int, int]:
    """What recharges have charged since `begins_at`, or may still charge: cents, and how many.

    A payment counts where it was requested and where it was charged, which may be two months: never
    too little. Of those requested before, only that of the last recharge can have been open then.
    """
    mine = Payment.objects.filter(customer_id=customer_id, kind=Payment.Kind.RECHARGE)
    counted = mine.exclude(state=Payment.State.FAILED)
    found = counted.filter(created_at__gte=begins_at).aggregate(
        cents=Sum("amount_cents", default=0), recharges=Count("*")
    )
    earlier = Recharge.objects.filter(customer_id=customer_id, created_at__lt=begins_at)
    last = earlier.order_by("-created_at").select_related("payment").first()
    payment = last.payment if last and last.charged_at and last.charged_at >= begins_at else None
    if payment and payment.created_at < begins_at and payment.state != Payment.State.FAILED:
        return found["cents"] + payment.amount_cents, found["recharges"] + 1
    return found["cents"], found["recharges"]
