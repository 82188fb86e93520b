"""Invoices at Metronome, drafts as well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from .client import reader, require_id, to_decimal, translate_errors

PAGE = 100
DOLLARS = "USD (cents)"  # as Metronome calls the unit; amounts in it are cents
NAME_CHARACTERS_MAX = 200


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """Amounts as text: cents if `unit` is USD, else of our pricing unit. May have fractions.

    `commit_id`: the commit that this line is the payment of, "" for any other line.
    """

    name: str
    quantity: str
    unit_price: str
    total: str
    unit: str
    commit_id: str


@dataclass(frozen=True, slots=True)
class FoundInvoice:
    """`kind` is Metronome's type and `status` its status, both in small letters.

    `starts_at` and `ends_at` are those of the usage it is about.
    """

    id: str
    kind: str
    status: str
    total_cents: int
    starts_at: datetime | None
    ends_at: datetime | None
    issued_at: datetime | None
    lines: tuple[InvoiceLine, ...]


def invoices(*, customer_id: str, issued_since: datetime | None = None) -> Iterator[FoundInvoice]:
    """The customer's invoices, the newest first: all, or those issued since then.

    A draft counts by the moment it will be issued at. A page is asked for when it is needed.
    """
    page: Any = None
    while page is None or page.next_page:
        after = {"next_page": page.next_page} if page else {}
        with translate_errors("list invoices"):
            page = reader().v1.customers.invoices.list(
                customer_id=customer_id,
                sort="date_desc",
                limit=PAGE,
                skip_zero_qty_line_items=True,
                **after,
            )
            if not isinstance(page.data, list):
                raise TypeError("a page without data")
            found = [_invoice(item) for item in page.data]
        for invoice in found:
            if issued_since and invoice.issued_at and invoice.issued_at < issued_since:
                return
            yield invoice


def _invoice(item: Any) -> FoundInvoice:
    return FoundInvoice(
        id=require_id(item),
        kind=str(item.type).lower(),
        status=str(item.status).lower(),
        total_cents=int(to_decimal(item.total).quantize(Decimal(1), ROUND_HALF_UP)),
        starts_at=_moment(item.start_timestamp),
        ends_at=_moment(item.end_timestamp),
        issued_at=_moment(item.issued_at),
        lines=tuple(_line(line) for line in item.line_items),
    )


def _line(item: Any) -> InvoiceLine:
    return InvoiceLine(
        name=str(item.name)[:NAME_CHARACTERS_MAX],
        quantity=_text(item.quantity),
        unit_price=_text(item.unit_price),
        total=_text(item.total),
        unit="USD" if item.credit_type.name == DOLLARS else "credits",
        commit_id=str(item.commit_id or "") if item.type == "commit_purchase" else "",
    )


def _moment(value: Any) -> datetime | None:
    if value is not None and not isinstance(value, datetime):
        raise TypeError("expected a time")
    return value


def _text(number: Any) -> str:
    """A number without a needless fraction: "1200", "0.025"; "" of None."""
    if number is None:
        return ""
    text = f"{to_decimal(number):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
