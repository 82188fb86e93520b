"""Payments and invoices as one list, the newest first, page by page.

A payment stands with the invoice it paid. Invoices that no charge of ours paid (usage, what was
granted by hand) stand by themselves. Two tables are read by their own indexes and merged, so that
any page is found as quickly as the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db.models import Q

from accounts.models import Customer
from billing.models import Invoice, Payment

from .content import number, refunded_cents, what
from .issue import TAKEN

PAGE = 25
CSV_PAGE = 500
STATES = {
    "initiated": ("Under way", "wait"),
    "charging": ("Under way", "wait"),
    "requires_action": ("To be confirmed", "wait"),
    "charged": ("Paid", "ok"),
    "at_page": ("Not paid yet", "wait"),
    "failed": ("Not paid", ""),
    "refunding": ("Being refunded", "wait"),
    "refunded": ("Refunded", ""),
    "draft": ("Draft", "wait"),
    "finalized": ("Final", "ok"),
    "void": ("Void", ""),
}
DECLINED = "Not paid", "bad"
# Of a payment that stands at our side: what its customer's bank says of it.
DISPUTED = {
    "lost": ("Taken back by the bank", "bad"),
    "withdrawn": ("Disputed", "warn"),
    "inquiry": ("Bank asks", "warn"),
}


def stands(payment: Payment) -> tuple[str, str]:
    """How a payment stands, for lists, and the kind of badge that says so.

    Reads `disputes` of the payment, which lists prefetch.
    """
    if payment.state == Payment.State.CHARGED:
        said = {dispute.state for dispute in payment.disputes.all()}
        return next((DISPUTED[one] for one in DISPUTED if one in said), STATES["charged"])
    if payment.state == Payment.State.FAILED and payment.decline:
        return DECLINED
    return STATES[payment.state]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list: a payment with its invoice, or an invoice alone."""

    payment: Payment | None
    invoice: Invoice | None

    @property
    def at(self) -> datetime:
        if self.payment:
            return self.payment.created_at
        assert self.invoice
        return self.invoice.dated_at

    @property
    def key(self) -> tuple[datetime, str, Any]:
        """Its place in the list. Of one instant, payments come first."""
        row: Any = self.payment or self.invoice
        return self.at, "p" if self.payment else "i", row.pk

    @property
    def cursor(self) -> str:
        """Names its place to `page`."""
        at, kind, pk = self.key
        return f"{kind}{at.astimezone(UTC):%Y%m%d%H%M%S%f}{pk}"

    @property
    def name(self) -> str:
        if self.payment:
            return what(self.payment)
        assert self.invoice
        if self.invoice.starts_at:
            return f"Usage, {self.invoice.starts_at:%B %Y}"
        return str(self.invoice.lines[0]["name"]) if self.invoice.lines else "Invoice"

    @property
    def state(self) -> str:
        return self._stands[0]

    @property
    def badge(self) -> str:
        return self._stands[1]

    @property
    def _stands(self) -> tuple[str, str]:
        if self.payment:
            return stands(self.payment)
        assert self.invoice
        return STATES.get(self.invoice.status, ("", ""))

    @property
    def failure(self) -> str:
        return self.payment.failure if self.payment and self.payment.state == "failed" else ""

    @property
    def cents(self) -> int:
        if self.payment:
            return self.payment.amount_cents
        assert self.invoice
        return self.invoice.total_cents

    @property
    def tax_cents(self) -> int:
        return self.payment.tax_cents if self.payment else 0

    @property
    def refunded_cents(self) -> int:
        is_back = self.payment is not None and self.payment.state == Payment.State.REFUNDED
        return refunded_cents(self.payment) if self.payment and is_back else 0

    @property
    def has_receipt(self) -> bool:
        return self.payment is not None and self.payment.state in TAKEN

    @property
    def number(self) -> str:
        """Of the invoice, else of the receipt; "" if there is neither."""
        if self.invoice and self.invoice.status == Invoice.Status.FINALIZED:
            return number("invoice", self.invoice.remote_id, self.invoice.dated_at)
        return ""


def page(
    customer: Customer, *, year: int | None = None, after: str = "", size: int = PAGE
) -> tuple[list[Row], str]:
    """One page, and the cursor of the next, "" if there is none.

    An `after` that names no place is the beginning.
    """
    place = _place(after)
    payments = _of_year(_payments_after(customer, place), "created_at", year)[: size + 1]
    invoices = _of_year(_invoices_after(customer, place), "dated_at", year)[: size + 1]
    rows = [Row(payment, _invoice_of(payment)) for payment in payments]
    rows += [Row(None, invoice) for invoice in invoices]
    rows.sort(key=_order, reverse=True)
    return rows[:size], rows[size - 1].cursor if len(rows) > size else ""


def every(customer: Customer, *, year: int | None = None) -> Iterator[list[Row]]:
    """All pages, each read when it is needed."""
    rows, after = page(customer, year=year, size=CSV_PAGE)
    while rows:
        yield rows
        if not after:
            return
        rows, after = page(customer, year=year, after=after, size=CSV_PAGE)


def years(customer: Customer) -> list[int]:
    """The years there may be something of, the newest first."""
    moments: list[datetime] = []
    for order in ("created_at", "-created_at"):
        found = Payment.objects.filter(customer=customer).order_by(order)
        moments += found.values_list("created_at", flat=True)[:1]
    for order in ("dated_at", "-dated_at"):
        dated = Invoice.objects.filter(customer=customer).order_by(order)
        moments += dated.values_list("dated_at", flat=True)[:1]
    if not moments:
        return []
    return list(range(max(moments).year, min(moments).year - 1, -1))


def _order(row: Row) -> tuple[datetime, str, str]:
    at, kind, pk = row.key
    return at, kind, pk.hex if kind == "p" else f"{pk:020}"


def _place(cursor: str) -> tuple[str, datetime, Any] | None:
    kind, moment, pk = cursor[:1], cursor[1:21], cursor[21:]
    try:
        at = datetime.strptime(moment, "%Y%m%d%H%M%S%f").replace(tzinfo=UTC)
        if kind == "p":
            return kind, at, UUID(pk)
        if kind == "i" and pk.isascii() and pk.isdecimal() and len(pk) < 19:
            return kind, at, int(pk)
    except ValueError:
        return None
    return None


def _payments_after(customer: Customer, place: tuple[str, datetime, Any] | None) -> Any:
    rows = (
        Payment.objects.filter(customer=customer)
        .select_related("subscription", "grant")
        .prefetch_related("invoices", "refunds", "disputes")
        .order_by("-created_at", "-id")
    )
    if place is None:
        return rows
    kind, at, pk = place
    if kind == "i":  # payments of that instant came before it
        return rows.filter(created_at__lt=at)
    # The first bound lets the index find the place; the second settles rows of the same instant.
    return rows.filter(created_at__lte=at).filter(Q(created_at__lt=at) | Q(id__lt=pk))


def _invoices_after(customer: Customer, place: tuple[str, datetime, Any] | None) -> Any:
    rows = Invoice.objects.filter(customer=customer, payment=None).order_by("-dated_at", "-id")
    if place is None:
        return rows
    kind, at, pk = place
    rows = rows.filter(dated_at__lte=at)
    return rows if kind == "p" else rows.filter(Q(dated_at__lt=at) | Q(id__lt=pk))


def _of_year(rows: Any, field: str, year: int | None) -> Any:
    if year is None:
        return rows
    starts_at, ends_at = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    return rows.filter(**{f"{field}__gte": starts_at, f"{field}__lt": ends_at})


def _invoice_of(payment: Payment) -> Invoice | None:
    """The invoice that it paid; of several the one that counts."""
    found = sorted(
        payment.invoices.all(), key=lambda one: (one.status == Invoice.Status.VOID, one.pk)
    )
    return found[0] if found else None
