"""One customer's wallet compared with Metronome and with their payments, for operators.

Shows the difference, since when it exists, and its causes where they are known. Balances are
compared by `drift.compare`, so usage in flight is no difference. `billing.repair` corrects
differences; the page is `billing.admin.reconcile`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Sum

from billing import ledger, metronome, plans
from billing.models import (
    Contract,
    CreditGrant,
    Drift,
    Payment,
    Purchase,
    Recharge,
    Refund,
    Wallet,
)

from .drift import ADJUST_CREDITS_MAX, compare, overdue
from .grants import unmirrored_segments

# A recharge younger than this may be missing its payment only because the two are not linked yet.
UNPAID_SECONDS = 600
ABOUT_A_MINUTE = (
    "a difference is adjusted once it has stayed the same for a minute: check again then"
)


@dataclass(frozen=True, slots=True)
class Pair:
    """A grant and its segment at Metronome. Either may be missing."""

    name: str
    ends_at: datetime
    grant: CreditGrant | None
    metronome_credits: Decimal | None  # left in the segment
    is_mirrored: bool


@dataclass(frozen=True, slots=True)
class Account:
    """A wallet beside Metronome, in credits.

    `metronome` is None if there is no contract, or the balances cannot be compared just now
    (`is_moving`). `unacknowledged` is usage that Metronome has not acknowledged,
    `recently_acknowledged` usage it acknowledged less than a minute ago.
    """

    balance: int
    unacknowledged: int
    recently_acknowledged: int
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
        remote = "no contract" if self.metronome is None else f"{self.metronome:,}"
        parts = [f"wallet {self.balance:,}, Metronome {'moving' if self.is_moving else remote}"]
        if self.difference:
            since = f" since {self.since:%Y-%m-%d %H:%M}" if self.since else ""
            parts.append(f"difference {self.difference:+,}{since}")
        parts.append(f"paid ${self.paid_cents / 100:,.2f}")
        return "; ".join([*parts, *self.causes])


def read_account(wallet: Wallet, *, now: datetime) -> Account:
    """Compare the wallet with Metronome, without changing anything. Calls Metronome."""
    causes = _payment_causes(wallet, now)
    contracts = Contract.objects.filter(customer_id=wallet.customer_id)
    contract = contracts.exclude(metronome_id=None).first()
    comparison = None
    commits: list[metronome.Commit] = []
    unmirrored: list[ledger.Segment] = []
    if contract is None:
        if wallet.balance:
            causes.append(
                "credits without a contract at Metronome: "
                "backfill_customers, then backfill_contracts"
            )
    else:
        commits = metronome.commits(customer_id=contract.customer.metronome_id or "")
        unmirrored = unmirrored_segments(wallet.pk, commits, now=now)
        causes += [
            f"“{segment.name}” of {segment.amount:,} credits is not mirrored as it is at Metronome"
            for segment in unmirrored
        ]
        comparison = compare(contract, now=now, commits=commits)
    if late := overdue(wallet.pk, now=now):
        causes.append(
            f"{late:,} credits of usage have not reached Metronome in an hour: see the usage events"
        )
    drift = Drift.objects.filter(wallet=wallet, state=Drift.State.OPEN).first()
    if comparison and comparison.difference and not causes:
        causes.append(_drift_cause(drift))
    unacknowledged, recent = ledger.in_flight(wallet_id=wallet.pk, now=now)
    return Account(
        balance=Wallet.objects.values_list("balance", flat=True).get(pk=wallet.pk),
        unacknowledged=unacknowledged,
        recently_acknowledged=recent,
        metronome=int(comparison.remote) if comparison else None,
        difference=comparison.difference if comparison else 0,
        since=drift.first_seen_at if drift else None,
        paid_cents=paid_cents(wallet),
        is_moving=contract is not None and comparison is None,
        causes=tuple(causes),
        pairs=_pairs(wallet, commits, {segment.segment_id for segment in unmirrored}),
    )


def paid_cents(wallet: Wallet) -> int:
    """What the customer has paid for granted credits and was not paid back, in cents."""
    granted = Payment.objects.filter(customer_id=wallet.customer_id, grant__isnull=False)
    back = Refund.objects.filter(
        customer_id=wallet.customer_id, grant__isnull=False, state=Refund.State.PAID_BACK
    )
    cents: int = granted.aggregate(cents=Sum("amount_cents", default=0))["cents"]
    cents -= back.aggregate(cents=Sum("amount_cents", default=0))["cents"]
    return cents


def _pairs(
    wallet: Wallet, commits: Iterable[metronome.Commit], unmirrored_ids: set[str]
) -> tuple[Pair, ...]:
    """All grants and segments, those that end last first."""
    here = {grant.segment_id: grant for grant in wallet.grants.select_related("payment")}
    pairs = []
    for commit in commits:
        for segment in commit.segments:
            amount = Decimal(0) if commit.archived else segment.amount
            grant = here.pop(segment.id, None)
            is_mirrored = segment.id not in unmirrored_ids
            pairs.append(Pair(commit.name, segment.ends_at, grant, amount, is_mirrored=is_mirrored))
    pairs += [
        Pair(grant.name, grant.ends_at, grant, None, is_mirrored=not grant.remaining)
        for grant in here.values()
    ]
    return tuple(sorted(pairs, key=lambda pair: pair.ends_at, reverse=True))


def _payment_causes(wallet: Wallet, now: datetime) -> list[str]:
    causes = []
    open_payments = Payment.objects.open().filter(customer_id=wallet.customer_id)
    for payment in open_payments.order_by("created_at"):
        label = f"payment {payment.pk} of {payment.amount_dollars}"
        if payment.dead_at:
            causes.append(f"{label} was given up: {payment.last_error}")
        elif payment.state == Payment.State.CHARGED:
            causes.append(f"{label} is charged and not granted yet")
    for recharge in Recharge.objects.open().dead().filter(customer_id=wallet.customer_id):
        label = f"recharge {recharge.pk} of {recharge.amount_dollars}"
        causes.append(f"{label} was given up: {recharge.last_error}")
    for purchase in Purchase.objects.open().dead().filter(customer_id=wallet.customer_id):
        label = f"top-up {purchase.pk} of {purchase.amount_dollars}"
        causes.append(f"{label} was given up: {purchase.last_error}")
    recharged = CreditGrant.objects.filter(
        wallet=wallet, kind=CreditGrant.Kind.COMMIT, name=plans.RECHARGE_COMMIT_NAME
    )
    linked_by = now - timedelta(seconds=UNPAID_SECONDS)
    for grant in recharged.filter(payment=None, created_at__lt=linked_by):
        causes.append(f"“{grant.name}” of {grant.granted:,} credits came without a payment here")
    return causes


def _drift_cause(drift: Drift | None) -> str:
    if drift is None:
        return "seen for the first time"
    if abs(drift.difference) > ADJUST_CREDITS_MAX and drift.approved_by_id is None:
        return "cause unknown, and too large to adjust without an operator's approval"
    return ABOUT_A_MINUTE
