"""Receipts, refunds and invoices: what is printed, for whom, and that it never changes."""

from __future__ import annotations

from datetime import timedelta

import pypdfium2
import pytest

from billing.models import Invoice, Paper, Payment, PaymentAttempt, Refund
from billing.papers import content, figures, issue, listing, pdf, profiles
from billing.payments.notices import emit_received

from .test_profiles import FIELDS, save


def charge(customer, now, **fields) -> Payment:
    """A charge of $49.00 that went through."""
    values = {"kind": "pack", "state": "charged", "amount_cents": 4_900, "credits": 196_000}
    payment = Payment.objects.create(
        customer=customer, gateway="stripe", created_at=now, settled_at=now, **values | fields
    )
    PaymentAttempt.objects.create(
        payment=payment,
        number=1,
        key=f"key-{payment.pk}",
        method_reference="pm_1",
        label="Visa •••• 4242",
        amount_cents=payment.amount_cents,
        currency="USD",
        parameters={},
        created_at=now,
    )
    return payment


def paid_back(payment, cents: int, now) -> None:
    Refund.objects.create(
        payment=payment,
        customer=payment.customer,
        state="paid_back",
        amount_cents=cents,
        reason="Asked for.",
        created_at=now,
    )


def invoice_of(customer, now, **fields) -> Invoice:
    line = {"name": "Top-up", "quantity": "1", "unit_price": "4900", "total": "4900"}
    values = {
        "remote_id": "7c9e6679-7425-40de-944b-e07fc1f90ae7",
        "kind": "scheduled",
        "status": "finalized",
        "total_cents": 4_900,
        "lines": [line | {"unit": "USD", "commit_id": "c"}],
        "dated_at": now,
    }
    return Invoice.objects.create(customer=customer, **values | fields)


def text_of(data: bytes) -> str:
    document = pypdfium2.PdfDocument(data)
    return "\n".join(page.get_textpage().get_text_bounded() for page in document)


def printed(paper: Paper) -> str:
    return " ".join(text_of(pdf.render(paper)).split())


@pytest.fixture
def seller(settings):
    settings.SELLER_NAME = "Vocalis GmbH"
    settings.SELLER_ADDRESS = "Lindenstraße 12, 10969 Berlin, Germany"
    settings.SELLER_TAX_ID = "DE136695976"


def test_a_receipt_names_everybody_and_everything(alice, now, seller):
    save(alice, now)
    payment = charge(alice, now)
    words = printed(issue.receipt(payment, now=now))

    for part in (
        "Receipt",
        f"REC-{now.year}-{payment.pk.hex[:4].upper()}-{payment.pk.hex[4:8].upper()}",
        f"{now:%-d %B %Y}",
        "Vocalis GmbH",
        "Lindenstraße 12",
        "Tax id DE136695976",
        "Łukasz Ångström Sp. z o.o.",
        "ul. Świętokrzyska 36",
        "Tax id PL8567346215",
        "Top-up, 196,000 credits",
        "$49.00",
        "Paid with Visa •••• 4242",
        "Stated without tax. No tax was charged.",
        str(payment.pk),
        "page 1 of 1",
    ):
        assert part in words, part


@pytest.mark.parametrize(
    "name", ["Łukasz Ångström", "Νίκος Παπαδόπουλος", "Борис Ґалаґан", "Nguyễn Thị Ánh", "İŞĞ ß €"]
)
def test_names_of_europe_are_printed_as_they_are(alice, now, name):
    save(alice, now, name=name)

    assert name in printed(issue.receipt(charge(alice, now), now=now))


OTHER_NAMES = ["山田太郎", "محمد", "🦊 Ltd", "x" * 160, "**bold** __x__"]


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_every_other_name_makes_a_paper_too(alice, now, name):
    save(alice, now, name=name)

    assert "Receipt" in printed(issue.receipt(charge(alice, now), now=now))


def test_the_same_paper_is_the_same_bytes_whatever_changes(alice, now, settings):
    payment = charge(alice, now)
    first = pdf.render(issue.receipt(payment, now=now))
    save(alice, now)
    settings.SELLER_NAME = "Somebody else"
    PaymentAttempt.objects.update(label="")

    again = issue.receipt(payment, now=now + timedelta(days=400))
    assert pdf.render(again) == first
    assert Paper.objects.count() == 1


def test_the_receipt_is_issued_in_the_transaction_of_the_charge(alice, now):
    save(alice, now)
    payment = charge(alice, now)
    emit_received(payment, "Visa •••• 4242", now)
    save(alice, now, name="Renamed")

    paper = Paper.objects.get()
    assert (paper.kind, paper.payment, paper.issued_at) == ("receipt", payment, now)
    assert paper.content["buyer"]["name"] == FIELDS["name"]


def test_tax_has_its_own_line(alice, now):
    paper = issue.receipt(charge(alice, now, amount_cents=5_831, tax_cents=931), now=now)

    words = printed(paper)
    assert "Without tax $49.00" in words and "Tax $9.31" in words and "Paid $58.31" in words
    assert "Stated without tax" not in words


def test_a_refund_is_made_out_as_its_charge_was(alice, now):
    payment = charge(alice, now, amount_cents=5_831, tax_cents=931)
    receipt = issue.receipt(payment, now=now)
    save(alice, now, name="Renamed")
    later = now + timedelta(days=2)
    Payment.objects.update(state="refunded", settled_at=later)
    payment.refresh_from_db()

    paper = issue.refund(payment, now=later)
    words = printed(paper)
    assert paper.content["buyer"] == receipt.content["buyer"]
    assert f"REF-{now.year}" in paper.number and receipt.number in words
    # The reader of these tests takes a dash before a sum for the hyphen of a broken word.
    assert "$9.31" in words and "$58.31" in words
    assert figures.money(paper.content["tax_cents"]) == "\N{EN DASH}$9.31"
    assert "Back to Visa •••• 4242" in words


@pytest.mark.parametrize("state", ["initiated", "charging", "requires_action", "failed"])
def test_nothing_is_printed_of_money_that_was_not_taken(alice, now, state):
    with pytest.raises(issue.NothingToPrint):
        issue.receipt(charge(alice, now, state=state), now=now)
    assert not Paper.objects.exists()


def test_a_refund_of_a_part_is_printed_and_listed_as_what_was_paid_back(alice, now):
    payment = charge(alice, now, state="refunded")
    part = payment.amount_cents - 1
    paid_back(payment, part, now)

    assert issue.refund(payment, now=now).content["total_cents"] == -part
    [row], _ = listing.page(alice)
    assert (row.cents, row.refunded_cents) == (payment.amount_cents, part)


def test_a_refund_after_one_that_came_back_has_a_paper_of_its_own(alice, now):
    payment = charge(alice, now, state="refunded", amount_cents=4_900)
    numbers = []
    for cents in (975, 925):
        Refund.objects.update(state="called_off")  # its credits were given back
        paid_back(payment, cents, now)
        for _ in range(2):
            paper = issue.refund(payment, now=now)
            assert paper.content["total_cents"] == -cents
        numbers.append(paper.number)

    assert numbers == [numbers[0], f"{numbers[0]}-2"]
    assert Paper.objects.filter(kind="refund").count() == 2


@pytest.mark.parametrize(
    ("net", "tax", "back", "tax_back"),
    [(4_900, 931, 4_899, 930), (4_900, 931, 4_883, 927), (503, 96, 1, 0), (4_900, 0, 4_899, 0)],
)
def test_a_refund_prints_the_price_and_the_tax_that_were_paid_back(
    alice, now, net, tax, back, tax_back
):
    """Of the price the share of the credits, and the tax on it rounded down."""
    assert tax_back == tax * back // net
    payment = charge(alice, now, amount_cents=net + tax, tax_cents=tax, state="refunded")
    paid_back(payment, back + tax_back, now)

    paper = issue.refund(payment, now=now).content
    assert (paper["tax_cents"], paper["lines"][0]["cents"]) == (-tax_back, -back)


def test_a_refund_under_way_has_no_paper_yet(alice, now):
    with pytest.raises(issue.NothingToPrint):
        issue.refund(charge(alice, now, state="refunding"), now=now)


def test_an_invoice_is_made_out_as_the_receipt_of_its_payment(alice, now):
    payment = charge(alice, now, amount_cents=5_831, tax_cents=931)
    issue.receipt(payment, now=now)
    save(alice, now, name="Renamed")

    paper = issue.invoice(invoice_of(alice, now, payment=payment), now=now)
    words = printed(paper)
    assert paper.number == f"INV-{now.year}-7C9E-6679-7425"
    assert "Alice Tester" in words and "Renamed" not in words
    assert "Total $58.31" in words and "Tax $9.31" in words


@pytest.mark.parametrize("status", ["draft", "void"])
def test_only_a_final_invoice_is_a_paper(alice, now, status):
    with pytest.raises(issue.NothingToPrint):
        issue.invoice(invoice_of(alice, now, status=status), now=now)


def test_an_invoice_of_many_lines_goes_on_overleaf(alice, now):
    line = {"quantity": "1200", "unit_price": "1", "unit": "credits", "total": "1200"}
    lines = [line | {"name": f"Voices {n}, and more words " * 3} for n in range(60)]
    paper = issue.invoice(invoice_of(alice, now, lines=lines, total_cents=0), now=now)

    data = pdf.render(paper)
    words = text_of(data)
    count = len(pypdfium2.PdfDocument(data))
    assert count > 2 and f"page {count} of {count}" in words
    assert all(f"Voices {n}, and" in words for n in range(60))
    assert words.count("Description") == count


@pytest.mark.parametrize(
    ("cents", "words"),
    [
        ("4,900", "$49.00"),
        ("100", "$1.00"),
        ("0.025", "0.025 ¢"),
        ("99", "99 ¢"),
        ("150.5", "150.5 ¢"),
    ],
)
def test_a_price_of_dollars_is_not_told_in_cents(cents, words):
    assert figures.price({"unit": "USD", "unit_price": cents}) == words


def test_half_a_cent_is_rounded_up():
    assert [content.to_cents(each) for each in ("0.5", "1.4999", "-0.5", "12")] == [1, 1, -1, 12]


def test_forgetting_takes_person_and_card_off_and_leaves_the_numbers(alice, now):
    save(alice, now)
    paper = issue.receipt(charge(alice, now), now=now)
    profiles.forget(alice)

    paper.refresh_from_db()
    words = printed(paper)
    assert "Łukasz" not in words and "4242" not in words and "$49.00" in words
    assert profiles.of(alice) is None


def test_what_is_printed_looks_like_letters(alice, now):
    """Rendered, there is ink where the number of a receipt stands, and white round the edge."""
    page = pypdfium2.PdfDocument(pdf.render(issue.receipt(charge(alice, now), now=now)))[0]
    image = page.render(scale=1).to_pil().convert("L")

    assert image.getextrema()[0] < 60
    assert image.crop((0, 20, 50, image.height)).getextrema()[0] > 250
