from datetime import timedelta

import pytest

from .world import HOUR, NOW, VC


def test_voice_types_cost_what_their_rates_say_and_an_unpriced_one_nothing(shop):
    alice = shop.customer()
    shop.contract(alice, shop.commit(100_000))
    shop.speak("alice", 1_000, voice="standard")
    shop.speak("alice", 1_000, voice="premium")
    shop.speak("alice", 1_000, voice="Premium")

    assert shop.net(alice) == 97_000


def test_a_price_change_counts_from_its_hour(client, shop):
    alice = shop.customer()
    shop.contract(
        alice,
        shop.commit(100_000, starting_at=HOUR - timedelta(hours=2)),
        starting_at=HOUR - timedelta(hours=2),
    )
    client.v1.contracts.rate_cards.rates.add(
        rate_card_id=shop.card,
        product_id=shop.speech,
        entitled=True,
        rate_type="FLAT",
        price=10,
        credit_type_id=VC,
        starting_at=HOUR,
        pricing_group_values={"voice_type": "standard"},
    )

    shop.speak("alice", 100, at=HOUR - timedelta(seconds=1))
    shop.speak("alice", 100, at=HOUR)

    assert shop.net(alice) == 100_000 - 100 - 1_000


def test_tiers_fill_up_over_the_billing_period(client, shop):
    product = client.v1.contracts.products.create(
        name="Tiered", type="USAGE", billable_metric_id=shop.speech_metric
    ).data.id
    card = client.v1.contracts.rate_cards.create(
        name="Tiered",
        credit_type_conversions=[{"custom_credit_type_id": VC, "fiat_per_custom_credit": 0.025}],
    ).data.id
    client.v1.contracts.rate_cards.rates.add(
        rate_card_id=card,
        product_id=product,
        entitled=True,
        rate_type="TIERED",
        tiers=[{"size": 100, "price": 5}, {"size": 50, "price": 2}, {"price": 1}],
        credit_type_id=VC,
        starting_at="2026-01-01T00:00:00Z",
    )
    alice = shop.customer()
    shop.card = card
    shop.contract(alice, shop.commit(10_000))

    shop.speak("alice", 80)
    shop.speak("alice", 100)

    assert shop.net(alice) == 10_000 - 100 * 5 - 50 * 2 - 30 * 1


@pytest.mark.parametrize(
    ("override", "cost"),
    [
        ({"type": "MULTIPLIER", "multiplier": 0.5}, 500),
        (
            {
                "type": "OVERWRITE",
                "overwrite_rate": {"rate_type": "FLAT", "price": 3, "credit_type_id": VC},
            },
            3_000,
        ),
        ({"entitled": False}, 0),
    ],
)
def test_overrides_change_the_price_for_one_contract(client, shop, override, cost):
    alice = shop.customer()
    contract = shop.contract(
        alice,
        shop.commit(100_000),
        overrides=[
            {"starting_at": HOUR, "override_specifiers": [{"product_id": shop.speech}], **override}
        ],
    )

    shop.speak("alice", 1_000)

    assert shop.net(alice) == 100_000 - cost
    shown = client.v2.contracts.retrieve(contract_id=contract, customer_id=alice).data
    assert len(shown.overrides) == 1


@pytest.mark.parametrize(("kind", "cost"), [("MAX", 30), ("LATEST", 20), ("UNIQUE", 3)])
def test_other_aggregations_are_rated_too(client, shop, kind, cost):
    metric = client.v1.billable_metrics.create(
        name=kind,
        aggregation_type=kind,
        aggregation_key="seats",
        event_type_filter={"in_values": ["seats"]},
        property_filters=[{"name": "seats", "exists": True}],
    ).data.id
    product = client.v1.contracts.products.create(
        name=kind, type="USAGE", billable_metric_id=metric
    ).data.id
    client.v1.contracts.rate_cards.rates.add(
        rate_card_id=shop.card,
        product_id=product,
        entitled=True,
        rate_type="FLAT",
        price=1,
        credit_type_id=VC,
        starting_at="2026-01-01T00:00:00Z",
    )
    alice = shop.customer()
    shop.contract(
        alice,
        shop.commit(1_000, starting_at=HOUR - timedelta(hours=5)),
        starting_at=HOUR - timedelta(hours=5),
    )
    for hours, seats in ((3, "10"), (2, "30"), (1, "30"), (0, "20")):
        event = {**shop.event("alice", 0, at=NOW - timedelta(hours=hours)), "event_type": "seats"}
        client.v1.usage.ingest(usage=[{**event, "properties": {"seats": seats}}])

    assert shop.net(alice) == 1_000 - cost


def test_a_product_priced_in_dollars_draws_dollars(client, shop):
    client.v1.contracts.rate_cards.rates.add(
        rate_card_id=shop.card,
        product_id=shop.credits,
        entitled=True,
        rate_type="FLAT",
        price=1,
        starting_at=HOUR,
    )
    product = client.v1.contracts.products.create(
        name="Support", type="USAGE", billable_metric_id=shop.speech_metric
    ).data.id
    client.v1.contracts.rate_cards.rates.add(
        rate_card_id=shop.card,
        product_id=product,
        entitled=True,
        rate_type="FLAT",
        price=0.5,
        starting_at="2026-01-01T00:00:00Z",
    )
    alice = shop.customer()
    money = shop.commit(10_000)
    del money["access_schedule"]["credit_type_id"]
    shop.contract(alice, money)

    shop.speak("alice", 100, voice="other")

    assert client.v1.contracts.get_net_balance(customer_id=alice).data.balance == 10_000 - 50


def test_usage_before_the_contract_or_after_its_end_is_not_billed(shop):
    alice = shop.customer()
    shop.contract(
        alice,
        shop.commit(1_000, starting_at=HOUR - timedelta(days=1)),
        ending_before=HOUR + timedelta(hours=1),
    )
    shop.speak("alice", 10, at=HOUR - timedelta(seconds=1))
    shop.speak("alice", 10, at=HOUR)
    shop.speak("alice", 10, at=HOUR + timedelta(hours=1))

    assert shop.net(alice) == 990


def test_events_can_be_priced_before_they_are_sent(client, shop):
    alice = shop.customer()
    shop.contract(alice, shop.commit(100))
    shop.speak("alice", 60)
    event = {
        "event_type": "voice_generation",
        "properties": {"text_length": "100", "voice_type": "standard"},
    }

    alone = client.v1.customers.preview_events(customer_id=alice, events=[event]).data[0]
    merged = client.v1.customers.preview_events(
        customer_id=alice, events=[event], mode="merge"
    ).data[0]

    assert (alone.total, merged.total) == (0, 1.5)
    assert shop.net(alice) == 40
