"""One customer's wallet beside Metronome and beside the payments: what differs, since when, and why if that is known.

The comparison is `drift.compare`, so usage on its way is no difference. What mends one is in `billing.repair`, the page of
it in `billing.admin.reconcile`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Sum

from billing import ledger, metronome, plans
from billing.models import Contract, CreditGrant, Drift, Payment, Recharge, Wallet

from .drift import ADJUST_CREDITS_MAX, compare, overdue
from .grants import news

UNPAID_SECONDS = 600  # a recharge younger than this may only not be tied to its payment yet
ABOUT_A_MINUTE = "a difference is mended when the same one has stood for a minute: look again then"


@dataclass(frozen=True, slots=True)
class Pair:
    """A grant beside its segment at Metronome, of `there` credits; either may be missing."""

    name: str
    ends_at: datetime
    here: CreditGrant | None
    there: Decimal | None
    is_mirrored: bool


@dataclass(frozen=True, slots=True)
class Account:
    """`metronome` is None where there is no contract to ask about, or numbers are just moving (`is_moving`).

    `unsettled`: credits of usage that Metronome has not acknowledged; `settling`: acknowledged less than a minute ago.
    """

    balance: int
    unsettled: int
    settling: int
    metronome: int | None
    difference: int
    since: datetime | None
    paid_cents: int
    is_moving: bool
    causes: tuple[str, ...]
    pairs: tuple[Pair, ...]

    @property
    def agrees(self) -> bool:
        return not (self.difference or self.causes or self.is_moving)

    def __str__(self) -> str:
        there = "no contract" if self.metronome is None else f"{self.metronome:,}"
        parts = [f"wallet {self.balance:,}, Metronome {'moving' if self.is_moving else there}"]
        if self.difference:
            parts.append(
                f"difference {self.difference:+,}" + (f" since {self.since:%Y-%m-%d %H:%M}" if self.since else "")
            )
        parts.append(f"paid ${self.paid_cents / 100:,.2f}")
        return "; ".join([*parts, *self.causes])


def look(wallet: Wallet, *, now: datetime) -> Account:
    """Compare; changes nothing. Calls Metronome."""
    causes = _payment_causes(wallet, now)
    contract = Contract.objects.filter(customer_id=wallet.customer_id).exclude(metronome_id=None).first()
    comparison = None
    commits: list[metronome.Commit] = []
    unmirrored: list[ledger.Segment] = []
    if contract is None:
        if wallet.balance:
            causes.append("credits without a contract at Metronome: backfill_customers, then backfill_contracts")
    else:
        commits = metronome.commits(customer_id=contract.customer.metronome_id or "")
        unmirrored = news(wallet.pk, commits, now=now)
        causes += [
            f"“{segment.name}” of {segment.amount:,} credits is not mirrored as it is at Metronome"
            for segment in unmirrored
        ]
        comparison = compare(contract, now=now, commits=commits)
    if late := overdue(wallet.pk, now=now):
        causes.append(f"{late:,} credits of usage have not reached Metronome in an hour: see the usage events")
    drift = Drift.objects.filter(wallet=wallet, state=Drift.State.OPEN).first()
    if comparison and comparison.difference and not causes:
        causes.append(_drift_cause(drift))
    unsettled, settling = ledger.in_flight(wallet_id=wallet.pk, now=now)
    return Account(
        balance=Wallet.objects.values_list("balance", flat=True).get(pk=wallet.pk),
        unsettled=unsettled,
        settling=settling,
        metronome=int(comparison.remote) if comparison else None,
        difference=comparison.difference if comparison else 0,
        since=drift.first_seen_at if drift else None,
        paid_cents=paid_cents(wallet),
        is_moving=contract is not None and comparison is None,
        causes=tuple(causes),
        pairs=_pairs(wallet, commits, {segment.segment_id for segment in unmirrored}),
    )


def paid_cents(wallet: Wallet) -> int:
    granted = Payment.objects.filter(customer_id=wallet.customer_id, grant__isnull=False)
    return granted.aggregate(cents=Sum("amount_cents", default=0))["cents"]


def _pairs(wallet: Wallet, commits: Iterable[metronome.Commit], news: set[str]) -> tuple[Pair, ...]:
    """All grants and segments, the latest first."""
    here = {grant.segment_id: grant for grant in wallet.grants.select_related("payment")}
    pairs = []
    for commit in commits:
        for segment in commit.segments:
            amount = Decimal(0) if commit.archived else segment.amount
            grant = here.pop(segment.id, None)
            pairs.append(Pair(commit.name, segment.ends_at, grant, amount, is_mirrored=segment.id not in news))
    pairs += [Pair(grant.name, grant.ends_at, grant, None, is_mirrored=not grant.remaining) for grant in here.values()]
    return tuple(sorted(pairs, key=lambda pair: pair.ends_at, reverse=True))


def _payment_causes(wallet: Wallet, now: datetime) -> list[str]:
    causes = []
    for payment in Payment.objects.open().filter(customer_id=wallet.customer_id).order_by("created_at"):
        if payment.dead_at:
            causes.append(f"payment {payment.pk} of {payment.amount_dollars} was given up: {payment.last_error}")
        elif payment.state == Payment.State.CHARGED:
            causes.append(f"payment {payment.pk} of {payment.amount_dollars} is charged and not granted yet")
    for recharge in Recharge.objects.open().dead().filter(customer_id=wallet.customer_id):
        causes.append(f"recharge {recharge.pk} of {recharge.amount_dollars} was given up: {recharge.last_error}")
    recharged = CreditGrant.objects.filter(wallet=wallet, kind=CreditGrant.Kind.COMMIT, name=plans.RECHARGE_COMMIT_NAME)
    for grant in recharged.filter(payment=None, created_at__lt=now - timedelta(seconds=UNPAID_SECONDS)):
        causes.append(f"“{grant.name}” of {grant.granted:,} credits came without a payment here")
    return causes


def _drift_cause(drift: Drift | None) -> str:
    if drift is None:
        return "seen for the first time"
    if abs(drift.difference) > ADJUST_CREDITS_MAX and drift.approved_by_id is None:
        return "cause unknown, and too much to adjust before a person agrees"
    return ABOUT_A_MINUTE
