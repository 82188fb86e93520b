from datetime import timedelta

import pytest
from metronome import BadRequestError, NotFoundError

from .world import HOUR, NOW

END_OF_MARCH = NOW.replace(month=4, day=1, hour=0, minute=0)


@pytest.fixture
def alice(shop):
    return shop.customer("alice")


def invoices(client, customer, **options):
    return list(client.v1.customers.invoices.list(customer_id=customer, **options))


def test_a_usage_invoice_is_drafted_at_once_and_final_a_day_after_its_month(
    box, client, shop, alice
):
    shop.contract(alice, shop.commit(100))
    shop.speak("alice", 60)
    (draft,) = invoices(client, alice)
    assert (draft.status, draft.type, draft.total) == ("DRAFT", "USAGE", 0)
    assert (draft.start_timestamp, draft.end_timestamp) == (HOUR, END_OF_MARCH)

    box.clock.move_to(END_OF_MARCH + timedelta(hours=23))
    assert invoices(client, alice)[0].status == "DRAFT"
    box.clock.advance(timedelta(hours=1))

    final, following = invoices(client, alice)
    assert (final.id, final.status, following.status) == (draft.id, "FINALIZED", "DRAFT")
    assert [line.type for line in final.line_items] == ["usage", "applied_commit_or_credit"]


def test_a_final_invoice_no_longer_moves_and_its_deductions_stay(box, client, shop, alice):
    shop.contract(alice, shop.commit(1_000, days=365))
    shop.speak("alice", 60)
    box.clock.move_to(END_OF_MARCH + timedelta(days=1))
    before = invoices(client, alice)[0]

    shop.speak("alice", 500, at=NOW)

    assert invoices(client, alice)[0] == before
    assert shop.net(alice) == 940
    (row,) = shop.balances(alice, include_ledgers=True)
    assert [(one.type, one.amount) for one in row.ledger] == [
        ("PREPAID_COMMIT_SEGMENT_START", 1_000),
        ("PREPAID_COMMIT_AUTOMATED_INVOICE_DEDUCTION", -60),
    ]


def test_late_usage_within_the_grace_still_draws_from_a_segment_that_ended(
    box, client, shop, alice
):
    shop.contract(alice, shop.commit(100, days=10))
    box.clock.move_to(HOUR + timedelta(days=12))
    shop.speak("alice", 40, at=NOW)

    (row,) = shop.balances(alice, include_ledgers=True)
    assert [one.amount for one in row.ledger] == [100, -60, -40]
    assert invoices(client, alice)[0].total == 0


def test_purchases_are_final_at_their_date(box, client, shop, alice):
    item = shop.commit(100)
    item["invoice_schedule"] = {
        "schedule_items": [
            {"timestamp": NOW, "amount": 4_900},
            {"timestamp": NOW + timedelta(days=5), "unit_price": 12.5, "quantity": 2},
        ]
    }
    shop.contract(alice, item)
    first, second = invoices(client, alice, type="SCHEDULED")
    assert (first.status, first.total, second.status, second.total) == (
        "FINALIZED",
        4_900,
        "DRAFT",
        25,
    )
    assert first.line_items[0].type == "commit_purchase"

    box.clock.advance(timedelta(days=5))

    assert {one.status for one in invoices(client, alice, type="SCHEDULED")} == {"FINALIZED"}


def test_a_contract_started_in_the_past_has_its_past_invoices(client, shop, alice):
    shop.contract(alice, starting_at=HOUR.replace(month=1))
    found = [(one.start_timestamp.month, one.status) for one in invoices(client, alice)]

    assert found == [(1, "FINALIZED"), (2, "FINALIZED"), (3, "DRAFT")]


def test_void_gives_back_what_the_invoice_took_and_regenerate_takes_it_again(
    box, client, shop, alice
):
    shop.contract(alice, shop.commit(1_000, days=365))
    shop.speak("alice", 300)
    box.clock.move_to(END_OF_MARCH + timedelta(days=1))
    (invoice, _) = invoices(client, alice)

    client.v1.invoices.void(id=invoice.id)
    assert shop.net(alice) == 1_000
    with pytest.raises(BadRequestError, match="VOID"):
        client.v1.invoices.void(id=invoice.id)

    fresh = client.v1.invoices.regenerate(id=invoice.id).data.id
    assert shop.net(alice) == 700
    again = client.v1.customers.invoices.retrieve(customer_id=alice, invoice_id=fresh).data
    assert (again.status, again.regenerated_from_invoice_id) == ("FINALIZED", invoice.id)


def test_lists_filter_and_sort_by_date(box, client, shop, alice):
    shop.contract(alice, shop.commit(1, cents=100))
    box.clock.move_to(END_OF_MARCH + timedelta(days=2))

    dates = [one.issued_at for one in invoices(client, alice)]
    assert dates == sorted(dates)
    assert [one.issued_at for one in invoices(client, alice, sort="date_desc")] == dates[::-1]
    assert len(invoices(client, alice, status="FINALIZED")) == 2
    assert len(invoices(client, alice, type="SCHEDULED")) == 1
    assert len(invoices(client, alice, starting_on=END_OF_MARCH)) == 1


def test_the_pdf_shows_the_total_and_is_a_pdf(client, shop, alice):
    shop.contract(alice, shop.commit(100, cents=4_900))
    (invoice,) = invoices(client, alice, type="SCHEDULED")

    body = client.v1.customers.invoices.retrieve_pdf(
        customer_id=alice, invoice_id=invoice.id
    ).read()

    assert body.startswith(b"%PDF-1.4") and body.endswith(b"%%EOF\n")
    assert b"Total: 4900 USD \\(cents\\)" in body
    start = int(body.rsplit(b"startxref\n", 1)[1].split(b"\n")[0])
    assert body[start:].startswith(b"xref")


def test_another_customers_invoice_is_not_found(client, shop, alice):
    shop.contract(alice)
    (invoice,) = invoices(client, alice)
    with pytest.raises(NotFoundError):
        client.v1.customers.invoices.retrieve(
            customer_id=shop.customer("bob"), invoice_id=invoice.id
        )


def test_a_contract_that_ends_has_its_last_invoice_at_its_end(box, client, shop, alice):
    contract = shop.contract(alice)
    end = HOUR + timedelta(days=2)
    client.v1.contracts.update_end_date(contract_id=contract, customer_id=alice, ending_before=end)
    box.clock.advance(timedelta(days=90))

    (invoice,) = invoices(client, alice)
    assert (invoice.end_timestamp, invoice.status) == (end, "FINALIZED")


@pytest.mark.parametrize(
    ("schedule", "end"),
    [
        (
            {"frequency": "MONTHLY", "day": "CONTRACT_START"},
            NOW.replace(month=4, day=10, hour=9, minute=0),
        ),
        ({"frequency": "WEEKLY", "day": "CONTRACT_START"}, NOW.replace(day=17, hour=9, minute=0)),
        ({"frequency": "QUARTERLY"}, NOW.replace(month=6, day=1, hour=0, minute=0)),
        (
            {
                "frequency": "MONTHLY",
                "day": "CUSTOM_DATE",
                "billing_anchor_date": "2026-01-31T00:00:00Z",
            },
            NOW.replace(day=31, hour=0, minute=0),
        ),
        (
            {
                "frequency": "MONTHLY",
                "day": "CUSTOM_DATE",
                "billing_anchor_date": "2026-02-15T18:00:00Z",
            },
            NOW.replace(day=15, hour=18, minute=0),
        ),
    ],
)
def test_statement_schedules_decide_the_period(client, shop, alice, schedule, end):
    shop.contract(alice, usage_statement_schedule=schedule)
    assert invoices(client, alice)[0].end_timestamp == end


def test_finalized_is_announced_only_when_switched_on(box, wire, shop, alice):
    box.world.settings.invoice_finalized = True
    shop.contract(alice, shop.commit(1, cents=100))
    box.tick()

    (one,) = wire.of("invoice.finalized")
    assert set(one["properties"]) == {"invoice_id", "customer_id", "invoice_finalized_date"}
