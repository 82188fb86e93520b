"""Payments and invoices as one list: joined, in order, page by page, and as a file."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest

from billing.models import Dispute, Invoice
from billing.papers import listing, table

from .test_papers import charge, invoice_of


def usage(customer, at, number: int, **fields) -> Invoice:
    return invoice_of(
        customer, at, remote_id=f"usage-{number}", kind="usage", starts_at=at, lines=[], **fields
    )


def test_a_payment_stands_with_its_invoice(alice, bob, now):
    payment = charge(alice, now)
    invoice = invoice_of(alice, now, payment=payment)
    charge(bob, now)

    [row], after = listing.page(alice)
    assert (row.payment, row.invoice, row.state, after) == (payment, invoice, "Paid", "")
    assert row.number.startswith(f"INV-{now.year}-")


def disputed(payment, now, state: str) -> Dispute:
    return Dispute.objects.create(
        payment=payment,
        customer=payment.customer,
        gateway="stripe",
        reference=f"dp_{state}",
        state=state,
        amount_cents=payment.amount_cents,
        created_at=now,
    )


@pytest.mark.parametrize(
    ("state", "stands"),
    [
        ("inquiry", ("Bank asks", "warn")),
        ("withdrawn", ("Disputed", "warn")),
        ("lost", ("Taken back by the bank", "bad")),
        ("won", ("Paid", "ok")),
        ("closed", ("Paid", "ok")),
    ],
)
def test_a_payment_is_not_called_paid_while_the_bank_says_otherwise(alice, now, state, stands):
    disputed(charge(alice, now), now, state)

    [row], _ = listing.page(alice)
    assert (row.state, row.badge) == stands
    assert stands[0] in b"".join(table.rows(alice)).decode()


def test_of_several_disputes_the_lost_one_is_told(alice, now):
    payment = charge(alice, now)
    for state in ("inquiry", "lost", "won"):
        disputed(payment, now, state)

    [row], _ = listing.page(alice)
    assert row.state == "Taken back by the bank"


def test_what_was_left_unpaid_is_no_decline(alice, now):
    charge(alice, now, state="failed", failure="You left the page without paying.")
    charge(alice, now - timedelta(days=1), state="failed", decline="later", failure="Declined.")

    rows, _ = listing.page(alice)
    assert [(row.state, row.badge) for row in rows] == [("Not paid", ""), ("Not paid", "bad")]


def test_a_void_invoice_gives_way_to_the_one_after_it(alice, now):
    payment = charge(alice, now)
    invoice_of(alice, now, payment=payment, status="void")
    again = invoice_of(alice, now, payment=payment, remote_id="again")

    [row], _ = listing.page(alice)
    assert row.invoice == again


def test_pages_show_everything_once_and_in_order(alice, now):
    """Also where many are of one instant, in both tables."""
    for n in range(7):
        at = now - timedelta(days=n // 3)
        charge(alice, at)
        usage(alice, at, n)
    seen, after, pages = [], "", 0
    while pages == 0 or after:
        rows, after = listing.page(alice, after=after, size=3)
        seen += rows
        pages += 1

    assert (len(seen), pages) == (14, 5)
    keys = [listing._order(row) for row in seen]
    assert keys == sorted(keys, reverse=True) and len(set(keys)) == 14


def test_what_comes_meanwhile_moves_no_page(alice, now):
    for n in range(4):
        charge(alice, now - timedelta(days=n))
    first, after = listing.page(alice, size=2)
    charge(alice, now + timedelta(hours=1))
    second, _ = listing.page(alice, size=2, after=after)

    assert not {row.payment.pk for row in first} & {row.payment.pk for row in second}
    assert len(second) == 2


@pytest.mark.parametrize(
    "after", ["x", "p", "p" + "2" * 20, "i20261126002800000000" + "9" * 40, "\x00", "i" * 99, "²"]
)
def test_an_odd_cursor_is_the_beginning(alice, now, after):
    charge(alice, now)

    assert len(listing.page(alice, after=after)[0]) == 1


def test_a_year_is_that_of_utc(alice):
    charge(alice, datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC))
    usage(alice, datetime(2026, 1, 1, tzinfo=UTC), 1)
    charge(alice, datetime(2024, 2, 1, tzinfo=UTC))

    assert listing.years(alice) == [2026, 2025, 2024]
    assert [len(listing.page(alice, year=year)[0]) for year in (2026, 2025, 2024)] == [1, 1, 1]


def test_of_nothing_there_is_no_year(alice):
    assert (listing.years(alice), listing.page(alice)) == ([], ([], ""))


def read(customer, **options) -> list[dict[str, str]]:
    data = b"".join(table.rows(customer, **options)).decode()
    return list(csv.DictReader(io.StringIO(data)))


def test_the_file_has_every_row(alice, now, monkeypatch):
    monkeypatch.setattr(listing, "CSV_PAGE", 2)
    for n in range(5):
        charge(alice, now - timedelta(days=n), state="refunded" if n == 4 else "charged")
    found = read(alice)

    assert [row["state"] for row in found] == ["Paid"] * 4 + ["Refunded"]
    assert found[-1]["refunded_usd"] == "49.00" and found[0]["amount_usd"] == "49.00"
    assert found[0]["what"] == "Top-up, 196,000 credits"


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@x", "\tx", "\r=x"])
def test_no_cell_is_a_formula(alice, now, name):
    """Names of lines come from Metronome, where operators type them."""
    invoice_of(alice, now, lines=[{"name": name, "unit": "USD", "total": "1"}])

    [row] = read(alice)
    assert row["what"].startswith("'")
