"""The pages of invoices, receipts and the billing profile."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from billing.models import BillingProfile, Invoice, InvoiceReading, Payment
from billing.pages.invoices import Table
from billing.papers.tests.test_papers import charge, invoice_of
from billing.papers.tests.test_profiles import FIELDS, save

URL = "/billing/invoices/"


@pytest.fixture
def page(client, alice):
    """Alice's browser."""
    client.force_login(alice.user)
    return client


def text_of(answer) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


# --- The list -------------------------------------------------------------------------------------


def test_an_empty_list_says_what_belongs_here(page):
    assert "Every charge is listed here" in text_of(page.get(URL))


def test_a_charge_is_listed_with_its_papers(page, alice, now):
    payment = charge(alice, now)
    invoice = invoice_of(alice, now, payment=payment)
    answer = page.get(URL)

    words, html = text_of(answer), answer.content.decode()
    assert "Top-up, 196,000 credits" in words and "Paid" in words and "$49.00" in words
    assert f"INV-{now.year}-7C9E-6679-7425" in words
    assert reverse("receipt_pdf", args=[payment.pk]) in html
    assert reverse("invoice", args=[invoice.pk]) in html
    assert reverse("refund_pdf", args=[payment.pk]) not in html


@pytest.mark.parametrize(
    ("state", "words", "papers"),
    [
        ("failed", "Not paid", set()),
        ("at_page", "Not paid yet", set()),
        ("charging", "Under way", set()),
        ("refunding", "Being refunded", {"receipt_pdf"}),
        ("refunded", "Refunded $49.00", {"receipt_pdf", "refund_pdf"}),
    ],
)
def test_each_state_has_its_words_and_papers(page, alice, now, state, words, papers):
    payment = charge(alice, now, state=state)
    answer = page.get(URL)

    assert words in text_of(answer)
    for name in ("receipt_pdf", "refund_pdf"):
        is_there = reverse(name, args=[payment.pk]) in answer.content.decode()
        assert is_there == (name in papers)


def test_older_pages_are_reached_and_keep_their_year(page, alice, now):
    for n in range(30):
        charge(alice, now - timedelta(seconds=n), credits=n + 1)
    answer = page.get(URL, {"year": now.year})
    older = re.search(r'href="(\?[^"]*after=[^"]+)"', answer.content.decode())[1]
    second = text_of(page.get(URL + older.replace("&amp;", "&")))

    assert f"year={now.year}" in older
    assert "Top-up, 30 credits" in second and "Top-up, 25 credits" not in second
    assert "Newest" in second and "Older" not in second


@pytest.mark.parametrize("query", ["year=1", "year=x", "year=²", "after=x", "year=99999"])
def test_an_odd_address_shows_the_newest(page, alice, now, query):
    charge(alice, now)

    assert "$49.00" in text_of(page.get(f"{URL}?{query}"))


def test_since_when_it_is_known_is_said_and_the_page_calls_nobody(page, alice, now):
    """There is no Metronome here that could be called."""
    invoice_of(alice, now, kind="usage", starts_at=now, status="draft", lines=[])
    InvoiceReading.objects.create(customer=alice, read_at=now - timedelta(hours=3))

    words = text_of(page.get(URL))
    assert "Invoices as of" in words and "Draft" in words


def test_a_first_reading_under_way_is_said(page, alice):
    alice.metronome_id = "m"
    alice.save(update_fields=["metronome_id"])

    assert "for the first time" in text_of(page.get(URL))
    assert InvoiceReading.objects.get().due_at is not None


def test_the_number_of_queries_does_not_grow(page, alice, now):
    def count() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            page.get(URL)
        return len(queries)

    page.get(URL)
    for n in range(2):
        invoice_of(alice, now, payment=charge(alice, now), remote_id=f"i{n}")
    few = count()
    for n in range(2, 20):
        invoice_of(alice, now, payment=charge(alice, now), remote_id=f"i{n}")
    assert count() == few


# --- The file -------------------------------------------------------------------------------------


def test_the_file_comes_in_pieces_and_has_the_year_in_its_name(page, alice, now):
    charge(alice, now)
    answer = page.get("/billing/invoices/csv/", {"year": now.year})

    assert answer.streaming and answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert f"vocalis-invoices-{now.year}.csv" in answer.headers["Content-Disposition"]
    assert len(b"".join(answer.streaming_content).decode().splitlines()) == 2


def test_under_asgi_it_is_made_piece_by_piece():
    made = []

    def pieces():
        for piece in (b"a", b"b"):
            made.append(piece)
            yield piece

    async def read():
        found = []
        async for piece in Table(pieces()):
            found.append((piece, len(made)))
        return found

    assert async_to_sync(read)() == [(b"a", 1), (b"b", 2)]


# --- Papers ---------------------------------------------------------------------------------------


def test_papers_are_files_named_by_their_number(page, alice, now):
    payment = charge(alice, now, state="refunded")
    invoice = invoice_of(alice, now)
    for url in (
        reverse("receipt_pdf", args=[payment.pk]),
        reverse("refund_pdf", args=[payment.pk]),
        reverse("invoice_pdf", args=[invoice.pk]),
    ):
        first, again = page.get(url), page.get(url)
        assert first.headers["Content-Type"] == "application/pdf"
        assert re.search(r'inline; filename="(REC|REF|INV)-', first.headers["Content-Disposition"])
        assert first.content[:5] == b"%PDF-" and first.content == again.content
        assert "no-store" in first.headers["Cache-Control"]


def test_what_has_no_paper_is_not_found(page, alice, now):
    payment = charge(alice, now, state="failed")
    draft = invoice_of(alice, now, status="draft")
    for url in (
        reverse("receipt_pdf", args=[payment.pk]),
        reverse("refund_pdf", args=[charge(alice, now).pk]),
        reverse("invoice_pdf", args=[draft.pk]),
        "/billing/invoices/99999999999999999999999/",
    ):
        assert page.get(url).status_code == 404


def test_a_draft_is_shown_with_its_lines(page, alice, now):
    line = {"name": "Standard voices", "quantity": "1200", "unit_price": "1", "total": "1200"}
    lines = [line | {"unit": "credits", "commit_id": ""}]
    draft = invoice_of(alice, now, status="draft", kind="usage", lines=lines, total_cents=0)

    words = text_of(page.get(reverse("invoice", args=[draft.pk])))
    assert "Draft" in words and "Standard voices 1,200 1 credit 1,200 credits" in words
    assert Invoice.objects.get().papers.count() == 0


# --- The profile ----------------------------------------------------------------------------------


def test_a_profile_is_saved_and_shown(page, alice):
    assert 'value="Alice Tester"' in page.get("/billing/profile/").content.decode()
    answer = page.post("/billing/profile/", FIELDS, follow=True)

    assert "Saved. What is issued from now on" in text_of(answer)
    assert "Łukasz Ångström Sp. z o.o. · Warszawa, PL · PL8567346215" in text_of(answer)
    assert 'value="PL8567346215"' in page.get("/billing/profile/").content.decode()


def test_a_wrong_field_is_told_beside_it_and_nothing_typed_is_lost(page):
    answer = page.post("/billing/profile/", FIELDS | {"tax_id": "PL123"})

    html = answer.content.decode()
    assert answer.status_code == 422 and not BillingProfile.objects.exists()
    assert 'id="id_tax_id_error"' in html and "like PL8567346215" in html
    assert 'value="PL123"' in html and FIELDS["line1"] in html


def test_what_was_typed_outlives_a_lost_session(client, alice):
    client.get("/accounts/login/")
    answer = client.post("/billing/profile/", FIELDS)
    assert answer.url.startswith("/accounts/login/")
    client.post(answer.url, {"email": "alice@example.com", "password": "correct horse battery"})

    assert FIELDS["line1"] in client.get("/billing/profile/").content.decode()


def test_billing_leads_to_both(page, alice, now):
    save(alice, now)
    html = page.get("/billing/").content.decode()

    assert 'href="/billing/invoices/"' in html and 'href="/billing/profile/"' in html
    assert Payment.objects.count() == 0
