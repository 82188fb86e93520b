from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metronome_sandbox import Sandbox

from .conftest import client_of
from .world import HOUR, NOW, VC, Shop


def left(shop, customer):
    return {one.name: one.balance for one in shop.balances(customer)}


def test_lower_priority_numbers_go_first(shop):
    alice = shop.customer()
    shop.contract(
        alice,
        shop.commit(100, name="late", priority=100),
        shop.commit(100, name="early", priority=10),
    )
    shop.speak("alice", 120)

    assert left(shop, alice) == {"early": 0, "late": 80}


def test_at_one_priority_what_cost_nothing_goes_first(shop):
    alice = shop.customer()
    shop.contract(
        alice,
        shop.commit(100, name="paid", cents=10, days=1),
        shop.commit(100, name="complimentary", days=9),
    )
    shop.speak("alice", 120)

    assert left(shop, alice) == {"complimentary": 0, "paid": 80}


def test_then_what_ends_first(shop):
    alice = shop.customer()
    shop.contract(
        alice, shop.commit(100, name="long", days=30), shop.commit(100, name="short", days=3)
    )
    shop.speak("alice", 120)

    assert left(shop, alice) == {"short": 0, "long": 80}


def test_what_serves_one_product_goes_before_what_serves_all(shop):
    alice = shop.customer()
    shop.contract(
        alice,
        shop.commit(100, name="any", days=3),
        shop.commit(100, name="speech", days=30, applicable_product_ids=[shop.speech]),
    )
    shop.speak("alice", 120)

    assert left(shop, alice) == {"speech": 0, "any": 80}


def test_a_commit_for_another_product_or_voice_is_not_touched(shop):
    alice = shop.customer()
    shop.contract(
        alice,
        shop.commit(100, name="cloning", applicable_product_ids=[shop.cloning]),
        shop.commit(
            100, name="premium", specifiers=[{"pricing_group_values": {"voice_type": "premium"}}]
        ),
    )
    shop.speak("alice", 50)
    shop.speak("alice", 10, voice="premium")

    assert left(shop, alice) == {"cloning": 100, "premium": 80}


def test_a_contract_goes_before_the_customer_and_a_credit_like_a_free_commit(client, shop):
    alice = shop.customer()
    shop.contract(alice, shop.commit(100, name="contract"))
    schedule = shop.commit(100)["access_schedule"]
    client.v1.customers.credits.create(
        customer_id=alice,
        priority=100,
        product_id=shop.credits,
        access_schedule=schedule,
        name="customer",
    )
    shop.speak("alice", 120)

    assert left(shop, alice) == {"contract": 0, "customer": 80}


def test_the_time_of_the_usage_chooses_the_segment(shop):
    alice = shop.customer()
    shop.contract(
        alice,
        shop.commit(100, name="yesterday", starting_at=HOUR - timedelta(days=1), days=1),
        shop.commit(100, name="today"),
        starting_at=HOUR - timedelta(days=1),
    )
    shop.speak("alice", 30, at=NOW - timedelta(days=1))
    shop.speak("alice", 20)
    ledgers = {
        one.name: [entry.amount for entry in one.ledger]
        for one in shop.balances(alice, include_ledgers=True)
    }

    assert ledgers == {"yesterday": [100, -70, -30], "today": [100, -20]}
    assert left(shop, alice) == {"yesterday": 0, "today": 80}


def test_what_nothing_covers_is_converted_on_the_draft_invoice_to_the_fraction_of_a_cent(
    client, shop
):
    alice = shop.customer()
    shop.contract(alice, shop.commit(100))
    shop.speak("alice", 101)

    invoice = client.v1.customers.invoices.list(customer_id=alice, type="USAGE").data[0]

    assert shop.net(alice) == 0
    assert invoice.total == 0.025
    lines = [
        (line.type, line.total, line.quantity, line.credit_type.name) for line in invoice.line_items
    ]
    assert lines == [
        ("usage", 100, 100, "Credits"),
        ("applied_commit_or_credit", -100, None, "Credits"),
        ("usage", 1, 1, "Credits"),
        ("cpu_conversion", 0.025, 1, "USD (cents)"),
    ]


def test_dollars_cover_what_credits_did_not(client, shop):
    alice = shop.customer()
    money = shop.commit(1)
    del money["access_schedule"]["credit_type_id"]
    shop.contract(alice, shop.commit(100), money)
    shop.speak("alice", 120)

    invoice = client.v1.customers.invoices.list(customer_id=alice, type="USAGE").data[0]

    assert invoice.total == 0
    assert client.v1.contracts.get_net_balance(customer_id=alice).data.balance == 0.5


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    amounts=st.lists(st.integers(0, 500), min_size=1, max_size=5),
    speech=st.lists(
        st.tuples(
            st.integers(0, 400), st.sampled_from(["standard", "premium"]), st.integers(0, 30)
        ),
        max_size=12,
    ),
    days=st.integers(1, 3),
)
def test_nothing_appears_or_vanishes(amounts, speech, days):
    """Balance = granted − drawn − expired;
    what is drawn and what is converted is exactly what was used."""
    box = Sandbox(now=NOW, evaluate_every_seconds=0, seed=1)
    client = client_of(box)
    shop = Shop(client)
    alice = shop.customer()
    start = HOUR - timedelta(days=2)
    shop.contract(
        alice,
        *[
            shop.commit(amount, starting_at=start, days=days + index)
            for index, amount in enumerate(amounts)
        ],
        starting_at=start,
    )
    used = Decimal(0)
    for characters, voice, hours in speech:
        shop.speak("alice", characters, voice=voice, at=NOW - timedelta(hours=hours))
        used += characters * (2 if voice == "premium" else 1)

    rows = shop.balances(alice, include_ledgers=True)
    drawn = -sum(entry.amount for one in rows for entry in one.ledger if "DEDUCTION" in entry.type)
    invoice = client.v1.customers.invoices.list(customer_id=alice, type="USAGE").data[0]

    assert all(
        one.balance >= 0 and sum(entry.amount for entry in one.ledger) == one.balance
        for one in rows
    )
    assert drawn <= sum(amounts)
    assert Decimal(str(invoice.total)) == (used - Decimal(str(drawn))) * Decimal("0.025")
    assert shop.net(alice) == sum(one.balance for one in rows)


@pytest.mark.parametrize("unit", [VC, None])
def test_net_balance_is_in_dollars_unless_a_unit_is_named(client, shop, unit):
    alice = shop.customer()
    shop.contract(alice, shop.commit(100))
    options = {"credit_type_id": unit} if unit else {}

    answer = client.v1.contracts.get_net_balance(customer_id=alice, **options).data

    assert answer.balance == (100 if unit else 0)
