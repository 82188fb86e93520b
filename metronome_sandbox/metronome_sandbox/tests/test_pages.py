"""Cursors where the SDK expects them, pages small enough that its loops repeat."""

import pytest
from metronome import BadRequestError

from .world import NOW


@pytest.fixture(autouse=True)
def small_pages(box):
    box.world.settings.page_size = 2


def test_every_list_is_complete_over_its_pages(client, shop):
    v1 = client.v1
    customers = [shop.customer(f"c{number}") for number in range(5)]
    alice = customers[0]
    contracts = [shop.contract(alice, shop.commit(1, name=str(number))) for number in range(5)]
    for number in range(4):
        v1.pricing_units.create(name=f"unit {number}")
        v1.contracts.rate_cards.create(name=f"card {number}")
        v1.alerts.create(alert_type="spend_threshold_reached", name=f"alert {number}", threshold=1)
        client.v2.notifications.offset.create(
            name=str(number), policy={"type": "contract.end", "offset": "-P1D"}
        )

    assert [one.id for one in v1.customers.list()] == customers
    assert len(list(v1.pricing_units.list())) == 4 + 19
    assert len(list(v1.billable_metrics.list())) == 2
    assert len(list(v1.contracts.products.list())) == 3
    assert len(list(v1.contracts.rate_cards.list(body={}))) == 5
    assert len(list(v1.contracts.rate_cards.rates.list(rate_card_id=shop.card, at=NOW))) == 3
    assert [one.name for one in shop.balances(alice)] == list("01234")
    assert [one.id for one in client.v2.contracts.list(customer_id=alice)] == contracts
    assert [one.id for one in v1.contracts.list(customer_id=alice)] == contracts
    assert len(list(v1.customers.invoices.list(customer_id=alice))) == 5
    assert len(list(v1.customers.alerts.list(customer_id=alice))) == 4
    assert [one.name for one in client.v2.notifications.offset.list()] == list("0123")
    usage = v1.usage.list(
        window_size="DAY", starting_on="2026-03-01T00:00:00Z", ending_before="2026-03-04T00:00:00Z"
    )
    assert len(list(usage)) == 5 * 2 * 3


def test_rows_added_between_pages_are_neither_missed_nor_repeated(client, shop):
    for number in range(3):
        shop.customer(f"c{number}")
    first = client.v1.customers.list()
    shop.customer("c3")

    names = [one.name for one in first.data]
    while first.has_next_page():
        first = first.get_next_page()
        names += [one.name for one in first.data]

    assert names == ["C0", "C1", "C2", "C3"]


def test_invoices_newest_first_page_too(client, shop):
    alice = shop.customer()
    for number in range(5):
        shop.contract(alice, shop.commit(1, cents=number + 1))
    found = [
        one.id for one in client.v1.customers.invoices.list(customer_id=alice, sort="date_desc")
    ]

    assert len(found) == len(set(found)) == 10


def test_a_wrong_cursor_or_limit_is_refused(client):
    with pytest.raises(BadRequestError, match="cursor"):
        client.v1.customers.list(next_page="nonsense")
    with pytest.raises(BadRequestError, match="limit"):
        client.v1.customers.list(limit=101)


def test_a_page_of_balances_has_at_most_25(client, shop):
    alice = shop.customer("alice")
    assert client.v1.contracts.list_balances(customer_id=alice, limit=25).data == []
    with pytest.raises(BadRequestError, match="limit must be between 1 and 25"):
        client.v1.contracts.list_balances(customer_id=alice, limit=26)
