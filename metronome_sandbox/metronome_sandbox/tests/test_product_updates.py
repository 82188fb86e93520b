"""Updates of products count from their hour on, each number computed by hand beside it."""

from datetime import UTC, datetime

import pytest

from .test_prices import multiplier
from .world import VC

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.fixture
def alice(shop):
    return shop.customer("alice")


def sold_alone(client, shop, product, price):
    """On a rate card of its own, for the contracts that follow."""
    shop.card = client.v1.contracts.rate_cards.create(
        name="Alone",
        credit_type_conversions=[{"custom_credit_type_id": VC, "fiat_per_custom_credit": 0.025}],
    ).data.id
    client.v1.contracts.rate_cards.rates.add(
        rate_card_id=shop.card,
        product_id=product,
        entitled=True,
        rate_type="FLAT",
        price=price,
        credit_type_id=VC,
        starting_at="2026-01-01T00:00:00Z",
    )


def update(client, product, **changes):
    client.v1.contracts.products.update(product_id=product, starting_at=NOON, **changes)


@pytest.mark.parametrize("rule", [{}, {"decimal_places": 0, "rounding_method": "ROUND_UP"}])
def test_another_conversion_counts_from_its_hour_on(box, client, shop, alice, rule):
    product = client.v1.contracts.products.create(
        name="Tens",
        type="USAGE",
        billable_metric_id=shop.speech_metric,
        quantity_conversion={"conversion_factor": 10, "operation": "DIVIDE"},
        **({"quantity_rounding": rule} if rule else {}),
    ).data.id
    sold_alone(client, shop, product, 5)
    shop.contract(alice, shop.commit(1_000))
    shop.speak("alice", 101)
    update(client, product, quantity_conversion={"conversion_factor": 100, "operation": "DIVIDE"})
    box.clock.move_to(NOON)
    assert shop.net(alice) == (945 if rule else 949.5)  # 11, or 10.1, tens at 5

    shop.speak("alice", 101, at=NOON)

    assert shop.net(alice) == (935 if rule else 944.45)  # 2, or 1.01, hundreds at 5


def test_other_tags_count_from_their_hour_on(box, client, shop, alice):
    client.v1.contracts.products.update(
        product_id=shop.speech, starting_at="2026-01-01T00:00:00Z", tags=["voice"]
    )
    shop.contract(
        alice,
        shop.commit(300, applicable_product_tags=["voice"]),
        shop.commit(300, specifiers=[{"product_tags": ["audio"]}]),
        overrides=[multiplier(0.5, override_specifiers=[{"product_tags": ["audio"]}])],
    )
    shop.speak("alice", 100)
    update(client, shop.speech, tags=["audio"])
    box.clock.move_to(NOON)
    shop.speak("alice", 100, at=NOON)

    # 100 of the first at 1 each, then 100 of the second at 0.5
    assert [one.balance for one in shop.balances(alice)] == [200, 250]


def test_another_metric_or_group_counts_from_its_hour_on(box, client, shop, alice):
    count = client.v1.billable_metrics.create(
        name="Texts",
        aggregation_type="COUNT",
        event_type_filter={"in_values": ["voice_generation"]},
        property_filters=[{"name": "voice_type", "exists": True}],
        group_keys=[["voice_type"]],
    ).data.id
    product = client.v1.contracts.products.create(
        name="Texts", type="USAGE", billable_metric_id=count
    ).data.id
    sold_alone(client, shop, product, 7)
    shop.contract(alice, shop.commit(1_000))
    shop.speak("alice", 30)
    shop.speak("alice", 30)
    update(client, product, billable_metric_id=shop.speech_metric)
    box.clock.move_to(NOON)
    shop.speak("alice", 30, at=NOON)
    assert 1_000 - shop.net(alice) == 2 * 7 + 30 * 7

    update(client, product, billable_metric_id=count, presentation_group_key=["voice_type"])
    assert 1_000 - shop.net(alice) == 3 * 7
    draft = client.v1.customers.invoices.list(customer_id=alice, type="USAGE").data[0]
    assert [
        (line.quantity, line.presentation_group_values)
        for line in draft.line_items
        if line.type == "usage"
    ] == [(2, None), (1, {"voice_type": "standard"})]
