"""The list as CSV, piece by piece."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from accounts.models import Customer

from . import listing
from .listing import Row

HEADS = (
    "date",
    "what",
    "state",
    "amount_usd",
    "tax_usd",
    "refunded_usd",
    "invoice_number",
    "invoice_state",
    "payment",
    "invoice_at_metronome",
)
# With these, programs that open the file would take a cell for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def rows(customer: Customer, *, year: int | None = None) -> Iterator[bytes]:
    """The file: a head, then every row, the newest first. Amounts have two decimals."""
    yield _lines([HEADS])
    for page in listing.every(customer, year=year):
        yield _lines([_cells(row) for row in page])


def harmless(cell: str) -> str:
    """The cell, or with a mark before it that has programs take it for text.

    https://owasp.org/www-community/attacks/CSV_Injection
    """
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def _cells(row: Row) -> tuple[str, ...]:
    words = (
        f"{row.at:%Y-%m-%d %H:%M:%S}",
        harmless(row.name),
        row.state,
        _usd(row.cents),
        _usd(row.tax_cents),
        _usd(row.refunded_cents),
        row.number,
        row.invoice.status if row.invoice else "",
        str(row.payment.pk) if row.payment else "",
        harmless(row.invoice.remote_id) if row.invoice else "",
    )
    return words


def _usd(cents: int) -> str:
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02}"


def _lines(cells: list[tuple[str, ...]]) -> bytes:
    file = io.StringIO()
    csv.writer(file).writerows(cells)
    return file.getvalue().encode()
