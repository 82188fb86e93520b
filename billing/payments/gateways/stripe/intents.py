"""What a PaymentIntent says of its charge."""

from __future__ import annotations

from typing import Any

from billing.models import Payment
from billing.payments.gateways import Charge, ChargeState

from .declines import kind_of, words_of


def charge_of(intent: dict[str, Any]) -> Charge:
    """The state of a PaymentIntent."""
    reference, error = str(intent["id"]), intent.get("last_payment_error") or {}
    match intent["status"]:
        case "succeeded":
            charge = intent.get("latest_charge")
            receipt = charge.get("receipt_url") if isinstance(charge, dict) else None
            return Charge(reference, ChargeState.PAID, receipt_url=receipt or "")
        case "canceled":
            return Charge(reference, ChargeState.CANCELLED)
        case "requires_action":
            return Charge(reference, ChargeState.WAITING)
        case "requires_payment_method":
            kind = kind_of(error)
            is_waiting = kind == Payment.Decline.CUSTOMER
            return Charge(
                reference,
                ChargeState.WAITING if is_waiting else ChargeState.DECLINED,
                message=words_of(error, kind),
                decline=kind,
            )
    return Charge(reference, ChargeState.PENDING)
