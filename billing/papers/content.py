"""What is printed on a paper: plain words and amounts, ready to be set.

Amounts are cents of US dollars. What is charged is stated without tax, which has its own line.
"""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django.conf import settings

from billing.models import Invoice, Payment, Refund

# Of the id that a number is made of. 48 bits: among a million, two are alike once in 500 sites.
NUMBER_DIGITS = 12
NO_TAX = "Stated without tax. No tax was charged."
# The words that the European Union wants on it.
REVERSE_CHARGE = "Reverse charge: the customer accounts for the tax. None was charged."
PREFIXES = {"invoice": "INV", "receipt": "REC", "refund": "REF"}


def number(kind: str, identifier: object, issued_at: datetime) -> str:
    """Such as INV-2026-1F2E-3D4C-5B6A: of the thing's id, so that it is known before it is stored.

    Numbers are unique and stable, and have gaps.
    """
    digits = str(identifier).replace("-", "")[:NUMBER_DIGITS].upper()
    parts = [digits[start : start + 4] for start in range(0, len(digits), 4)]
    return "-".join([PREFIXES[kind], str(issued_at.year), *parts])


def seller() -> dict[str, Any]:
    """Who sells, as the settings say. Keys as of `profiles.buyer`."""
    lines = [line.strip() for line in settings.SELLER_ADDRESS.split(",")]
    return {
        "name": settings.SELLER_NAME,
        "address": [line for line in lines if line],
        "tax_id": settings.SELLER_TAX_ID,
    }


def of_receipt(
    payment: Payment, card: str, buyer: dict[str, Any], *, is_reverse_charged: bool
) -> dict[str, Any]:
    return {
        "title": "Receipt",
        "seller": seller(),
        "buyer": buyer,
        "lines": [_line(what(payment), payment.amount_cents - payment.tax_cents)],
        "tax_cents": payment.tax_cents,
        "no_tax": REVERSE_CHARGE if is_reverse_charged else NO_TAX,
        "total_cents": payment.amount_cents,
        "total_words": "Paid",
        "paid_with": card,
        "about": [["Payment", str(payment.pk)]],
        "note": "",
    }


def of_refund(
    payment: Payment, card: str, buyer: dict[str, Any], receipt_number: str, *, no_tax: str
) -> dict[str, Any]:
    cents = refunded_cents(payment)
    tax_cents = cents - _net_of(payment, cents)
    return {
        "title": "Refund",
        "seller": seller(),
        "buyer": buyer,
        "lines": [_line(f"{what(payment)}, paid back", tax_cents - cents)],
        "tax_cents": -tax_cents,
        "no_tax": no_tax,
        "total_cents": -cents,
        "total_words": "Paid back",
        "paid_with": card,
        "about": [["Payment", str(payment.pk)], ["Receipt", receipt_number]],
        "note": "It takes the bank some days to show it.",
    }


def of_invoice(
    invoice: Invoice, buyer: dict[str, Any], card: str, *, no_tax: str = NO_TAX
) -> dict[str, Any]:
    """An invoice at Metronome, whose total has no tax: that of the payment of it is added."""
    payment = invoice.payment
    tax_cents = payment.tax_cents if payment else 0
    about = [["Metronome", invoice.remote_id]]
    if payment:
        about.append(["Payment", str(payment.pk)])
    return {
        "title": "Invoice",
        "seller": seller(),
        "buyer": buyer,
        "lines": [line_of(line) for line in invoice.lines],
        "tax_cents": tax_cents,
        "no_tax": no_tax,
        "total_cents": invoice.total_cents + tax_cents,
        "total_words": "Total",
        "paid_with": card,
        "about": about,
        "note": _period_of(invoice),
    }


def line_of(line: dict[str, Any]) -> dict[str, Any]:
    """A line of an invoice at Metronome: name, quantity, what one is, and its amount.

    Lines in credits have no cents: they were paid for before.
    """
    is_money = line["unit"] == "USD"
    return {
        "name": line["name"],
        "quantity": grouped(line["quantity"]),
        "unit_price": grouped(line["unit_price"]),
        "unit": line["unit"],
        "cents": to_cents(line["total"]) if is_money else None,
        "credits": None if is_money else grouped(line["total"]),
    }


def to_cents(amount: str | Decimal) -> int:
    """Whole cents of an amount that may have fractions of one, halves rounded up."""
    return int(Decimal(amount).quantize(Decimal(1), ROUND_HALF_UP))


def grouped(number: str) -> str:
    """Such as "1,200.5" of "1200.5"; a dash before what is negative."""
    if not number:
        return ""
    text = f"{Decimal(number):,f}"
    return text.replace("-", "\N{EN DASH}")


def refunded_cents(payment: Payment) -> int:
    """How much of a payment in state REFUNDED was given back: all of it if no row says less."""
    given_back = [
        refund.amount_cents
        for refund in payment.refunds.all()
        if refund.state == Refund.State.PAID_BACK
    ]
    return sum(given_back) if given_back else payment.amount_cents


def _net_of(payment: Payment, refunded_cents: int) -> int:
    """How much of a refund is price: the most that with its tax, rounded down, is no more.

    So it is what the refund was worked out of (`refunds.preview`).
    """
    if not payment.amount_cents:
        return refunded_cents
    return ((refunded_cents + 1) * payment.net_cents - 1) // payment.amount_cents


def what(payment: Payment) -> str:
    """What a payment is for, such as "Creator plan, 250,000 credits"."""
    if payment.subscription:
        name = f"{payment.subscription.plan.title()} plan"
    else:
        is_recharge = payment.kind == Payment.Kind.RECHARGE
        name = "Automatic recharge" if is_recharge else "Top-up"
    grant = payment.grant
    credits = payment.credits or (grant.granted if grant else 0)
    return f"{name}, {credits:,} credits" if credits else name


def _line(name: str, cents: int) -> dict[str, Any]:
    return {
        "name": name,
        "quantity": "",
        "unit_price": "",
        "unit": "USD",
        "cents": cents,
        "credits": None,
    }


def _period_of(invoice: Invoice) -> str:
    if not (invoice.starts_at and invoice.ends_at):
        return ""
    return f"Usage from {invoice.starts_at:%-d %B %Y} to {invoice.ends_at:%-d %B %Y}, UTC."
