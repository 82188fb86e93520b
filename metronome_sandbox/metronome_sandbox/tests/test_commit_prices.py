"""Commit rates and commit-specific overrides, each number computed by hand beside it."""

from datetime import timedelta

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


def with_commit(factor, **extra):
    return multiplier(factor, is_commit_specific=True, **extra)


def rate(client, shop, price, commit_rate, *, voice="standard", **extra):
    """From now on the list price and the price of commits for characters of a voice."""
    return client.v1.contracts.rate_cards.rates.add(
        rate_card_id=shop.card,
        product_id=shop.speech,
        entitled=True,
        rate_type=extra.pop("rate_type", "FLAT"),
        **({} if price is None else {"price": price}),
        credit_type_id=VC,
        pricing_group_values={"voice_type": voice},
        starting_at=HOUR,
        commit_rate=commit_rate,
        **extra,
    ).data


def flat(price):
    return {"rate_type": "FLAT", "price": price}


def usage(client, customer):
    """(type, quantity, unit price, total) of the lines of the draft."""
    draft = client.v1.customers.invoices.list(customer_id=customer, type="USAGE").data[0]
    lines = [(line.type, line.quantity, line.unit_price, line.total) for line in draft.line_items]
    return draft.total, lines


# Zero overage


@pytest.mark.parametrize(
    "overrides",
    [
        # The recipe measured live: nothing costs anything, but what commits pay.
        [multiplier(0), overwrite(1, is_commit_specific=True)],
        # The list price times one, as commit-specific overrides go before others.
        [multiplier(0), with_commit(1)],
        [with_commit(1), overwrite(0)],
    ],
)
def test_usage_beyond_the_last_credit_costs_nothing(client, shop, alice, overrides):
    shop.contract(alice, shop.commit(100), overrides=overrides)
    shop.speak("alice", 60)
    shop.speak("alice", 70)  # 40 of it are paid

    assert shop.net(alice) == 0
    assert usage(client, alice) == (
        0,
        [
            ("usage", 100, 1, 100),
            ("applied_commit_or_credit", None, None, -100),
            ("usage", 30, 0, 0),
        ],
    )


def test_a_list_price_of_zero_with_a_commit_rate_costs_nothing_beyond_the_commit(
    client, shop, alice
):
    shown = rate(client, shop, 0, flat(4))
    shop.contract(alice, shop.commit(100, rate_type="COMMIT_RATE"))
    shop.speak("alice", 30)

    assert (shown.price, shown.commit_rate.price) == (0, 4)
    # 100 credits pay 25 characters at 4; 5 are free.
    assert usage(client, alice)[1] == [
        ("usage", 25, 4, 100),
        ("applied_commit_or_credit", None, None, -100),
        ("usage", 5, 0, 0),
    ]


def test_what_is_left_of_a_commit_that_no_price_divides_is_drawn_to_the_end(client, shop, alice):
    shop.contract(
        alice, shop.commit(100), shop.commit(7), overrides=[multiplier(0), with_commit(3)]
    )
    shop.speak("alice", 40)

    # 33 1/3 characters at 3 of the first, 2 1/3 of the second; the rest is free.
    assert shop.net(alice) == 0
    total, lines = usage(client, alice)
    assert (total, [line[3] for line in lines]) == (0, [100, -100, 7, -7, 0])
    assert sum(line[1] or 0 for line in lines) == pytest.approx(40)


def test_a_later_commit_pays_for_what_was_free(client, shop, alice):
    contract = shop.contract(alice, shop.commit(100), overrides=[multiplier(0), with_commit(1)])
    shop.speak("alice", 130)
    client.v2.contracts.edit(customer_id=alice, contract_id=contract, add_commits=[shop.commit(50)])
    assert shop.net(alice) == 20


def test_dollars_pay_for_credits_at_the_price_of_commits(client, shop, alice):
    money = shop.commit(1)  # a cent
    money["access_schedule"]["credit_type_id"] = USD_ID
    shop.contract(alice, shop.commit(100), money, overrides=[multiplier(0), with_commit(2)])
    shop.speak("alice", 80)

    # 50 characters at 2 take 100 credits. A cent is 40 credits, 20 characters. 10 are free.
    assert (shop.net(alice), shop.net(alice, USD_ID)) == (0, 0)
    assert usage(client, alice) == (
        0,
        [
            ("usage", 50, 2, 100),
            ("applied_commit_or_credit", None, None, -100),
            ("usage", 20, 2, 40),
            ("cpu_conversion", 40, 0.025, 1),
            ("applied_commit_or_credit", None, None, -1),
            ("usage", 10, 0, 0),
        ],
    )


# Which price


@pytest.mark.parametrize(
    ("overrides", "paid", "beyond"),
    [
        # Of commit-specific multipliers the lowest; of the others, too.
        ([multiplier(0.5), with_commit(0.9), with_commit(0.8)], 0.8, 0.5),
        # A commit-specific multiplier goes before an overwrite without commit: 1 × 0.8.
        ([overwrite(3), with_commit(0.8)], 0.8, 3),
        # A commit-specific overwrite before a commit-specific multiplier.
        ([with_commit(0.1), overwrite(2, is_commit_specific=True)], 2, 1),
        ([with_commit(0.5)], 0.5, 1),
        ([multiplier(0.5)], 0.5, 0.5),
        # For commit rates, of which the card has none: ignored.
        ([with_commit(0.5, target="COMMIT_RATE")], 1, 1),
    ],
)
def test_commit_specific_overrides_go_before_others(client, shop, alice, overrides, paid, beyond):
    shop.contract(alice, shop.commit(100 * paid), overrides=overrides)
    shop.speak("alice", 200)

    lines = [line for line in usage(client, alice)[1] if line[0] == "usage"]
    if paid == beyond:
        assert [line[1:] for line in lines] == [(100, paid, 100 * paid), (100, paid, 100 * paid)]
    else:
        assert lines == [
            ("usage", 100, paid, 100 * paid),
            ("usage", 100, beyond, 100 * beyond),
        ]


def test_explicit_priorities_count_among_commit_specific_ones(shop, alice):
    shop.contract(
        alice,
        shop.commit(1_000),
        multiplier_override_prioritization="EXPLICIT",
        overrides=[
            with_commit(0.9, priority=2),
            with_commit(0.2, priority=3),
            multiplier(0.1, priority=1),
        ],
    )
    shop.speak("alice", 100)
    assert shop.net(alice) == 910


@pytest.mark.parametrize(
    ("rate_type", "overrides", "paid"),
    [
        ("COMMIT_RATE", [], 8),
        ("LIST_RATE", [], 10),
        # Others are for the list price only.
        ("COMMIT_RATE", [multiplier(0.5)], 8),
        ("COMMIT_RATE", [with_commit(0.5)], 8),
        ("COMMIT_RATE", [with_commit(0.9, target="COMMIT_RATE")], 7.2),
        ("LIST_RATE", [with_commit(0.9, target="COMMIT_RATE"), multiplier(0.8)], 8),
        ("LIST_RATE", [with_commit(0.5, target="LIST_RATE")], 5),
    ],
)
def test_a_commit_pays_the_rate_of_its_type(client, shop, alice, rate_type, overrides, paid):
    rate(client, shop, 10, flat(8))
    shop.contract(alice, shop.commit(1_000, rate_type=rate_type), overrides=overrides)
    shop.speak("alice", 10)
    assert shop.net(alice) == 1_000 - 10 * paid


def test_without_a_commit_rate_on_the_card_the_list_price_is_paid(client, shop, alice):
    shop.contract(alice, shop.commit(1_000, rate_type="COMMIT_RATE"), overrides=[multiplier(0.5)])
    shop.speak("alice", 10)
    assert shop.net(alice) == 995


def test_tiers_fill_up_by_all_usage_whichever_rate_pays(client, shop, alice):
    tiers = [{"size": 10, "price": 5}, {"price": 3}]
    rate(
        client,
        shop,
        None,
        {"rate_type": "TIERED", "tiers": [{"size": 15, "price": 4}, {"price": 2}]},
        rate_type="TIERED",
        tiers=tiers,
    )
    shop.contract(alice, shop.commit(64, rate_type="COMMIT_RATE"))
    shop.speak("alice", 30)

    # 15 at 4 and 2 at 2 are 64. The 13 after them are in the list price's second tier.
    total, lines = usage(client, alice)
    assert [line[1:3] for line in lines if line[0] == "usage"] == [(15, 4), (2, 2), (13, 3)]
    assert total == 0.975  # 39 × 0.025


def test_a_commit_whose_price_is_nothing_pays_with_nothing(client, shop, alice):
    """Until it ends the usage is its, so the next one is not drawn."""
    rate(client, shop, 0, flat(4))
    shop.contract(
        alice,
        shop.commit(100, priority=1, name="list"),
        shop.commit(100, priority=2, rate_type="COMMIT_RATE"),
    )
    shop.speak("alice", 10)
    assert shop.net(alice) == 200


# Which commit


def test_an_override_can_name_the_commits_by_temporary_id(client, shop, alice):
    """20 % off while the first pays, 5 % off beyond, as in Metronome's guide."""
    shop.contract(
        alice,
        shop.commit(80, temporary_id="A", priority=1),
        shop.commit(95, priority=2),
        overrides=[
            multiplier(0.95),
            with_commit(
                0.8, override_specifiers=[{"commit_ids": ["A"], "product_id": shop.speech}]
            ),
        ],
    )
    shop.speak("alice", 150)

    # 100 at 0.8 take the first, 50 at 0.95 are 47.5 of the second.
    assert shop.net(alice) == 47.5


def test_the_guides_own_form_with_product_beside_the_commit_is_taken(client, shop, alice):
    shop.contract(
        alice,
        shop.commit(100, temporary_id="A"),
        overrides=[
            multiplier(0),
            overwrite(
                2,
                is_commit_specific=True,
                product_id=shop.speech,
                override_specifiers=[{"commit_ids": ["A"]}],
            ),
        ],
    )
    shop.speak("alice", 60)
    assert usage(client, alice)[1][0] == ("usage", 50, 2, 100)


def test_an_override_names_credits_and_children_of_recurring_ones(client, shop, alice):
    monthly = {
        "access_amount": {"unit_price": 100, "quantity": 1, "credit_type_id": VC},
        "commit_duration": {"value": 1},
        "priority": 1,
        "product_id": shop.credits,
        "starting_at": HOUR,
        "recurrence_frequency": "MONTHLY",
        "proration": "NONE",
        "temporary_id": "monthly",
    }
    other = {**shop.commit(100), "priority": 2}
    del other["type"]
    shop.contract(
        alice,
        recurring_credits=[monthly],
        credits=[other],
        overrides=[
            with_commit(2, override_specifiers=[{"any_commit_or_credit_ids": ["monthly"]}]),
            # A credit is none of `commit_ids`.
            with_commit(9, override_specifiers=[{"recurring_commit_ids": ["monthly"]}]),
        ],
    )
    shop.speak("alice", 60)

    # 50 at 2 of the month, 10 at 1 of the other
    assert shop.net(alice) == 90


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (multiplier(1, target="COMMIT_RATE"), "commit-specific"),
        (multiplier(1, override_specifiers=[{"commit_ids": ["a"]}]), "commit-specific"),
        (with_commit(1, override_specifiers=[{"commit_ids": ["a"]}]), "no commit or credit a"),
        (
            with_commit(
                1, override_specifiers=[{"commit_ids": [], "any_commit_or_credit_ids": ["a"]}]
            ),
            "no commit or credit a",
        ),
        (
            with_commit(
                1, override_specifiers=[{"commit_ids": ["a"], "any_commit_or_credit_ids": ["a"]}]
            ),
            "Give any_commit_or_credit_ids, or",
        ),
        (
            with_commit(
                1, applicable_product_tags=["a"], override_specifiers=[{"product_tags": ["b"]}]
            ),
            "Give override_specifiers, or",
        ),
    ],
)
def test_commit_specific_overrides_that_mean_nothing_are_refused(shop, alice, override, message):
    with pytest.raises(BadRequestError, match=message):
        shop.contract(alice, shop.commit(1), overrides=[override])


def test_commit_rates_that_mean_nothing_are_refused(client, shop):
    for commit_rate, message in (
        ({"rate_type": "FLAT"}, "price is required"),
        (flat(-1), "not be negative"),
        ({"rate_type": "TIERED"}, "tiers are required"),
    ):
        with pytest.raises(BadRequestError, match=message):
            rate(client, shop, 1, commit_rate)
    with pytest.raises(APIStatusError) as caught:
        rate(client, shop, 1, {"rate_type": "PERCENTAGE", "price": 0.1})
    assert caught.value.status_code == 501


# Elsewhere


def test_commit_rates_and_commit_specific_overrides_are_read_back(client, shop, alice):
    rate(client, shop, 10, flat(8))
    contract = shop.contract(alice, shop.commit(100, temporary_id="A"), overrides=[with_commit(2)])
    commit = client.v2.contracts.retrieve(contract_id=contract, customer_id=alice).data.commits[0]
    client.v2.contracts.edit(
        customer_id=alice,
        contract_id=contract,
        add_overrides=[
            with_commit(3, target="COMMIT_RATE", override_specifiers=[{"commit_ids": [commit.id]}])
        ],
    )

    first, second = client.v2.contracts.retrieve(
        contract_id=contract, customer_id=alice
    ).data.overrides
    rates = client.v1.contracts.rate_cards.rates.list(rate_card_id=shop.card, at=NOW)
    schedule = client.v1.contracts.retrieve_rate_schedule(contract_id=contract, customer_id=alice)

    assert (first.is_commit_specific, first.target) == (True, None)
    assert (second.target, second.override_specifiers[0].commit_ids) == (
        "COMMIT_RATE",
        [commit.id],
    )
    assert [one.commit_rate.price for one in rates if one.commit_rate] == [8]
    # What is not a commit's is the list price as it is.
    assert {(one.list_rate.price, one.override_rate) for one in schedule.data} == {
        (10, None),
        (2, None),
        (25_000, None),
    }
    assert [one.commit_rate.price for one in schedule.data if one.commit_rate] == [8]


def test_a_recharge_can_buy_a_commit_at_the_commit_rate(client, box, wire, shop, alice):
    rate(client, shop, 0, flat(2))
    shop.contract(
        alice,
        shop.commit(25_001, rate_type="COMMIT_RATE"),
        prepaid_balance_threshold_configuration=shop.recharge(
            commit={"product_id": shop.credits, "rate_type": "COMMIT_RATE"},
            payment_gate_config={"payment_gate_type": "NONE"},
        ),
    )
    shop.speak("alice", 10)  # 20 credits
    box.tick()
    shop.speak("alice", 20_000)

    # 24,981 + 175,019, less 40,000
    assert shop.net(alice) == 160_000


def test_a_spend_alert_counts_usage_as_it_is_priced(client, box, wire, shop, alice):
    client.v1.alerts.create(
        alert_type="spend_threshold_reached", name="spend", threshold=100, credit_type_id=VC
    )
    shop.contract(alice, shop.commit(99), overrides=[multiplier(0), with_commit(1)])
    shop.speak("alice", 5_000)
    box.tick()
    assert wire.of("alerts.spend_threshold_reached") == []


def test_the_dearest_usage_of_an_hour_is_paid_first(client, shop, alice):
    """At the prices of commits, where all usage is free without one."""
    shop.contract(alice, shop.commit(100), overrides=[multiplier(0), with_commit(1)])
    shop.speak("alice", 80)
    shop.speak("alice", 40, voice="premium")  # at 2

    lines = [line for line in usage(client, alice)[1] if line[0] == "usage"]
    assert [line[1:] for line in lines] == [(40, 2, 80), (20, 1, 20), (60, 0, 0)]


def test_commits_pay_at_their_price_only_while_they_last(client, shop, alice):
    shop.contract(
        alice,
        shop.commit(100, days=1),
        overrides=[multiplier(0), with_commit(1, ending_before=HOUR + timedelta(hours=1))],
    )
    shop.speak("alice", 10)
    shop.speak("alice", 10, at=NOW + timedelta(hours=1))  # the override has ended
    assert shop.net(alice) == 90
