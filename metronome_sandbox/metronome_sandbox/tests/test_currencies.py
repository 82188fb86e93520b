"""Rate cards, commits, invoices and recharges in euros and pounds, which count in whole units."""

import pytest
from metronome import BadRequestError

from metronome_sandbox import USD_ID

from .world import HOUR, NOW, VC


@pytest.fixture
def ids(client):
    """Of the currencies, by their name."""
    return {one.name: one.id for one in client.v1.pricing_units.list() if one.is_currency}


@pytest.fixture
def alice(shop):
    return shop.customer("alice")


def card(client, shop, fiat, price=0.5):
    """Characters at a price in the card's currency, clones at 100 credits of a quarter each."""
    made = client.v1.contracts.rate_cards.create(
        name="Europe",
        fiat_credit_type_id=fiat,
        credit_type_conversions=[{"custom_credit_type_id": VC, "fiat_per_custom_credit": 0.25}],
    ).data.id
    client.v1.contracts.rate_cards.rates.add_many(
        rate_card_id=made,
        rates=[
            {
                "product_id": shop.speech,
                "entitled": True,
                "rate_type": "FLAT",
                "price": price,
                "credit_type_id": fiat,
                "pricing_group_values": {"voice_type": "standard"},
                "starting_at": "2026-01-01T00:00:00Z",
            },
            {
                "product_id": shop.cloning,
                "entitled": True,
                "rate_type": "FLAT",
                "price": 100,
                "credit_type_id": VC,
                "starting_at": "2026-01-01T00:00:00Z",
            },
        ],
    )
    return made


def of(commit, currency_id, cost=None):
    commit["access_schedule"]["credit_type_id"] = currency_id
    if cost is not None:
        items = [{"timestamp": NOW, "unit_price": cost, "quantity": 1}]
        commit["invoice_schedule"] = {"credit_type_id": currency_id, "schedule_items": items}
    return commit


def contract(client, customer, card_id, *commits, **extra):
    return client.v1.contracts.create(
        customer_id=customer, starting_at=HOUR, rate_card_id=card_id, commits=list(commits), **extra
    ).data.id


def test_the_currencies_are_listed_and_only_dollars_count_in_cents(client, ids):
    assert len(ids) == 18
    assert ids["USD (cents)"] == USD_ID
    assert {"EUR", "GBP", "CHF", "NZD"} <= set(ids)
    with pytest.raises(BadRequestError, match="cannot be archived"):
        client.v1.pricing_units.archive(id=ids["EUR"])


@pytest.mark.parametrize("name", ["EUR", "GBP"])
def test_usage_draws_and_is_invoiced_in_the_currency_of_the_card(client, shop, alice, ids, name):
    money = ids[name]
    contract(
        client,
        alice,
        card(client, shop, money),
        of(shop.commit(10), money, cost=8),
        of(shop.commit(500), USD_ID),
    )
    shop.speak("alice", 30)  # 15; 10 are paid. Dollars pay for no euros.

    usage = client.v1.customers.invoices.list(customer_id=alice, type="USAGE").data[0]
    bought = client.v1.customers.invoices.list(customer_id=alice, type="SCHEDULED").data[0]
    assert (shop.net(alice, money), shop.net(alice, USD_ID)) == (0, 500)
    assert (usage.total, usage.credit_type.name) == (5, name)
    assert (bought.total, bought.credit_type.name) == (8, name)
    assert [(line.type, line.total, line.credit_type.name) for line in usage.line_items] == [
        ("usage", 10, name),
        ("applied_commit_or_credit", -10, name),
        ("usage", 5, name),
    ]


def test_credits_become_the_currency_of_the_card(client, shop, alice, ids):
    contract(client, alice, card(client, shop, ids["EUR"]), of(shop.commit(20), ids["EUR"]))
    event = {**shop.event("alice", 1), "event_type": "voice_cloning"}
    client.v1.usage.ingest(usage=[event])

    # 100 credits are 25 euros; 20 are paid.
    usage = client.v1.customers.invoices.list(customer_id=alice, type="USAGE").data[0]
    (conversion,) = [line for line in usage.line_items if line.type == "cpu_conversion"]
    assert (usage.total, conversion.total, conversion.credit_type.name) == (5, 25, "EUR")
    assert shop.net(alice, ids["EUR"]) == 0


def test_a_recharge_is_in_the_currency_of_the_card(client, box, wire, shop, alice, ids):
    euros = ids["EUR"]
    recharge = shop.recharge(threshold=5, to=20)
    del recharge["custom_credit_type_id"]
    contract(
        client,
        alice,
        card(client, shop, euros),
        of(shop.commit(10), euros),
        prepaid_balance_threshold_configuration=recharge,
    )
    shop.speak("alice", 12)  # 6 of 10
    box.tick()

    (asked,) = wire.of("payment_gate.external_initiate")
    assert asked["properties"]["invoice_total"] == 16
    assert asked["properties"]["invoice_currency"] == "EUR"
    shop.release(asked["properties"]["workflow_id"], "paid")
    (bought,) = client.v1.customers.invoices.list(customer_id=alice, type="SCHEDULED").data
    assert (shop.net(alice, euros), bought.total, bought.credit_type.name) == (20, 16, "EUR")


def test_a_recharge_of_credits_costs_what_the_card_says(client, box, wire, shop, alice, ids):
    contract(
        client,
        alice,
        card(client, shop, ids["GBP"]),
        shop.commit(110),
        prepaid_balance_threshold_configuration=shop.recharge(threshold=20, to=60),
    )
    event = {**shop.event("alice", 1), "event_type": "voice_cloning"}
    client.v1.usage.ingest(usage=[event])
    box.tick()

    # From 10 to 60 credits at a quarter of a pound
    (asked,) = wire.of("payment_gate.external_initiate")
    assert asked["properties"]["invoice_total"] == 12.5
    assert asked["properties"]["invoice_currency"] == "GBP"


@pytest.mark.parametrize(
    ("threshold", "to", "message"),
    [(4, 20, "at least 5 EUR"), (5, 14, "at least 10 EUR above threshold_amount")],
)
def test_the_least_recharge_is_in_the_currency_of_the_card(
    client, shop, alice, ids, threshold, to, message
):
    recharge = shop.recharge(threshold=threshold, to=to)
    del recharge["custom_credit_type_id"]
    made = card(client, shop, ids["EUR"])
    with pytest.raises(BadRequestError, match=message):
        contract(client, alice, made, prepaid_balance_threshold_configuration=recharge)


def test_a_price_in_another_currency_than_the_cards_is_refused(client, shop, ids):
    with pytest.raises(BadRequestError, match="no conversion"):
        client.v1.contracts.rate_cards.rates.add(
            rate_card_id=card(client, shop, ids["EUR"]),
            product_id=shop.cloning,
            entitled=True,
            rate_type="FLAT",
            price=1,
            credit_type_id=USD_ID,
            starting_at=HOUR,
        )


def test_a_spend_alert_of_euros_counts_euros(client, box, wire, shop, alice, ids):
    for unit in (ids["EUR"], USD_ID):
        client.v1.alerts.create(
            alert_type="spend_threshold_reached", name=unit, threshold=7, credit_type_id=unit
        )
    contract(client, alice, card(client, shop, ids["EUR"]))
    shop.speak("alice", 14)
    box.tick()
    (alarm,) = wire.of("alerts.spend_threshold_reached")
    assert (alarm["properties"]["alert_name"], alarm["properties"]["current_spend"]) == (
        ids["EUR"],
        7,
    )
