"""Spend thresholds of 500 cents. A character costs a credit, and 40 credits are a cent."""

from datetime import UTC, datetime, timedelta

import pytest
from metronome import APIStatusError, BadRequestError

from metronome_sandbox import USD_ID

from .world import HOUR

MARCH, APRIL = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
CENTS = 40  # credits


@pytest.fixture
def alice(shop):
    return shop.customer("alice")


def spend(shop, gate="EXTERNAL", threshold=500, enabled=True, **extra):
    return {
        "commit": {"product_id": shop.credits, "name": "Usage so far"},
        "is_enabled": enabled,
        "payment_gate_config": {"payment_gate_type": gate},
        "threshold_amount": threshold,
        **extra,
    }


def contract_of(shop, alice, *commits, gate="EXTERNAL", **extra):
    config = spend(shop, gate)
    return shop.contract(alice, *commits, spend_threshold_configuration=config, **extra)


def initiates(box, wire):
    box.tick()
    return [one["properties"] for one in wire.of("payment_gate.external_initiate")]


def read(client, alice, contract):
    return client.v2.contracts.retrieve(customer_id=alice, contract_id=contract).data


def edit(client, alice, contract, **changes):
    return client.v2.contracts.edit(customer_id=alice, contract_id=contract, **changes).data.edit


def invoices(client, alice):
    return [
        (one.type, one.status, one.total)
        for one in client.v1.customers.invoices.list(customer_id=alice)
    ]


def test_below_the_threshold_nothing_is_charged(client, box, wire, shop, alice):
    contract_of(shop, alice)
    shop.speak("alice", 499 * CENTS)

    assert initiates(box, wire) == []
    assert invoices(client, alice) == [("USAGE", "DRAFT", 499)]


def test_what_was_used_is_charged_and_paid_once(client, box, wire, shop, alice):
    """520 cents are charged; 130 come before the payment is told, and stay on the draft."""
    contract = contract_of(shop, alice)
    shop.speak("alice", 400 * CENTS)
    shop.speak("alice", 120 * CENTS)
    (initiate,) = initiates(box, wire)
    shop.speak("alice", 130 * CENTS)
    assert initiates(box, wire) == [initiate]

    assert initiate["workflow_type"] == "spend"
    assert (initiate["contract_id"], initiate["customer_id"]) == (contract, alice)
    assert (initiate["invoice_total"], initiate["invoice_currency"]) == (520, "USD")
    assert wire.types == ["payment_gate.threshold_reached", "payment_gate.external_initiate"]
    assert invoices(client, alice) == [("SCHEDULED", "DRAFT", 520), ("USAGE", "DRAFT", 650)]
    shop.release(initiate["workflow_id"], "paid")

    assert initiates(box, wire) == [initiate]
    assert wire.of("payment_gate.payment_status")[0]["properties"]["payment_status"] == "paid"
    assert invoices(client, alice) == [("SCHEDULED", "FINALIZED", 520), ("USAGE", "DRAFT", 130)]
    (bought,) = read(client, alice, contract).commits
    (segment,) = bought.access_schedule.schedule_items
    assert (bought.name, bought.access_schedule.credit_type.id) == ("Usage so far", USD_ID)
    # From the first hour it pays for to a year from the end of the billing period
    assert (segment.starting_at, segment.ending_before) == (HOUR, APRIL.replace(year=2027))
    assert (segment.amount, shop.net(alice, USD_ID)) == (520, 0)


def test_each_time_the_amount_comes_together_again(client, box, wire, shop, alice):
    contract_of(shop, alice, gate="NONE")
    for _ in range(7):
        shop.speak("alice", 200 * CENTS)
        box.tick()

    # After 600, after 1,200; 200 are left.
    assert invoices(client, alice) == [
        ("SCHEDULED", "FINALIZED", 600),
        ("SCHEDULED", "FINALIZED", 600),
        ("USAGE", "DRAFT", 200),
    ]
    assert wire.types == []
    box.clock.move_to(APRIL + timedelta(days=1))
    assert invoices(client, alice)[2] == ("USAGE", "FINALIZED", 200)


def test_only_what_no_balance_pays_counts(client, box, wire, shop, alice):
    contract_of(shop, alice, shop.commit(1_000 * CENTS))
    shop.speak("alice", 1_499 * CENTS)
    assert initiates(box, wire) == []
    shop.speak("alice", 1 * CENTS)

    assert [one["invoice_total"] for one in initiates(box, wire)] == [500]


def test_usage_of_earlier_hours_is_paid_for_too(client, box, wire, shop, alice):
    """From two drafts, of March and of April: 300 and 250 cents."""
    contract = contract_of(shop, alice, starting_at=MARCH)
    shop.speak("alice", 300 * CENTS, at=datetime(2026, 3, 2, 5, 30, tzinfo=UTC))
    box.clock.move_to(APRIL + timedelta(hours=1))
    shop.speak("alice", 250 * CENTS, at=APRIL)
    (initiate,) = initiates(box, wire)
    shop.release(initiate["workflow_id"], "paid")

    assert initiate["invoice_total"] == 550
    (bought,) = read(client, alice, contract).commits
    start = bought.access_schedule.schedule_items[0].starting_at
    assert start == datetime(2026, 3, 2, 5, tzinfo=UTC)
    assert sorted(one for one in invoices(client, alice) if one[0] == "USAGE") == [
        ("USAGE", "DRAFT", 0),
        ("USAGE", "DRAFT", 0),
    ]


def test_a_discount_lowers_the_charge_and_not_what_it_pays(client, box, shop, alice):
    config = spend(shop, "NONE", discount_configuration={"payment_fraction": 0.9})
    shop.contract(alice, spend_threshold_configuration=config)
    shop.speak("alice", 600 * CENTS)
    box.tick()

    assert invoices(client, alice) == [("SCHEDULED", "FINALIZED", 540), ("USAGE", "DRAFT", 0)]


def test_a_payment_that_failed_switches_it_off_until_it_is_switched_on(
    client, box, wire, shop, alice
):
    contract = contract_of(shop, alice)
    shop.speak("alice", 500 * CENTS)
    (first,) = initiates(box, wire)
    shop.release(first["workflow_id"], "failed")
    shop.speak("alice", 100 * CENTS)

    assert initiates(box, wire) == [first]
    assert invoices(client, alice) == [("SCHEDULED", "VOID", 500), ("USAGE", "DRAFT", 600)]
    assert wire.of("payment_gate.payment_status")[0]["properties"]["payment_status"] == "failed"
    assert read(client, alice, contract).spend_threshold_configuration.is_enabled is False
    edited = edit(
        client, alice, contract, update_spend_threshold_configuration={"is_enabled": True}
    )
    assert edited.update_spend_threshold_configuration.is_enabled is True
    assert [one["invoice_total"] for one in initiates(box, wire)] == [500, 600]


@pytest.mark.parametrize(
    ("outcome", "status", "usage"), [("paid", "FINALIZED", 0), ("declined", "VOID", 500)]
)
def test_it_is_charged_through_stripe(client, box, wire, shop, alice, outcome, status, usage):
    client.v1.customers.set_billing_configurations(
        data=[
            {
                "customer_id": alice,
                "billing_provider": "stripe",
                "delivery_method": "direct_to_billing_provider",
                "configuration": {"stripe_customer_id": "cus_1"},
            }
        ]
    )
    box.settings.stripe_gate_outcome = outcome
    contract = contract_of(shop, alice, gate="STRIPE")
    shop.speak("alice", 500 * CENTS)
    box.tick()

    assert wire.types == ["payment_gate.threshold_reached", "payment_gate.payment_status"]
    assert wire.bodies[-1]["properties"]["workflow_type"] == "spend"
    assert invoices(client, alice) == [("SCHEDULED", status, 500), ("USAGE", "DRAFT", usage)]
    config = read(client, alice, contract).spend_threshold_configuration
    assert config.is_enabled is (outcome == "paid")


def test_an_edit_adds_changes_and_cancels_it_at_once(client, box, wire, shop, alice):
    contract = shop.contract(alice)
    shop.speak("alice", 450 * CENTS)
    with pytest.raises(BadRequestError, match="no spend threshold configuration: add one"):
        edit(client, alice, contract, update_spend_threshold_configuration={"is_enabled": True})
    edit(client, alice, contract, add_spend_threshold_configuration=spend(shop))
    with pytest.raises(BadRequestError, match="has a spend threshold configuration: update it"):
        edit(client, alice, contract, add_spend_threshold_configuration=spend(shop))
    with pytest.raises(BadRequestError, match="not both"):
        edit(
            client,
            alice,
            contract,
            add_spend_threshold_configuration=spend(shop),
            update_spend_threshold_configuration={"threshold_amount": 1},
        )
    assert initiates(box, wire) == []

    change = {"threshold_amount": 450, "commit": {"name": "Usage"}}
    edit(client, alice, contract, update_spend_threshold_configuration=change)
    assert [one["invoice_total"] for one in initiates(box, wire)] == [450]
    config = read(client, alice, contract).spend_threshold_configuration
    assert (config.threshold_amount, config.commit.name) == (450, "Usage")
    assert config.commit.product_id == shop.credits
    edit(client, alice, contract, update_spend_threshold_configuration={"is_enabled": False})
    assert invoices(client, alice) == [("SCHEDULED", "VOID", 450), ("USAGE", "DRAFT", 450)]


def test_both_kinds_of_thresholds_have_a_workflow_of_their_own(client, box, wire, shop, alice):
    """The balance of 100,000 credits falls to 0, and 500 cents are used beyond it."""
    contract = contract_of(
        shop,
        alice,
        shop.commit(100_000),
        prepaid_balance_threshold_configuration=shop.recharge(),
    )
    shop.speak("alice", 100_000 + 500 * CENTS)
    recharge, usage = initiates(box, wire)
    assert (recharge["invoice_total"], usage["invoice_total"]) == (5_000, 500)
    edit(client, alice, contract, update_spend_threshold_configuration={"is_enabled": False})

    assert [one for one in invoices(client, alice) if one[0] == "SCHEDULED"] == [
        ("SCHEDULED", "DRAFT", 5_000),
        ("SCHEDULED", "VOID", 500),
    ]
    shop.release(recharge["workflow_id"], "failed")
    state = read(client, alice, contract)
    assert state.prepaid_balance_threshold_configuration.is_enabled is False
    with pytest.raises(BadRequestError, match="already in state CANCELED"):
        shop.release(usage["workflow_id"], "paid")


def test_what_is_paid_after_the_usage_was_billed_is_left_for_later_usage(
    client, box, wire, shop, alice
):
    contract_of(shop, alice)
    shop.speak("alice", 500 * CENTS)
    (initiate,) = initiates(box, wire)
    box.clock.move_to(APRIL + timedelta(days=1))
    shop.release(initiate["workflow_id"], "paid")

    assert ("USAGE", "FINALIZED", 500) in invoices(client, alice)
    assert shop.net(alice, USD_ID) == 500


def test_an_ended_contract_is_not_charged(client, box, wire, shop, alice):
    contract_of(shop, alice, ending_before=HOUR + timedelta(days=1))
    box.clock.move_to(HOUR + timedelta(days=1))
    shop.speak("alice", 600 * CENTS)

    assert initiates(box, wire) == []
    assert invoices(client, alice) == [("USAGE", "DRAFT", 600)]


def test_a_subscription_collected_with_the_usage_counts(client, box, wire, shop, alice):
    """400 cents of usage and 100 for the seat of April on the draft of March."""
    seat = client.v1.contracts.products.create(name="Seat", type="SUBSCRIPTION").data.id
    client.v1.contracts.rate_cards.rates.add(
        rate_card_id=shop.card,
        product_id=seat,
        entitled=True,
        rate_type="FLAT",
        price=100,
        billing_frequency="MONTHLY",
        starting_at="2026-01-01T00:00:00Z",
    )
    subscription = {
        "collection_schedule": "ADVANCE",
        "initial_quantity": 1,
        "proration": {},
        "subscription_rate": {"billing_frequency": "MONTHLY", "product_id": seat},
    }
    contract_of(shop, alice, subscriptions=[subscription])
    shop.speak("alice", 400 * CENTS)
    assert initiates(box, wire) == []
    box.clock.move_to(APRIL)
    (initiate,) = initiates(box, wire)
    shop.release(initiate["workflow_id"], "paid")

    assert initiate["invoice_total"] == 500
    assert invoices(client, alice)[-2:] == [("USAGE", "DRAFT", 0), ("USAGE", "DRAFT", 0)]


def test_a_package_has_one(client, box, wire, shop, alice):
    package = client.v1.packages.create(
        name="Pay as you go",
        rate_card_id=shop.card,
        spend_threshold_configuration=spend(shop),
    ).data.id
    client.v1.contracts.create(customer_id=alice, starting_at=HOUR, package_id=package)
    shop.speak("alice", 500 * CENTS)

    assert [one["invoice_total"] for one in initiates(box, wire)] == [500]
    shown = client.v1.packages.retrieve(package_id=package).data
    assert shown.spend_threshold_configuration.threshold_amount == 500


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"threshold_amount": 0}, 400, "greater than 0"),
        ({"payment_gate_config": {"payment_gate_type": "NONE", "tax_type": "STRIPE"}}, 501, "tax"),
        (
            {
                "discount_configuration": {
                    "payment_fraction": 0.5,
                    "cap": {"amount": 1, "spend_tracker_alias": "a"},
                }
            },
            501,
            "capped",
        ),
    ],
)
def test_what_cannot_be_done_is_refused(client, shop, alice, change, status, words):
    with pytest.raises(APIStatusError, match=words) as refused:
        shop.contract(alice, spend_threshold_configuration={**spend(shop), **change})
    assert refused.value.status_code == status


def test_a_contract_that_has_not_started_takes_none(client, shop, alice):
    with pytest.raises(BadRequestError, match="has not started yet"):
        contract_of(shop, alice, starting_at=APRIL)


def test_without_the_billing_provider_it_is_switched_off(client, shop, alice):
    data = [
        {
            "customer_id": alice,
            "billing_provider": "stripe",
            "configuration": {"stripe_customer_id": "cus_1"},
            "delivery_method": "direct_to_billing_provider",
        }
    ]
    (made,) = client.v1.customers.set_billing_configurations(data=data).data
    contract = contract_of(shop, alice)
    client.v1.customers.archive_billing_configurations(
        customer_id=alice, customer_billing_provider_configuration_ids=[made.id]
    )
    assert read(client, alice, contract).spend_threshold_configuration.is_enabled is False
