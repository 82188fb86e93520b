from datetime import timedelta

import pytest
from metronome import APIStatusError, BadRequestError

from metronome_sandbox import USD_ID

from .world import HOUR, VC


def test_it_starts_with_the_currencies_and_one_pricing_unit(client):
    units = {one.id: one for one in client.v1.pricing_units.list()}

    assert units[USD_ID].name == "USD (cents)"
    assert [(one.id, one.name) for one in units.values() if not one.is_currency] == [
        (VC, "Credits")
    ]


def test_a_pricing_unit_can_be_made_and_archived(client):
    made = client.v1.pricing_units.create(name="Tokens").data
    assert made.id in {one.id for one in client.v1.pricing_units.list()}

    client.v1.pricing_units.archive(id=made.id)

    assert made.id not in {one.id for one in client.v1.pricing_units.list()}


def test_a_metric_needs_its_keys_among_the_property_filters(client):
    with pytest.raises(
        BadRequestError,
        match="The specified aggregation key must be one of the property filter names",
    ):
        client.v1.billable_metrics.create(
            name="m", aggregation_type="SUM", aggregation_key="text_length"
        )
    with pytest.raises(BadRequestError, match="group keys"):
        client.v1.billable_metrics.create(
            name="m", aggregation_type="COUNT", group_keys=[["voice_type"]]
        )


def test_a_metric_reads_back_renames_and_archives(client, shop):
    metric = client.v1.billable_metrics.retrieve(billable_metric_id=shop.speech_metric).data
    assert (metric.aggregation_type, metric.aggregation_key, metric.group_keys) == (
        "SUM",
        "text_length",
        [["voice_type"]],
    )

    client.v1.billable_metrics.update(billable_metric_id=shop.speech_metric, name="Characters")
    client.v1.billable_metrics.archive(id=shop.speech_metric)

    assert "Characters" not in {one.name for one in client.v1.billable_metrics.list()}
    assert "Characters" in {
        one.name for one in client.v1.billable_metrics.list(include_archived=True)
    }


def test_a_product_has_its_name_in_its_current_state_and_updates_take_effect_in_time(
    box, client, shop
):
    client.v1.contracts.products.update(
        product_id=shop.credits, starting_at=HOUR + timedelta(hours=2), name="Voice credits"
    )
    assert (
        client.v1.contracts.products.retrieve(id=shop.credits).data.current.name == "Shop credits"
    )

    box.clock.advance(seconds=7200)

    product = client.v1.contracts.products.retrieve(id=shop.credits).data
    assert (product.current.name, product.initial.name) == ("Voice credits", "Shop credits")
    assert len(product.updates) == 1


def test_a_product_update_off_the_hour_is_refused(client, shop):
    with pytest.raises(
        BadRequestError, match="Product update effective at is required to be on an hour boundary"
    ):
        client.v1.contracts.products.update(
            product_id=shop.credits, starting_at=HOUR + timedelta(minutes=1), name="x"
        )


def test_archived_products_are_listed_only_when_asked_for(client, shop):
    client.v1.contracts.products.archive(product_id=shop.cloning)

    assert shop.cloning not in {one.id for one in client.v1.contracts.products.list()}
    assert [one.id for one in client.v1.contracts.products.list(archive_filter="ARCHIVED")] == [
        shop.cloning
    ]


def test_pricing_group_keys_must_be_a_group_key_of_the_metric(client, shop):
    with pytest.raises(BadRequestError, match="together in one group key"):
        client.v1.contracts.products.create(
            name="p",
            type="USAGE",
            billable_metric_id=shop.speech_metric,
            pricing_group_key=["language"],
        )


def test_a_rate_card_shows_its_conversion_as_text_and_is_listed_with_an_empty_body(client, shop):
    card = next(iter(client.v1.contracts.rate_cards.list(body={})))

    assert (card.id, card.name) == (shop.card, "Voices")
    assert card.credit_type_conversions[0].fiat_per_custom_credit == "0.025"
    assert card.fiat_credit_type.id == USD_ID


def test_a_conversion_can_be_added_but_not_changed(client, shop):
    tokens = client.v1.pricing_units.create(name="Tokens").data.id
    cards = client.v1.contracts.rate_cards
    cards.update(
        rate_card_id=shop.card,
        add_credit_type_conversions=[
            {"custom_credit_type_id": tokens, "fiat_per_custom_credit": 2}
        ],
    )

    assert len(cards.retrieve(id=shop.card).data.credit_type_conversions) == 2
    with pytest.raises(BadRequestError, match="cannot be changed"):
        cards.update(
            rate_card_id=shop.card,
            add_credit_type_conversions=[
                {"custom_credit_type_id": VC, "fiat_per_custom_credit": 1}
            ],
        )


def test_a_rate_in_a_unit_without_conversion_is_refused(client, shop):
    tokens = client.v1.pricing_units.create(name="Tokens").data.id
    with pytest.raises(BadRequestError, match="no conversion"):
        client.v1.contracts.rate_cards.rates.add(
            rate_card_id=shop.card,
            product_id=shop.cloning,
            entitled=True,
            rate_type="FLAT",
            price=1,
            credit_type_id=tokens,
            starting_at=HOUR,
        )


def test_the_rates_in_force_are_listed_and_a_repeated_start_replaces(client, shop):
    rates = client.v1.contracts.rate_cards.rates
    for price in (3, 4):
        answer = rates.add(
            rate_card_id=shop.card,
            product_id=shop.speech,
            entitled=True,
            rate_type="FLAT",
            price=price,
            credit_type_id=VC,
            starting_at=HOUR,
            pricing_group_values={"voice_type": "premium"},
        )
        assert answer.data.price == price

    now = {
        (one.product_name, (one.pricing_group_values or {}).get("voice_type")): one.rate.price
        for one in rates.list(rate_card_id=shop.card, at=HOUR)
    }
    before = [
        one.rate.price
        for one in rates.list(
            rate_card_id=shop.card,
            at=HOUR - timedelta(hours=1),
            selectors=[
                {"product_id": shop.speech, "pricing_group_values": {"voice_type": "premium"}}
            ],
        )
    ]

    assert now == {
        ("Voice generation", "standard"): 1,
        ("Voice generation", "premium"): 4,
        ("Voice cloning", None): 25_000,
    }
    assert before == [2]
    schedule = client.v1.contracts.rate_cards.retrieve_rate_schedule(
        rate_card_id=shop.card, starting_at=HOUR
    )
    assert len(schedule.data) == 4


def test_a_rate_must_name_exactly_the_pricing_group(client, shop):
    with pytest.raises(BadRequestError, match="pricing group key"):
        client.v1.contracts.rate_cards.rates.add(
            rate_card_id=shop.card,
            product_id=shop.speech,
            entitled=True,
            rate_type="FLAT",
            price=1,
            credit_type_id=VC,
            starting_at=HOUR,
        )


def test_sql_metrics_are_501(client):
    with pytest.raises(APIStatusError, match="does not support SQL metrics") as caught:
        client.v1.billable_metrics.create(name="sql", sql="SELECT 1")
    assert caught.value.status_code == 501
