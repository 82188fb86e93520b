"""Handlers of Stripe's webhooks about money that goes back, or may: refunds, disputes, warnings."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from billing.disputes import flow as disputes
from billing.models import Dispute, InboundWebhook, Payment, PaymentAlert, PaymentAttempt, Refund
from billing.payments.gateways.stripe import money_back
from billing.recharge import gate
from jobs.errors import Rejected, Snooze

from .stripe_objects import GATEWAY, by_metadata, object_of

Kind = PaymentAlert.Kind
NOT_OURS = "ignored: no payment of ours"
CAME_BACK = "It came back, and a lost dispute has taken the credits: give credits, or pay it."
# A refund may be told of before our worker has stored its id.
UNKNOWN_REFUND_SECONDS = 60
# A charge of Metronome's own may be disputed before Metronome has told us of it.
UNTOLD_CHARGE, UNTOLD_CHECK_SECONDS = timedelta(days=1), 600


class RefundRefused(Rejected):
    """Money that was taken for an attempt that had ended could not be paid back."""


def read_refund(event: InboundWebhook, now: datetime) -> str:
    """A refund changed. One that the bank refused days later comes back before a person."""
    found = object_of(event)
    reference = str(found.get("id") or "-")[:200]
    is_refused = found.get("status") in ("failed", "canceled")
    if refund := Refund.objects.filter(reference=reference).first():
        return _read_again(refund, now) if is_refused else f"refund of payment {refund.payment_id}"
    attempt = PaymentAttempt.objects.filter(refund_reference=reference).first()
    if attempt and is_refused:
        raise RefundRefused(
            f"payment {attempt.payment_id}: money of an attempt that had ended could not be paid "
            f"back ({reference}). Pay it in another way."
        )
    if attempt:
        return f"refund of payment {attempt.payment_id}"
    metadata = found.get("metadata")
    is_ours = isinstance(metadata, dict) and "vocalis_payment" in metadata
    if is_ours and now - event.received_at < timedelta(seconds=UNKNOWN_REFUND_SECONDS):
        raise Snooze("no refund of ours has this id yet", seconds=20)
    return read_refunds(event, now)


def read_refunds(event: InboundWebhook, now: datetime) -> str:
    """Look through the refunds of a charge for some that somebody made in Stripe's Dashboard."""
    attempt = _attempt(object_of(event), event, now)
    if attempt is None:
        return NOT_OURS
    foreign = [one for one in money_back.refunds_of(attempt.gateway_reference) if not one.is_ours]
    known = set(
        PaymentAttempt.objects.filter(payment=attempt.payment_id).values_list(
            "refund_reference", flat=True
        )
    ) | set(Refund.objects.filter(payment=attempt.payment_id).values_list("reference", flat=True))
    told = 0
    for one in foreign:
        if one.reference in known:
            continue
        if one.is_refused:
            _refused(attempt.payment, one.reference, now)
        else:
            told += 1
            _open(attempt.payment, Kind.FOREIGN_REFUND, one.reference, one.amount_cents, "", now)
    if told:  # nothing may be left to do of one that has no credits
        ungranted = Payment.objects.charged_not_granted().filter(pk=attempt.payment_id)
        ungranted.filter(state=Payment.State.CHARGED).run_now(now)
    return f"payment {attempt.payment_id}: {told} refunds made at Stripe"


def _refused(payment: Payment, reference: str, now: datetime) -> None:
    """The bank sent a refund of theirs back: its money is with us.

    If a lost dispute has taken the credits by then, a person decides. The bank took only what the
    refund had left of the charge, so the customer has neither this money nor what it had bought.
    """
    lost = Dispute.objects.filter(payment=payment, state=Dispute.State.LOST, credits_taken__gt=0)
    alerts = PaymentAlert.objects.filter(kind=Kind.FOREIGN_REFUND, reference=reference)
    if not lost.exists():
        _close(Kind.FOREIGN_REFUND, reference, "the bank refused it", now, amount_cents=0)
        return
    news = alerts.filter(amount_cents__gt=0)  # told again, it stays as staff has left it
    news.update(amount_cents=0, detail=CAME_BACK, closed_at=None, closed_because="")


def read_dispute(event: InboundWebhook, now: datetime) -> str:
    """A dispute began or changed: its job reads what it is now."""
    found = object_of(event)
    attempt = _attempt(found, event, now)
    if attempt is None:
        return NOT_OURS
    reference = str(found.get("id") or "-")[:200]
    row = disputes.notice(attempt.payment, gateway=GATEWAY, reference=reference, now=now)
    return f"dispute {row.pk} of payment {attempt.payment_id} is read"


def read_warning(event: InboundWebhook, now: datetime) -> str:
    """The card's owner says that it was not them; nothing has moved yet."""
    found = object_of(event)
    attempt = _attempt(found, event, now)
    if attempt is None:
        return NOT_OURS
    reference = str(found.get("id") or "-")[:200]
    payment, kind = attempt.payment, Kind.EARLY_WARNING
    if not money_back.is_warning_actionable(reference):
        _close(kind, reference, "refunded or disputed", now)
        return f"payment {payment.pk}: nothing is left to do about the warning"
    detail = str(found.get("fraud_type") or "")
    _open(payment, kind, reference, payment.amount_cents, detail, now)
    return f"payment {payment.pk}: staff is told of the warning"


def read_review(event: InboundWebhook, now: datetime) -> str:
    """Stripe's Radar took the money and wants somebody to look at it, or somebody has."""
    found = object_of(event)
    attempt = _attempt(found, event, now)
    if attempt is None:
        return NOT_OURS
    reference, payment = str(found.get("id") or "-")[:200], attempt.payment
    if not money_back.is_review_open(reference):
        _close(Kind.REVIEW, reference, "closed at Stripe", now)
        return f"payment {payment.pk}: its review is closed"
    detail = str(found.get("reason") or "")
    _open(payment, Kind.REVIEW, reference, payment.amount_cents, detail, now)
    return f"payment {payment.pk}: staff is told of the review"


def _attempt(found: dict[str, Any], event: InboundWebhook, now: datetime) -> PaymentAttempt | None:
    """The attempt whose charge this object is about.

    Raises Snooze while it may be a charge that Metronome made, of which it has not told us yet.
    """
    intent = str(found.get("payment_intent") or "")[:200]
    if not intent:
        return None
    rows = PaymentAttempt.objects.select_related("payment")
    attempt = rows.filter(gateway_reference=intent).first()
    if attempt is None:  # its answer got lost
        attempt = by_metadata(money_back.metadata_of(intent))
        if attempt:
            attempt.gateway_reference = intent
        elif gate.is_metronomes() and now - event.received_at < UNTOLD_CHARGE:
            raise Snooze(
                "Metronome has told of no charge with this id yet", seconds=UNTOLD_CHECK_SECONDS
            )
    return attempt


def _read_again(refund: Refund, now: datetime) -> str:
    with transaction.atomic():
        rows = Refund.objects.filter(pk=refund.pk, state=Refund.State.PAID_BACK)
        if not rows.run_now(now, state=Refund.State.TAKEN_BACK, settled_at=None):
            return f"refund of payment {refund.payment_id} is looked at already"
        Payment.objects.filter(pk=refund.payment_id, state=Payment.State.REFUNDED).update(
            state=Payment.State.REFUNDING, settled_at=None
        )
    return f"payment {refund.payment_id}: its refund is looked at again"


def _open(
    payment: Payment, kind: str, reference: str, amount_cents: int, detail: str, now: datetime
) -> None:
    """Tell staff, once."""
    PaymentAlert.objects.get_or_create(
        kind=kind,
        reference=reference,
        defaults={
            "payment": payment,
            "customer_id": payment.customer_id,
            "amount_cents": amount_cents,
            "detail": detail[:200],
            "created_at": now,
        },
    )


def _close(kind: str, reference: str, because: str, now: datetime, **fields: Any) -> None:
    alerts = PaymentAlert.objects.filter(kind=kind, reference=reference)
    if fields:
        alerts.update(**fields)
    alerts.filter(closed_at=None).update(closed_at=now, closed_because=because)
