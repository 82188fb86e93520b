"""Subscriptions in advance. The price of one seat is 3,000 cents a month."""

from datetime import UTC, datetime, timedelta

import pytest
from metronome import APIStatusError, BadRequestError

from metronome_sandbox import USD_ID

from .world import HOUR, NOW, VC

APRIL, MAY = datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC)
PRORATED = {"is_prorated": True, "invoice_behavior": "BILL_IMMEDIATELY"}
BY_START = {"frequency": "MONTHLY", "day": "CONTRACT_START"}


@pytest.fixture
def seat(client, shop):
    seat = client.v1.contracts.products.create(name="Seat", type="SUBSCRIPTION").data.id
    for frequency, price in (("MONTHLY", 3_000), ("ANNUAL", 30_000)):
        rate(client, shop, seat, price, billing_frequency=frequency)
    return seat


@pytest.fixture
def alice(shop):
    return shop.customer("alice")


def rate(client, shop, product, price, **extra):
    client.v1.contracts.rate_cards.rates.add(
        rate_card_id=shop.card,
        product_id=product,
        rate_type="FLAT",
        price=price,
        **{"entitled": True, "starting_at": "2026-01-01T00:00:00Z", **extra},
    )


def seats(seat, quantity=2, proration=None, frequency="MONTHLY", **extra):
    return {
        "collection_schedule": "ADVANCE",
        "initial_quantity": quantity,
        "proration": PRORATED if proration is None else proration,
        "subscription_rate": {"billing_frequency": frequency, "product_id": seat},
        **extra,
    }


def read(client, customer, contract):
    return client.v2.contracts.retrieve(customer_id=customer, contract_id=contract).data


def edit(client, customer, contract, **changes):
    return client.v2.contracts.edit(customer_id=customer, contract_id=contract, **changes).data


def change(client, customer, contract, *updates, **extra):
    (found,) = read(client, customer, contract).subscriptions
    item = {"subscription_id": found.id, **extra}
    if updates:
        item["quantity_updates"] = list(updates)
    return edit(client, customer, contract, update_subscriptions=[item])


def fees(client, customer):
    """(type and status of the invoice, its date, quantity, unit price, total) of each fee."""
    return [
        (f"{one.type} {one.status}", one.issued_at, line.quantity, line.unit_price, line.total)
        for one in client.v1.customers.invoices.list(customer_id=customer)
        for line in one.line_items
        if line.type == "subscription"
    ]


def test_the_first_period_is_charged_at_once_for_the_part_that_is_left(client, shop, alice, seat):
    """519 of the 744 hours of March: 2,092.74 cents each, to the nearest dollar 2,100."""
    rounding = {"rounding_method": "HALF_UP", "decimal_places": -2}
    shop.contract(alice, subscriptions=[seats(seat, proration={**PRORATED, "rounding": rounding})])

    (invoice,) = client.v1.customers.invoices.list(customer_id=alice, type="SCHEDULED")
    (line,) = invoice.line_items
    assert (invoice.status, invoice.issued_at, invoice.total) == ("FINALIZED", HOUR, 4_200)
    assert (line.name, line.type, line.product_id) == ("Seat", "subscription", seat)
    assert (line.quantity, line.unit_price, line.is_prorated) == (2, 2_100, True)
    assert (line.starting_at, line.ending_before) == (HOUR, APRIL)
    assert line.product_type == "SubscriptionProductListItem"


@pytest.mark.parametrize("is_prorated", [True, False])
def test_a_part_of_a_period_costs_as_much_as_the_whole_unless_prorated(
    client, shop, alice, seat, is_prorated
):
    shop.contract(alice, subscriptions=[seats(seat, proration={"is_prorated": is_prorated})])

    ((_, _, quantity, price, total),) = fees(client, alice)
    assert price == pytest.approx(3_000 * 519 / 744 if is_prorated else 3_000, abs=1e-9)
    assert (quantity, total) == (2, pytest.approx(2 * price, abs=1e-9))


def test_later_periods_are_on_the_usage_invoice_that_ends_when_they_begin(
    client, box, shop, alice, seat
):
    shop.contract(alice, subscriptions=[seats(seat, proration={})])
    box.clock.move_to(APRIL)

    assert fees(client, alice) == [
        ("SCHEDULED FINALIZED", HOUR, 2, 3_000, 6_000),
        ("USAGE DRAFT", APRIL + timedelta(days=1), 2, 3_000, 6_000),
    ]
    box.clock.move_to(MAY + timedelta(days=1))
    assert [one[0] for one in fees(client, alice)] == ["SCHEDULED FINALIZED"] + 2 * [
        "USAGE FINALIZED"
    ]


def test_they_may_have_invoices_and_an_anchor_of_their_own(client, box, shop, alice, seat):
    anchor = datetime(2026, 2, 20, tzinfo=UTC)
    cycle = {"anchor_date": anchor, "invoice_placement": "ON_SCHEDULED_INVOICE"}
    shop.contract(alice, subscriptions=[seats(seat, proration={}, billing_cycle_config=cycle)] * 2)
    box.clock.move_to(APRIL)

    dates = [HOUR, anchor.replace(month=3)]
    invoices = list(client.v1.customers.invoices.list(customer_id=alice, type="SCHEDULED"))
    # Fees of the same date share an invoice.
    assert [(one.issued_at, len(one.line_items)) for one in invoices] == [(at, 2) for at in dates]
    assert [one.total for one in invoices] == [12_000, 12_000]


def test_seats_that_are_added_are_charged_at_once_for_the_rest_of_the_period(
    client, box, shop, alice, seat
):
    """3 days of 31 from the 10th of March, 09:00: 10 more for 28 of 31 days."""
    contract = shop.contract(
        alice, usage_statement_schedule=BY_START, subscriptions=[seats(seat, 1)]
    )
    later = HOUR + timedelta(days=3)
    change(client, alice, contract, {"starting_at": later, "quantity_delta": 10})
    assert fees(client, alice) == [("SCHEDULED FINALIZED", HOUR, 1, 3_000, 3_000)]
    box.clock.move_to(later)

    added = fees(client, alice)[1]
    assert added[:3] == ("SCHEDULED FINALIZED", later, 10)
    assert added[3:] == pytest.approx((3_000 * 28 / 31, 10 * 3_000 * 28 / 31), abs=1e-6)
    box.clock.move_to(HOUR.replace(month=4))
    assert fees(client, alice)[2][2:] == (11, 3_000, 33_000)


def test_or_when_the_period_ends(client, box, shop, alice, seat):
    """On the usage invoice that ends then, which also has the fee of the next period."""
    proration = {"is_prorated": True, "invoice_behavior": "BILL_ON_NEXT_COLLECTION_DATE"}
    shop.contract(
        alice,
        usage_statement_schedule=BY_START,
        subscriptions=[seats(seat, 1, proration=proration)],
    )
    (contract,) = client.v2.contracts.list(customer_id=alice)
    half = HOUR + timedelta(days=15, hours=12)
    change(client, alice, contract.id, {"starting_at": half, "quantity": 3})
    box.clock.move_to(half)
    final = HOUR.replace(month=4) + timedelta(days=1)
    assert fees(client, alice)[1:] == [("USAGE DRAFT", final, 2, 1_500, 3_000)]
    box.clock.move_to(final)

    assert fees(client, alice)[1:] == [
        ("USAGE FINALIZED", final, 2, 1_500, 3_000),
        ("USAGE FINALIZED", final, 3, 3_000, 9_000),
    ]


def test_fewer_seats_count_from_the_next_period_on(client, box, shop, alice, seat):
    """5, then 2, then 4 within what is paid, then 6: one more than was paid."""
    contract = shop.contract(
        alice, usage_statement_schedule=BY_START, subscriptions=[seats(seat, 5, proration={})]
    )
    for day, quantity in ((1, 2), (2, 4), (3, 6), (4, 1)):
        at = HOUR + timedelta(days=day)
        change(client, alice, contract, {"starting_at": at, "quantity": quantity})
    box.clock.move_to(HOUR.replace(month=4))

    assert [one[2] for one in fees(client, alice)] == [5, 1, 1]


def test_changes_of_the_same_moment_count_in_the_order_they_were_sent_in(
    client, box, shop, alice, seat
):
    """The specification's example: 12 and then one less are 11."""
    contract = shop.contract(alice, subscriptions=[seats(seat, 5)])
    first, second = {"quantity": 12}, {"quantity_delta": -1}
    at = HOUR + timedelta(days=1)
    change(client, alice, contract, *({**one, "starting_at": at} for one in (first, second)))

    (found,) = read(client, alice, contract).subscriptions
    assert [
        (one.quantity, one.starting_at, one.ending_before) for one in found.quantity_schedule
    ] == [
        (5, HOUR, at),
        (11, at, None),
    ]
    box.clock.move_to(at)
    (found,) = read(client, alice, contract).subscriptions
    assert [one.quantity for one in found.quantity_schedule] == [11]
    assert fees(client, alice)[1][2] == 6


def test_history_names_each_change_of_quantity_and_price_up_to_now(client, box, shop, alice, seat):
    contract = shop.contract(alice, subscriptions=[seats(seat, 5)])
    later = HOUR + timedelta(days=1)
    change(client, alice, contract, {"starting_at": later, "quantity": 6})
    change(client, alice, contract, {"starting_at": MAY, "quantity": 7})
    rate(client, shop, seat, 4_000, billing_frequency="MONTHLY", starting_at=APRIL)
    box.clock.move_to(APRIL + timedelta(days=9))

    (found,) = read(client, alice, contract).subscriptions
    history = client.v1.contracts.retrieve_subscription_quantity_history(
        customer_id=alice, contract_id=contract, subscription_id=found.id
    ).data
    assert (history.subscription_id, history.fiat_credit_type_id) == (found.id, USD_ID)
    assert [
        (one.starting_at, *[(row.quantity, row.unit_price, row.total) for row in one.data])
        for one in history.history
    ] == [
        (HOUR, (5, 3_000, 15_000)),
        (later, (6, 3_000, 18_000)),
        (APRIL, (6, 4_000, 24_000)),
    ]


def test_it_is_read_back_with_its_periods(client, box, shop, alice, seat):
    client.v1.custom_fields.add_key(entity="subscription", key="plan", enforce_uniqueness=False)
    extra = {"name": "Pro", "description": "Pro seats", "custom_fields": {"plan": "pro"}}
    contract = shop.contract(alice, subscriptions=[seats(seat, ending_before=MAY, **extra)])
    box.clock.move_to(APRIL)

    (found,) = read(client, alice, contract).subscriptions
    assert (found.name, found.description, found.custom_fields) == tuple(extra.values())
    assert (found.collection_schedule, found.quantity_management_mode) == (
        "ADVANCE",
        "QUANTITY_ONLY",
    )
    assert (found.subscription_rate.billing_frequency, found.subscription_rate.product.name) == (
        "MONTHLY",
        "Seat",
    )
    assert found.proration.model_dump(exclude_none=True) == PRORATED
    periods = found.billing_periods
    assert (periods.previous.starting_at, periods.previous.ending_before) == (HOUR, APRIL)
    assert (periods.current.starting_at, periods.current.ending_before) == (APRIL, MAY)
    assert periods.next is None
    client.v1.custom_fields.set_values(
        entity="subscription", entity_id=found.id, custom_fields={"plan": "team"}
    )
    older = client.v1.contracts.retrieve(customer_id=alice, contract_id=contract).data
    assert older.subscriptions[0].custom_fields == {"plan": "team"}


def test_edits_add_them_and_say_so(client, shop, alice, seat):
    contract = shop.contract(alice)
    edited = edit(client, alice, contract, add_subscriptions=[seats(seat, frequency="ANNUAL")]).edit

    (found,) = read(client, alice, contract).subscriptions
    assert edited.add_subscriptions[0].id == found.id
    # From the 10th of March, 09:00, to the end of February are 8,535 of 8,760 hours.
    ((*_, price, _),) = fees(client, alice)
    assert price == pytest.approx(30_000 * 8_535 / 8_760, abs=1e-6)
    update = {"starting_at": NOW + timedelta(days=1), "quantity": 3}
    changed = change(client, alice, contract, update, name="Pro").edit.update_subscriptions[0]
    assert (changed.id, changed.name, changed.quantity_updates[0].quantity) == (found.id, "Pro", 3)
    assert read(client, alice, contract).subscriptions[0].name == "Pro"


# Prices


def test_an_override_names_a_subscription_by_product_and_frequency(client, box, shop, alice, seat):
    """Free until April; then the price of the rate card, of which a period has one."""
    override = {
        "type": "OVERWRITE",
        "overwrite_rate": {"rate_type": "FLAT", "price": 0},
        "starting_at": HOUR,
        "ending_before": APRIL,
        "override_specifiers": [{"product_id": seat, "billing_frequency": "MONTHLY"}],
    }
    both = [seats(seat, proration={}), seats(seat, proration={}, frequency="ANNUAL")]
    contract = shop.contract(alice, overrides=[override], subscriptions=both)
    rate(client, shop, seat, 5_000, billing_frequency="MONTHLY", starting_at="2026-04-02T00:00:00Z")
    box.clock.move_to(MAY)

    assert [one[3] for one in fees(client, alice)] == [30_000, 0, 3_000, 5_000]
    rates = client.v1.contracts.retrieve_rate_schedule(
        customer_id=alice,
        contract_id=contract,
        at=HOUR,
        selectors=[{"product_id": seat, "billing_frequency": "MONTHLY"}],
    ).data
    assert [(one.billing_frequency, one.override_rate.price) for one in rates] == [("MONTHLY", 0)]


def test_nothing_is_charged_while_the_rate_is_not_entitled(client, box, shop, alice):
    seat = client.v1.contracts.products.create(name="Seat", type="SUBSCRIPTION").data.id
    rate(client, shop, seat, 3_000, billing_frequency="MONTHLY", entitled=False)
    entitled = {
        "entitled": True,
        "starting_at": APRIL,
        "override_specifiers": [{"product_id": seat, "billing_frequency": "MONTHLY"}],
    }
    shop.contract(alice, overrides=[entitled], subscriptions=[seats(seat)])
    assert fees(client, alice) == []
    box.clock.move_to(APRIL)

    assert [one[2:] for one in fees(client, alice)] == [(2, 3_000, 6_000)]


def test_balances_pay_a_fee_after_the_usage_of_its_hour(client, box, shop, alice, seat):
    """160,000 credits of usage are 4,000 cents, which leave 1,000 of 5,000 for the fee."""
    dollars = shop.commit(5_000)
    dollars["access_schedule"]["credit_type_id"] = USD_ID
    shop.contract(alice, dollars, usage_statement_schedule=BY_START)
    (contract,) = client.v2.contracts.list(customer_id=alice)
    shop.speak("alice", 160_000)
    assert shop.net(alice, USD_ID) == 1_000
    edit(client, alice, contract.id, add_subscriptions=[seats(seat, 1)])

    (invoice,) = client.v1.customers.invoices.list(customer_id=alice, type="SCHEDULED")
    assert [(one.type, one.total) for one in invoice.line_items] == [
        ("subscription", 1_000),
        ("applied_commit_or_credit", -1_000),
        ("subscription", 2_000),
    ]
    assert (invoice.status, invoice.total, shop.net(alice, USD_ID)) == ("FINALIZED", 2_000, 0)
    client.v1.invoices.void(id=invoice.id)
    assert shop.net(alice, USD_ID) == 1_000
    client.v1.invoices.regenerate(id=invoice.id)
    (_, fresh) = client.v1.customers.invoices.list(customer_id=alice, type="SCHEDULED")
    assert (fresh.status, fresh.total, shop.net(alice, USD_ID)) == ("FINALIZED", 2_000, 0)


def test_a_fee_in_a_custom_unit_is_converted_as_far_as_nothing_pays(client, shop, alice):
    """2 at 10,000 credits: 5,000 are there, 15,000 are 375 cents."""
    seat = client.v1.contracts.products.create(name="Seat", type="SUBSCRIPTION").data.id
    rate(client, shop, seat, 10_000, billing_frequency="MONTHLY", credit_type_id=VC)
    shop.contract(alice, shop.commit(5_000), subscriptions=[seats(seat, proration={})])

    (invoice,) = client.v1.customers.invoices.list(customer_id=alice, type="SCHEDULED")
    assert invoice.total == 375
    assert [(one.type, one.quantity, one.total) for one in invoice.line_items] == [
        ("subscription", 0.5, 5_000),
        ("applied_commit_or_credit", None, -5_000),
        ("subscription", 1.5, 15_000),
        ("cpu_conversion", 15_000, 375),
    ]
    assert shop.net(alice) == 0


def test_usage_and_its_reports_are_as_they_were(client, box, shop, alice, seat):
    """Fees are no usage: spend alerts and breakdowns are without them."""
    alert = {"alert_type": "spend_threshold_reached", "name": "spend", "credit_type_id": USD_ID}
    client.v1.alerts.create(threshold=1, **alert)
    shop.contract(alice, usage_statement_schedule=BY_START, subscriptions=[seats(seat)])
    box.clock.move_to(HOUR.replace(month=4))
    box.tick()

    (state,) = client.v1.customers.alerts.list(customer_id=alice)
    assert state.customer_status == "ok"
    days = list(
        client.v1.customers.invoices.list_breakdowns(
            customer_id=alice,
            starting_on=HOUR.replace(hour=0),
            ending_before=APRIL,
            window_size="DAY",
        )
    )
    assert len(days) == 22
    assert [line for day in days for line in day.line_items] == []


# Ends


def test_a_period_that_is_known_to_end_early_costs_its_part(client, box, shop, alice, seat):
    """15 of the 30 days of April."""
    shop.contract(
        alice, ending_before=datetime(2026, 4, 16, tzinfo=UTC), subscriptions=[seats(seat)]
    )
    box.clock.move_to(MAY)

    assert [one[2:] for one in fees(client, alice)][1:] == [(2, 1_500, 3_000)]


def test_an_end_gives_nothing_back_of_what_is_final(client, box, shop, alice, seat):
    """And takes what is not: seats added, to be collected at the end, and the next period."""
    proration = {"is_prorated": True, "invoice_behavior": "BILL_ON_NEXT_COLLECTION_DATE"}
    contract = shop.contract(
        alice,
        usage_statement_schedule=BY_START,
        subscriptions=[seats(seat, 1, proration=proration)],
    )
    half = HOUR + timedelta(days=15, hours=12)
    change(client, alice, contract, {"starting_at": half, "quantity": 2})
    box.clock.move_to(half)
    stop = half + timedelta(days=7, hours=18)  # a quarter of 31 days
    client.v1.contracts.update_end_date(customer_id=alice, contract_id=contract, ending_before=stop)

    assert fees(client, alice) == [
        ("SCHEDULED FINALIZED", HOUR, 1, 3_000, 3_000),
        ("USAGE DRAFT", stop + timedelta(days=1), 1, 750, 750),
    ]
    (found,) = read(client, alice, contract).subscriptions
    assert found.ending_before == stop
    # A longer contract does not make it longer.
    client.v1.contracts.update_end_date(customer_id=alice, contract_id=contract)
    box.clock.move_to(MAY)
    assert len(fees(client, alice)) == 2 and read(client, alice, contract).subscriptions[0] == (
        found.model_copy(
            update={
                "billing_periods": read(client, alice, contract).subscriptions[0].billing_periods
            }
        )
    )


def test_a_subscription_ends_before_its_contract(client, box, shop, alice, seat):
    """With its own invoices, of which the one to come is moved to the end."""
    proration = {"is_prorated": True, "invoice_behavior": "BILL_ON_NEXT_COLLECTION_DATE"}
    cycle = {"invoice_placement": "ON_SCHEDULED_INVOICE"}
    contract = shop.contract(
        alice,
        usage_statement_schedule=BY_START,
        subscriptions=[seats(seat, 1, proration=proration, billing_cycle_config=cycle)],
    )
    half = HOUR + timedelta(days=15, hours=12)
    change(client, alice, contract, {"starting_at": half, "quantity_delta": 1})
    box.clock.move_to(half)
    assert fees(client, alice)[1] == ("SCHEDULED DRAFT", HOUR.replace(month=4), 1, 1_500, 1_500)
    stop = half + timedelta(days=7, hours=18)
    change(client, alice, contract, ending_before=stop)
    assert fees(client, alice)[1:] == [("SCHEDULED DRAFT", stop, 1, 750, 750)]
    box.clock.move_to(MAY)

    assert fees(client, alice)[1:] == [("SCHEDULED FINALIZED", stop, 1, 750, 750)]
    with pytest.raises(APIStatusError, match="ending a subscription later") as refused:
        change(client, alice, contract, ending_before=None)
    assert refused.value.status_code == 501


def test_a_renewal_ends_the_old_one_and_an_archived_contract_charges_no_more(
    client, box, shop, alice, seat
):
    old = shop.contract(alice, usage_statement_schedule=BY_START, subscriptions=[seats(seat)])
    start = HOUR + timedelta(days=10)
    new = shop.contract(
        alice,
        starting_at=start,
        usage_statement_schedule=BY_START,
        subscriptions=[seats(seat, 3)],
        transition={"type": "RENEWAL", "from_contract_id": old},
    )
    box.clock.move_to(start)
    client.v1.contracts.archive(customer_id=alice, contract_id=new, void_invoices=False)
    box.clock.move_to(MAY)

    assert [one[:3] for one in fees(client, alice)] == [
        ("SCHEDULED FINALIZED", HOUR, 2),
        ("SCHEDULED FINALIZED", start, 3),
    ]


def test_a_contract_of_the_past_has_its_fees_on_the_invoices_of_the_time(client, shop, alice, seat):
    start = datetime(2026, 1, 1, tzinfo=UTC)
    shop.contract(alice, starting_at=start, subscriptions=[seats(seat)])

    day = timedelta(days=1)
    february, march = start.replace(month=2), start.replace(month=3)
    assert fees(client, alice) == [
        ("SCHEDULED FINALIZED", start, 2, 3_000, 6_000),
        ("USAGE FINALIZED", february + day, 2, 3_000, 6_000),
        ("USAGE FINALIZED", march + day, 2, 3_000, 6_000),
    ]


def test_a_subscription_outlives_a_restart(tmp_path, monkeypatch):
    from metronome_sandbox import Sandbox

    from .conftest import client_of
    from .world import Shop

    options = {"now": NOW, "state_path": tmp_path / "state", "evaluate_every_seconds": 0}
    box = Sandbox(**options)
    client = client_of(box)
    shop = Shop(client)
    alice = shop.customer("alice")
    seat = client.v1.contracts.products.create(name="Seat", type="SUBSCRIPTION").data.id
    rate(client, shop, seat, 3_000, billing_frequency="MONTHLY")
    shop.contract(alice, subscriptions=[seats(seat, proration={})])
    before = fees(client, alice)
    box.close()
    again = Sandbox(**options)
    assert fees(client_of(again), alice) == before
    again.clock.move_to(APRIL)
    assert [one[2] for one in fees(client_of(again), alice)] == [2, 2]
    again.close()


# What is refused


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"collection_schedule": "ARREARS"}, 501, "ARREARS"),
        ({"quantity_management_mode": "SEAT_BASED"}, 501, "SEAT_BASED"),
        ({"initial_quantity": None}, 400, "initial_quantity"),
        ({"initial_quantity": -1}, 400, "initial_quantity"),
        ({"starting_at": HOUR - timedelta(hours=1)}, 400, "before its contract"),
        ({"starting_at": NOW}, 400, "hour boundary"),
        ({"ending_before": HOUR}, 400, "after starting_at"),
        ({"billing_cycle_config": {"anchor_date": APRIL}}, 400, "anchor_date"),
        ({"custom_fields": {"plan": "pro"}}, 400, "plan does not exist"),
        ({"frequency": "WEEKLY"}, 400, "no WEEKLY rate"),
        (
            {"proration": {"rounding": {"rounding_method": "FLOOR", "decimal_places": 6}}},
            400,
            "decimal_places",
        ),
    ],
)
def test_what_cannot_be_done_is_refused(client, shop, alice, seat, change, status, words):
    with pytest.raises(APIStatusError, match=words) as refused:
        shop.contract(
            alice,
            subscriptions=[
                {
                    **seats(
                        seat,
                        **{
                            name: value
                            for name, value in change.items()
                            if name in ("frequency", "proration")
                        },
                    ),
                    **{name: value for name, value in change.items() if name != "frequency"},
                }
            ],
        )
    assert refused.value.status_code == status
    assert list(client.v2.contracts.list(customer_id=alice)) == []


@pytest.mark.parametrize(
    ("updates", "status", "words"),
    [
        ([{"quantity": 1, "quantity_delta": 1}], 400, "quantity_delta"),
        ([{}], 400, "quantity_delta"),
        ([{"quantity_delta": 0}], 400, "quantity_delta"),
        ([{"quantity_delta": -2}, {"quantity_delta": -1}], 400, "negative"),
        ([{"quantity": 1, "starting_at": MAY}], 400, "while the subscription lasts"),
        ([{"quantity": 1, "starting_at": HOUR}], 501, "before the running billing period"),
    ],
)
def test_quantities_that_cannot_be_are_refused(
    client, box, shop, alice, seat, updates, status, words
):
    contract = shop.contract(alice, ending_before=MAY, subscriptions=[seats(seat)])
    box.clock.move_to(APRIL)
    with pytest.raises(APIStatusError, match=words) as refused:
        change(client, alice, contract, *({"starting_at": APRIL, **one} for one in updates))
    assert refused.value.status_code == status
    assert fees(client, alice)[1][2] == 2


def test_seats_and_commit_prices_of_subscriptions_are_not_done(client, shop, alice, seat):
    contract = shop.contract(alice, subscriptions=[seats(seat)])
    added = [{"seat_ids": ["a"], "starting_at": APRIL}]
    with pytest.raises(APIStatusError, match="seat_updates"):
        change(client, alice, contract, seat_updates={"add_seat_ids": added})
    override = {
        "type": "MULTIPLIER",
        "multiplier": 0.5,
        "is_commit_specific": True,
        "starting_at": HOUR,
        "override_specifiers": [{"product_id": seat}],
    }
    with pytest.raises(APIStatusError, match="overrides of subscription rates"):
        edit(client, alice, contract, add_overrides=[override])


def test_rates_of_subscriptions_have_a_frequency_and_no_others(client, shop, seat):
    with pytest.raises(BadRequestError, match="billing_frequency"):
        rate(client, shop, seat, 1)
    with pytest.raises(BadRequestError, match="billing_frequency"):
        rate(client, shop, shop.cloning, 1, billing_frequency="MONTHLY", credit_type_id=VC)
    found = client.v1.contracts.rate_cards.rates.list(
        rate_card_id=shop.card, at=NOW, selectors=[{"billing_frequency": "ANNUAL"}]
    )
    assert [(one.product_id, one.rate.price) for one in found] == [(seat, 30_000)]
