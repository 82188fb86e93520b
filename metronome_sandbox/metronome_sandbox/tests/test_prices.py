"""Overrides, rounding, draw order and windows, each number computed by hand beside it."""

from datetime import UTC, datetime, timedelta

import pytest
from metronome import APIStatusError, BadRequestError

from metronome_sandbox import USD_ID

from .world import HOUR, NOW, VC


@pytest.fixture
def alice(shop):
    return shop.customer("alice")


def multiplier(factor, **extra):
    return {"type": "MULTIPLIER", "multiplier": factor, "starting_at": HOUR, **extra}


def overwrite(price, **extra):
    rate = {"rate_type": "FLAT", "price": price, "credit_type_id": extra.pop("unit", VC)}
    return {"type": "OVERWRITE", "overwrite_rate": rate, "starting_at": HOUR, **extra}


def price(shop, customer, *overrides, voice="standard", **options):
    """What 100 characters at a list price of 1 cost under these overrides."""
    shop.contract(customer, shop.commit(10_000), overrides=list(overrides), **options)
    shop.speak("alice", 100, voice=voice)
    return 10_000 - shop.net(customer)


# Overrides


@pytest.mark.parametrize(
    ("overrides", "cost"),
    [
        # One multiplier counts, the lowest: 100 × 0.8; not 100 × 0.9 × 0.8 = 72.
        ([multiplier(0.9), multiplier(0.8)], 80),
        ([multiplier(0.8), multiplier(0.9)], 80),
        # An overwrite goes before a multiplier, which does not touch it: 100 × 3.
        ([overwrite(3), multiplier(0.5)], 300),
        ([multiplier(0.5), overwrite(3)], 300),
        # Of two overwrites the one added last.
        ([overwrite(3), overwrite(2)], 200),
        # A priority without EXPLICIT says nothing: still the lowest.
        ([multiplier(0.9, priority=1), multiplier(0.8, priority=2)], 80),
        ([multiplier(0)], 0),
        ([multiplier(1.5)], 150),
    ],
)
def test_one_override_sets_the_price(shop, alice, overrides, cost):
    assert price(shop, alice, *overrides) == cost


@pytest.mark.parametrize(
    ("overrides", "cost"),
    [
        # EXPLICIT: the lowest priority value, whatever its multiplier.
        ([multiplier(0.9, priority=1), multiplier(0.8, priority=2)], 90),
        ([multiplier(0.8, priority=2), multiplier(0.9, priority=1)], 90),
        ([multiplier(0.5, priority=1), overwrite(3, priority=9)], 300),
    ],
)
def test_explicit_priorities_go_by_their_value(shop, alice, overrides, cost):
    explicit = {"multiplier_override_prioritization": "EXPLICIT"}
    assert price(shop, alice, *overrides, **explicit) == cost


def test_explicit_multipliers_need_a_priority(client, shop, alice):
    with pytest.raises(BadRequestError, match="priority is required"):
        shop.contract(
            alice,
            overrides=[multiplier(0.5)],
            multiplier_override_prioritization="EXPLICIT",
        )
    contract = shop.contract(alice, multiplier_override_prioritization="EXPLICIT")
    with pytest.raises(BadRequestError, match="priority must be greater than 0"):
        client.v2.contracts.edit(
            contract_id=contract, customer_id=alice, add_overrides=[multiplier(0.5, priority=0)]
        )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (multiplier(-1), "at least 0"),
        ({"type": "OVERWRITE", "starting_at": HOUR}, "overwrite_rate is required"),
        ({"type": "MULTIPLIER", "starting_at": HOUR}, "multiplier is required"),
        (multiplier(1, ending_before=HOUR), "after starting_at"),
        (
            multiplier(1, applicable_product_tags=["a"], override_specifiers=[{}]),
            "Give override_specifiers, or",
        ),
    ],
)
def test_overrides_that_mean_nothing_are_refused(shop, alice, override, message):
    with pytest.raises(BadRequestError, match=message):
        shop.contract(alice, overrides=[override])


@pytest.mark.parametrize(
    "override",
    [
        multiplier(1, is_commit_specific=True, entitled=True),
        multiplier(
            1, is_commit_specific=True, override_specifiers=[{"billing_frequency": "MONTHLY"}]
        ),
    ],
)
def test_overrides_that_are_not_emulated_are_501(shop, alice, override):
    with pytest.raises(APIStatusError) as caught:
        shop.contract(alice, overrides=[override])
    assert caught.value.status_code == 501


def test_an_overwrite_may_be_in_another_unit(client, shop, alice):
    money = shop.commit(1_000, name="money")
    money["access_schedule"]["credit_type_id"] = USD_ID
    shop.contract(alice, money, shop.commit(500), overrides=[overwrite(0.5, unit=USD_ID)])
    shop.speak("alice", 100)

    # 100 characters at half a cent
    assert (shop.net(alice, USD_ID), shop.net(alice)) == (950, 500)


def test_an_override_can_be_for_some_groups_only_and_for_some_time(client, shop, alice):
    groups = [{"pricing_group_values": {"voice_type": "premium"}}]
    shop.contract(
        alice,
        shop.commit(10_000),
        overrides=[
            multiplier(0.5, override_specifiers=groups, ending_before=HOUR + timedelta(hours=1))
        ],
    )
    shop.speak("alice", 100, voice="premium")
    shop.speak("alice", 100)
    shop.speak("alice", 100, voice="premium", at=HOUR + timedelta(hours=1))

    assert shop.net(alice) == 10_000 - 100 - 100 - 200  # 2 × 0.5 × 100; 1 × 100; 2 × 100


def test_one_of_the_older_tags_is_enough_a_specifier_needs_all(client, shop, alice):
    client.v1.contracts.products.update(
        product_id=shop.speech, starting_at=HOUR, tags=["voice", "audio"]
    )
    assert price(shop, alice, multiplier(0.5, applicable_product_tags=["audio", "other"])) == 50
    bob = shop.customer("bob")
    shop.contract(
        bob,
        shop.commit(10_000),
        overrides=[multiplier(0.5, override_specifiers=[{"product_tags": ["audio", "other"]}])],
    )
    shop.speak("bob", 100)
    assert 10_000 - shop.net(bob) == 100


def test_entitlement_can_be_taken_and_given(client, shop, alice):
    shop.contract(alice, shop.commit(1_000), overrides=[{"entitled": False, "starting_at": HOUR}])
    shop.speak("alice", 100)
    assert shop.net(alice) == 1_000

    client.v1.contracts.rate_cards.rates.add(
        rate_card_id=shop.card,
        product_id=shop.cloning,
        entitled=False,
        rate_type="FLAT",
        price=7,
        credit_type_id=VC,
        starting_at=HOUR,
    )
    bob = shop.customer("bob")
    shop.contract(bob, shop.commit(1_000), overrides=[{"entitled": True, "starting_at": HOUR}])
    event = {**shop.event("bob", 0), "event_type": "voice_cloning"}
    client.v1.usage.ingest(usage=[event])
    assert shop.net(bob) == 993


def test_the_rate_schedule_shows_what_the_overrides_make_of_it(client, shop, alice):
    contract = shop.contract(
        alice,
        overrides=[
            multiplier(0.5, override_specifiers=[{"product_id": shop.speech}]),
            overwrite(9, override_specifiers=[{"product_id": shop.cloning}]),
        ],
    )
    rates = client.v1.contracts.retrieve_rate_schedule(
        contract_id=contract, customer_id=alice, at=NOW
    ).data

    shown = {
        (one.product_name, (one.pricing_group_values or {}).get("voice_type")): (
            one.list_rate.price,
            one.override_rate.price,
        )
        for one in rates
    }
    assert shown == {
        ("Voice generation", "standard"): (1, 0.5),
        ("Voice generation", "premium"): (2, 1),
        ("Voice cloning", None): (25_000, 9),
    }


# Rounding


def rounded(client, shop, method, places, *, divide=1_000, cost=10, **extra):
    product = client.v1.contracts.products.create(
        name="Rounded",
        type="USAGE",
        billable_metric_id=shop.speech_metric,
        quantity_conversion={"conversion_factor": divide, "operation": "DIVIDE"},
        quantity_rounding={"rounding_method": method, "decimal_places": places},
        **extra,
    ).data.id
    card = client.v1.contracts.rate_cards.create(
        name="Rounded",
        credit_type_conversions=[{"custom_credit_type_id": VC, "fiat_per_custom_credit": 0.025}],
    ).data.id
    client.v1.contracts.rate_cards.rates.add(
        rate_card_id=card,
        product_id=product,
        entitled=True,
        rate_type="FLAT",
        price=cost,
        credit_type_id=VC,
        starting_at="2026-01-01T00:00:00Z",
    )
    shop.card = card


@pytest.mark.parametrize(
    ("method", "places", "cost"),
    [
        ("ROUND_UP", 0, 20),  # 1,001 / 1,000 = 1.001, up to 2, × 10
        ("ROUND_DOWN", 0, 10),
        ("ROUND_HALF_UP", 0, 10),
        ("ROUND_UP", 2, 10.1),  # 1.01 × 10
        ("round_half_up", 3, 10.01),
    ],
)
def test_the_quantity_of_a_line_is_rounded(client, shop, alice, method, places, cost):
    rounded(client, shop, method, places)
    shop.contract(alice, shop.commit(1_000))
    shop.speak("alice", 1_001)

    assert 1_000 - shop.net(alice) == pytest.approx(cost)


def test_a_line_is_rounded_as_a_whole_not_hour_by_hour(client, shop, alice):
    start = HOUR - timedelta(hours=5)
    rounded(client, shop, "ROUND_UP", 0)
    shop.contract(alice, shop.commit(1_000, starting_at=start), starting_at=start)
    for hours in range(5):
        shop.speak("alice", 300, at=NOW - timedelta(hours=hours))

    # 5 × 300 / 1,000 = 1.5, up to 2; hour by hour it would be 5.
    assert 1_000 - shop.net(alice) == 20
    invoice = client.v1.customers.invoices.list(customer_id=alice, type="USAGE").data[0]
    assert [line.quantity for line in invoice.line_items if line.type == "usage"] == [2]


def test_each_billing_period_is_rounded_by_itself(box, client, shop, alice):
    rounded(client, shop, "ROUND_UP", 0)
    shop.contract(alice, shop.commit(1_000, days=60))
    shop.speak("alice", 100)
    box.clock.move_to(NOW.replace(month=4))
    shop.speak("alice", 100, at=NOW.replace(month=4))

    assert 1_000 - shop.net(alice) == 20  # 1 in March, 1 in April


def test_thirds_add_up(client, shop, alice):
    rounded(client, shop, "ROUND_DOWN", 0, divide=3)
    start = HOUR - timedelta(hours=3)
    shop.contract(alice, shop.commit(1_000, starting_at=start), starting_at=start)
    for hours in range(3):
        shop.speak("alice", 1, at=NOW - timedelta(hours=hours))

    assert 1_000 - shop.net(alice) == 10  # 1/3 + 1/3 + 1/3 = 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"type": "FIXED"}, "only possible for a USAGE product"),
        (
            {"quantity_rounding": {"rounding_method": "ROUND_UP", "decimal_places": -1}},
            "whole number",
        ),
        (
            {"quantity_conversion": {"conversion_factor": 0, "operation": "DIVIDE"}},
            "must not be 0",
        ),
    ],
)
def test_rounding_that_cannot_be_is_refused(client, shop, options, message):
    body = {
        "name": "p",
        "type": "USAGE",
        "billable_metric_id": shop.speech_metric,
        "quantity_rounding": {"rounding_method": "ROUND_UP", "decimal_places": 0},
        **options,
    }
    with pytest.raises(BadRequestError, match=message):
        client.v1.contracts.products.create(**body)


# Draw order


def left(shop, customer):
    return {one.name: one.balance for one in shop.balances(customer)}


def test_a_tag_serves_as_many_products_as_have_it(client, shop, alice):
    client.v1.contracts.products.update(product_id=shop.speech, starting_at=HOUR, tags=["voice"])
    shop.contract(
        alice,
        shop.commit(100, name="all", days=1),
        shop.commit(100, name="tagged", days=30, applicable_product_tags=["voice"]),
    )
    shop.speak("alice", 120)

    assert left(shop, alice) == {"tagged": 0, "all": 80}


def test_a_specifier_serves_the_products_it_names(shop, alice):
    shop.contract(
        alice,
        shop.commit(100, name="all", days=1),
        shop.commit(100, name="two", days=2, applicable_product_ids=[shop.speech, shop.cloning]),
        shop.commit(100, name="one", days=30, specifiers=[{"product_id": shop.speech}]),
    )
    shop.speak("alice", 250)

    assert left(shop, alice) == {"one": 0, "two": 0, "all": 50}


def test_fewer_group_specifiers_go_first_and_none_at_all_last(shop, alice):
    def groups(*voices):
        return [{"pricing_group_values": {"voice_type": voice}} for voice in voices]

    shop.contract(
        alice,
        shop.commit(100, name="any", days=1),
        shop.commit(100, name="two", days=2, specifiers=groups("standard", "premium")),
        shop.commit(100, name="one", days=30, specifiers=groups("standard")),
    )
    shop.speak("alice", 250)

    assert left(shop, alice) == {"one": 0, "two": 0, "any": 50}


def test_the_published_example_draws_in_its_published_order(shop, alice):
    """https://docs.metronome.com/guides/pricing-packaging/apply-credits-and-commits/prioritization-rules"""
    specifiers = [
        {"product_id": shop.speech, "pricing_group_values": {"voice_type": "standard"}},
        {"pricing_group_values": {"voice_type": "standard"}},
    ]
    commits = [
        shop.commit(10, name="F", days=365, cents=10),
        shop.commit(10, name="E", days=730, cents=10, specifiers=specifiers),
        shop.commit(10, name="D", days=365, cents=10, specifiers=specifiers),
        shop.commit(10, name="C", days=365, cents=10, applicable_product_ids=[shop.speech]),
        shop.commit(10, name="B", days=365),
        shop.commit(10, name="A", days=365, cents=10, priority=50),
    ]
    shop.contract(alice, *commits)
    emptied = []
    for _ in range(6):
        shop.speak("alice", 10)
        emptied += [
            name
            for name, balance in left(shop, alice).items()
            if balance == 0 and name not in emptied
        ]

    assert emptied == ["A", "B", "C", "D", "E", "F"]


# Windows


@pytest.fixture
def counted(client, shop, alice):
    """Events 5, 9 and 9 on the 9th, and 4 on the 10th, counted by MAX, LATEST and UNIQUE."""
    ids = {}
    for kind in ("MAX", "LATEST", "UNIQUE"):
        ids[kind] = client.v1.billable_metrics.create(
            name=kind,
            aggregation_type=kind,
            aggregation_key="seats",
            event_type_filter={"in_values": ["seats"]},
            property_filters=[{"name": "seats", "exists": True}, {"name": "team", "exists": True}],
            group_keys=[["team"]],
        ).data.id
    for at, seats, team in (
        (NOW - timedelta(days=1, hours=5), "5", "a"),
        (NOW - timedelta(days=1, hours=4), "9", "a"),
        (NOW - timedelta(days=1, hours=3), "9", "b"),
        (NOW, "4", "b"),
    ):
        event = {**shop.event("alice", 0, at=at), "event_type": "seats"}
        client.v1.usage.ingest(usage=[{**event, "properties": {"seats": seats, "team": team}}])
    return ids


@pytest.mark.parametrize(
    ("kind", "by_day", "whole"),
    [("MAX", [9, 4], 9), ("LATEST", [9, 4], 4), ("UNIQUE", [2, 1], 3)],
)
def test_a_window_has_its_own_value(client, alice, counted, kind, by_day, whole):
    def ask(size):
        return [
            item.value
            for item in client.v1.usage.list(
                starting_on=datetime(2026, 3, 9, tzinfo=UTC),
                ending_before=datetime(2026, 3, 11, tzinfo=UTC),
                window_size=size,
                customer_ids=[alice],
                billable_metrics=[{"id": counted[kind]}],
            )
        ]

    assert (ask("DAY"), ask("NONE")) == (by_day, [whole])
    groups = client.v1.usage.list_with_groups(
        billable_metric_id=counted[kind],
        customer_id=alice,
        window_size="DAY",
        starting_on=datetime(2026, 3, 9, tzinfo=UTC),
        ending_before=datetime(2026, 3, 11, tzinfo=UTC),
        group_key=["team"],
    ).data
    # a: 5, 9 on the 9th; b: 9 on the 9th, 4 on the 10th
    expected = {"MAX": [9, 9, 4], "LATEST": [9, 9, 4], "UNIQUE": [2, 1, 1]}
    assert [item.value for item in groups] == expected[kind]


@pytest.mark.parametrize(("kind", "cost"), [("MAX", 9 + 4), ("LATEST", 9 + 4), ("UNIQUE", 2 + 1)])
def test_a_billing_period_counts_by_itself_wherever_it_begins(
    client, shop, alice, counted, kind, cost
):
    """Weeks that begin on 10 March 00:00: the first has 5, 9, 9; the second 4."""
    product = client.v1.contracts.products.create(
        name=kind, type="USAGE", billable_metric_id=counted[kind]
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
    start = datetime(2026, 3, 3, tzinfo=UTC)
    shop.contract(
        alice,
        shop.commit(100, starting_at=start, days=60),
        starting_at=start,
        usage_statement_schedule={"frequency": "WEEKLY", "day": "CONTRACT_START"},
    )

    assert 100 - shop.net(alice) == cost
