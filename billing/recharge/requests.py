"""Where recharges begin: with a request of Metronome, or with settings saved at a low balance."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from uuid import UUID

from django.db import IntegrityError, transaction

from accounts.models import Customer
from billing import plans
from billing.models import Recharge
from billing.models.recharges import OWN_WORKFLOW
from jobs.errors import Rejected, Snooze
from jobs.models import due

State = Recharge.State

CENTS_MAX = 100_000_000  # a million dollars: a larger amount is certainly an error
OPEN_DAYS_MAX = 30  # a payment waits for a confirmation for seven; the rest is for outages
OUTDATED = "The balance had been filled up before this was requested."


class InvoiceTotalInvalid(Rejected):
    """Metronome requests an amount or a currency that cannot be charged."""


class RechargeUnderWay(Snooze):
    """The customer has another open recharge, which has to end first."""


def request(
    *,
    customer: Customer,
    workflow_id: str,
    invoice_id: str,
    invoice_total: object,
    currency: str,
    asked_at: datetime | None = None,
    now: datetime,
) -> Recharge:
    """The recharge of the workflow, created by the first call.

    `invoice_total` is in cents, as Metronome sent it. `asked_at` is when it came: what was asked
    before the customer's own recharge was granted is for a balance that is no more, so it is
    refused. Raises InvoiceTotalInvalid, or RechargeUnderWay while another recharge of the customer
    is open.
    """
    if found := Recharge.objects.filter(workflow_id=workflow_id).first():
        return found
    _check_total(invoice_total, currency)
    try:
        with transaction.atomic():
            return Recharge.objects.create(
                customer=customer,
                workflow_id=workflow_id,
                invoice_id=invoice_id,
                invoice_total=str(invoice_total),
                created_at=now,
                **_refused_as_outdated(customer.pk, asked_at or now),
                **due(now),
            )
    except IntegrityError:
        if found := Recharge.objects.filter(workflow_id=workflow_id).first():
            return found
        raise RechargeUnderWay(
            "another recharge of this customer is under way", seconds=10
        ) from None


def request_own(
    *, customer: Customer, key: UUID, credits: int, tax_cents: int = 0, now: datetime
) -> Recharge:
    """Fill the balance up by so many credits, once for each `key`.

    For settings that are saved at a low balance: the customer has been shown this amount and the
    tax on it, while Metronome would compute one of its own. Call it in the transaction that saves
    the settings, while no other recharge of the customer is open.
    """
    return Recharge.objects.create(
        customer=customer,
        workflow_id=own_workflow_id(key),
        invoice_total=str(own_total(credits)),
        shown_tax_cents=tax_cents,
        created_at=now,
        **due(now),
    )


def own_workflow_id(key: UUID) -> str:
    return f"{OWN_WORKFLOW}{key}"


def own_total(credits: int) -> Decimal:
    """The price of so many credits in cents, with fractions, as Metronome computes it."""
    return Decimal(credits) / plans.CREDITS_PER_CENT


def _refused_as_outdated(customer_id: UUID, asked_at: datetime) -> dict[str, str]:
    own = Recharge.objects.own().filter(
        customer_id=customer_id,
        state=State.GRANTED,
        settled_at__gte=asked_at,
        created_at__gte=asked_at - timedelta(days=OPEN_DAYS_MAX),
    )
    if not own.exists():
        return {}
    refusal = Recharge.Refusal.OUTDATED
    return {"state": State.RELEASING, "refusal": refusal, "failure": OUTDATED}


def _check_total(invoice_total: object, currency: str) -> None:
    text = str(invoice_total)
    try:
        total = Decimal(text)
        # Compared as Decimal: converting one with a huge exponent to int would take for ever.
        can_be_charged = len(text) <= 40 and Decimal("0.5") <= total <= CENTS_MAX
    except InvalidOperation:
        raise InvoiceTotalInvalid(f"invoice_total {text[:40]!r} is not an amount") from None
    if not can_be_charged:
        raise InvoiceTotalInvalid(f"invoice_total {text[:40]!r} cannot be charged")
    if currency != "USD":
        raise InvoiceTotalInvalid(f"invoice_currency {currency[:40]!r}: only USD can be charged")
