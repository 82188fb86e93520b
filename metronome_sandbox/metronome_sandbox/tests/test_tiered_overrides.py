"""Overrides with tiers, each number computed by hand beside it. A character costs 1 credit."""

from datetime import timedelta

import pytest
from metronome import APIStatusError, BadRequestError

from .test_packages import after, on
from .test_prices import multiplier, overwrite
from .world import HOUR, NOW, VC

EXPLICIT = {"multiplier_override_prioritization": "EXPLICIT"}


@pytest.fixture
def alice(shop):
    return shop.customer("alice")


def tiered(*tiers, priority=1, **extra):
    """Tiers as (multiplier, size), the last without a size if there is no end to it."""
    shown = [{"multiplier": tier[0], **({"size": tier[1]} if tier[1:] else {})} for tier in tiers]
    item = {"type": "TIERED", "tiers": shown, "priority": priority, "starting_at": HOUR}
    return {**item, **extra}


def paid(shop, customer, *overrides, characters=20, **options):
    shop.contract(customer, shop.commit(10_000), overrides=list(overrides), **EXPLICIT, **options)
    shop.speak("alice", characters)
    return 10_000 - shop.net(customer)


@pytest.mark.parametrize(
    ("overrides", "cost"),
    [
        # The published example: 0.9 with size 5 is for the first 5 only; 5 × 0.9 + 15 × 1
        ([tiered((0.9, 5))], 19.5),
        ([tiered((0.5, 8), (0.25,))], 8 * 0.5 + 12 * 0.25),
        ([tiered((0.5, 8), (0.25, 4))], 8 * 0.5 + 4 * 0.25 + 8),
        ([tiered((0, 30))], 0),
        # The lower priority value counts, of tiers and multipliers alike.
        ([tiered((0.5, 8)), multiplier(0.8, priority=2)], 8 * 0.5 + 12),
        ([tiered((0.5, 8), priority=3), multiplier(0.8, priority=2)], 20 * 0.8),
        # An overwrite goes before both.
        ([tiered((0.5, 8)), overwrite(3, priority=9)], 60),
    ],
)
def test_a_tier_is_a_multiplier_for_a_part_of_the_usage(shop, alice, overrides, cost):
    assert paid(shop, alice, *overrides) == pytest.approx(cost)


def test_tiers_of_the_rate_and_of_the_override_are_laid_over_each_other(client, shop, alice):
    client.v1.contracts.rate_cards.rates.add(
        rate_card_id=shop.card,
        product_id=shop.speech,
        entitled=True,
        rate_type="TIERED",
        tiers=[{"size": 6, "price": 4}, {"price": 2}],
        credit_type_id=VC,
        pricing_group_values={"voice_type": "standard"},
        starting_at=HOUR,
    )
    # 6 × 4 × 0.5, 4 × 2 × 0.5, 10 × 2 × 0.25
    assert paid(shop, alice, tiered((0.5, 10), (0.25,))) == 21

    (contract,) = client.v2.contracts.list(customer_id=alice).data
    (tiers,) = [
        row.override_rate.tiers
        for row in client.v1.contracts.retrieve_rate_schedule(
            contract_id=contract.id, customer_id=alice, at=HOUR
        ).data
        if row.pricing_group_values == {"voice_type": "standard"}
    ]
    assert [(tier.price, tier.size) for tier in tiers] == [(2, 6), (1, 4), (0.5, None)]


def test_they_fill_up_over_a_billing_period_by_each_group(box, client, shop, alice):
    start = HOUR - timedelta(hours=3)
    shop.contract(
        alice,
        shop.commit(1_000, starting_at=start, days=60),
        overrides=[tiered((0.5, 10), starting_at=start)],
        starting_at=start,
        **EXPLICIT,
    )
    shop.speak("alice", 6, at=start)
    shop.speak("alice", 6, at=NOW)
    shop.speak("alice", 4, voice="premium")
    # 10 × 0.5 + 2 × 1 standard, 4 × 2 × 0.5 premium
    assert 1_000 - shop.net(alice) == 7 + 4

    april = NOW.replace(month=4)
    box.clock.move_to(april)
    shop.speak("alice", 6, at=april)
    assert 1_000 - shop.net(alice) == 7 + 4 + 6 * 0.5


def test_usage_before_an_override_begins_fills_its_tiers(box, shop, alice):
    noon = HOUR + timedelta(hours=3)
    shop.contract(
        alice, shop.commit(1_000), overrides=[tiered((0.5, 10), starting_at=noon)], **EXPLICIT
    )
    shop.speak("alice", 6)
    box.clock.move_to(noon)
    shop.speak("alice", 6, at=noon)

    # "the first 10 uses in the billing period": 6 × 1, then 4 × 0.5 and 2 × 1
    assert 1_000 - shop.net(alice) == 10


def test_commits_may_have_tiers_of_their_own(client, shop, alice):
    shop.contract(
        alice,
        shop.commit(20),
        overrides=[tiered((0.5, 10), is_commit_specific=True), multiplier(2, priority=2)],
        **EXPLICIT,
    )
    shop.speak("alice", 30)

    # 10 × 0.5, then 15 of 20 × 1 for the 15 credits left; the last 5 cost 2 each, at 0.025 cents
    assert shop.net(alice) == 0
    draft = client.v1.customers.invoices.list(customer_id=alice, type="USAGE").data[0]
    assert draft.total == 5 * 2 * 0.025


def test_they_are_read_back_also_from_a_package(client, shop, alice):
    timeless = {
        "starting_at_offset": after(0),
        "override_specifiers": [{"product_id": shop.speech}],
    }
    override = {**tiered((0.5, 8), (0.25,)), **timeless}
    del override["starting_at"]
    package = client.v1.packages.create(
        name="Starter", rate_card_id=shop.card, overrides=[override], **EXPLICIT
    ).data.id
    (of_package,) = client.v1.packages.retrieve(package_id=package).data.overrides

    (of_contract,) = on(client, alice, package_id=package).overrides

    for one in (of_package, of_contract):
        assert (one.type, one.priority) == ("TIERED", 1)
        assert [(tier.multiplier, tier.size) for tier in one.override_tiers] == [
            (0.5, 8),
            (0.25, None),
        ]
    shop.speak("alice", 20)
    draft = client.v1.customers.invoices.list(customer_id=alice, type="USAGE").data[0]
    assert [
        (line.quantity, line.unit_price) for line in draft.line_items if line.type == "usage"
    ] == [
        (8, 0.5),
        (12, 0.25),
    ]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (tiered(), "at least one"),
        (multiplier(0.5, priority=1, tiers=[{"multiplier": 1}]), "if its type is TIERED"),
        (tiered((0.5,), multiplier=0.5), "has its multipliers in its tiers"),
        (tiered((-1,)), "at least 0"),
        (tiered((1, 0)), "greater than 0"),
        (tiered((1,), (1, 5)), "Every tier but the last"),
        (
            tiered((1,), override_specifiers=[{"presentation_group_values": {"a": "b"}}]),
            "only be used for multiplier",
        ),
    ],
)
def test_tiers_that_mean_nothing_are_refused(shop, alice, override, message):
    with pytest.raises(BadRequestError, match=message):
        shop.contract(alice, overrides=[override], **EXPLICIT)


def test_they_need_explicit_priorities_and_are_of_usage(client, shop, alice):
    with pytest.raises(BadRequestError, match="EXPLICIT"):
        shop.contract(alice, overrides=[tiered((0.5,))])
    unranked = tiered((0.5,))
    del unranked["priority"]
    with pytest.raises(BadRequestError, match="priority is required"):
        shop.contract(alice, overrides=[unranked], **EXPLICIT)
    specifiers = [{"billing_frequency": "MONTHLY"}]
    with pytest.raises(APIStatusError) as caught:
        shop.contract(alice, overrides=[tiered((1,), override_specifiers=specifiers)], **EXPLICIT)
    assert caught.value.status_code == 501
