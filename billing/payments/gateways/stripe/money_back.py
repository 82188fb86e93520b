"""Refunds, disputes, early fraud warnings and reviews, as they are at Stripe now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from billing.models import Dispute

from .client import call, client, pages, plain

State = Dispute.State
# https://docs.stripe.com/disputes/how-disputes-work. What is not below is judged by the money.
STATES = {
    "warning_needs_response": State.INQUIRY,
    "warning_under_review": State.INQUIRY,
    "warning_closed": State.CLOSED,
    "prevented": State.CLOSED,
    "needs_response": State.WITHDRAWN,
    "under_review": State.WITHDRAWN,
    "won": State.WON,
    "lost": State.LOST,
}


@dataclass(frozen=True, slots=True)
class FoundDispute:
    """A dispute as Stripe has it now."""

    state: Dispute.State
    status: str
    reason: str
    amount_cents: int
    evidence_due_at: datetime | None


@dataclass(frozen=True, slots=True)
class FoundRefund:
    """A refund of one charge. `is_ours`: this software asked for it."""

    reference: str
    amount_cents: int
    is_ours: bool
    is_refused: bool


def dispute(reference: str) -> FoundDispute:
    found = plain(call(lambda: client().v1.disputes.retrieve(reference)))
    moved = sum(line["amount"] for line in found.get("balance_transactions") or ())
    status = str(found["status"])
    due = (found.get("evidence_details") or {}).get("due_by")
    return FoundDispute(
        state=STATES.get(status, State.WITHDRAWN if moved < 0 else State.INQUIRY),
        status=status[:40],
        reason=str(found.get("reason") or "")[:60],
        amount_cents=int(found["amount"]),
        evidence_due_at=datetime.fromtimestamp(due, UTC) if due else None,
    )


def refunds_of(intent: str) -> list[FoundRefund]:
    """All refunds of the charge of this PaymentIntent."""
    return [
        FoundRefund(
            reference=str(one["id"]),
            amount_cents=int(one["amount"]),
            is_ours="vocalis_payment" in (one.get("metadata") or {}),
            is_refused=one["status"] in ("failed", "canceled"),
        )
        for one in pages(client().v1.refunds.list, payment_intent=intent)
    ]


def is_warning_actionable(reference: str) -> bool:
    """Whether the charge of this early fraud warning is neither refunded nor disputed yet."""
    found = plain(call(lambda: client().v1.radar.early_fraud_warnings.retrieve(reference)))
    return bool(found["actionable"])


def is_review_open(reference: str) -> bool:
    return bool(plain(call(lambda: client().v1.reviews.retrieve(reference)))["open"])


def metadata_of(intent: str) -> dict[str, Any]:
    """The PaymentIntent of this id, for its metadata."""
    return plain(call(lambda: client().v1.payment_intents.retrieve(intent)))
