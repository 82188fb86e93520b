"""Usage beyond the credits costs nothing at Metronome, on every contract of ours, old and new."""

from __future__ import annotations

from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from metronome.types.shared.contract_v2 import OverrideOverwriteRate

from billing import metronome
from billing.metronome import catalogue, overage
from billing.models import Contract
from billing.sync.schedule import run_now
from billing.tests.money_stage import establish, remote_balance, spend_at_metronome
from billing.tests.operate import run

pytestmark = pytest.mark.django_db


@pytest.fixture
def contract(stage, alice):
    return establish(stage, alice, credits=100)


def edit(contract, **change):
    client = metronome.client.client()
    client.v2.contracts.edit(
        customer_id=contract.customer.metronome_id, contract_id=contract.metronome_id, **change
    )


def overrides(contract):
    answer = metronome.client.client().v2.contracts.retrieve(
        customer_id=contract.customer.metronome_id, contract_id=contract.metronome_id
    )
    return answer.data.overrides


def take_away(contract):
    """As on a contract that was made before there was zero overage; it was read since."""
    edit(contract, remove_overrides=[{"id": one.id} for one in overrides(contract)])
    Contract.objects.update(zero_overage=False)


def owed(contract):
    """What the draft asks for, in cents, and what each line of usage costs."""
    drafts = metronome.client.client().v1.customers.invoices.list(
        customer_id=contract.customer.metronome_id, type="USAGE"
    )
    lines = [line for draft in drafts for line in draft.line_items if line.type == "usage"]
    return sum(Decimal(str(draft.total)) for draft in drafts), [
        (line.quantity, line.total) for line in lines
    ]


def overwrite(price):
    unit_id = metronome.credit_type_id()
    rate = {"rate_type": "FLAT", "price": price, "credit_type_id": unit_id}
    return {"type": "OVERWRITE", "overwrite_rate": rate}


def test_what_the_gate_lets_through_is_billed_to_nobody(stage, alice, contract):
    spend_at_metronome(alice, stage, 130)

    assert contract.zero_overage
    assert remote_balance(alice) == 0
    assert owed(contract) == (0, [(100, 100), (30, 0)])


def test_prices_stay_those_of_the_rate_card(stage, alice, contract):
    client = metronome.client.client()
    metronome.ingest(
        [
            {
                "transaction_id": "premium",
                "customer_id": alice.stable_alias,
                "event_type": "voice_generation",
                "timestamp": stage.now().isoformat(),
                "properties": {"text_length": "30", "voice_type": "premium"},
            }
        ]
    )
    assert remote_balance(alice) == 40
    client.v1.contracts.rate_cards.rates.add(
        rate_card_id=metronome.rate_card_id(),
        product_id=next(
            item.product_id
            for item in client.v1.contracts.rate_cards.rates.list(
                rate_card_id=metronome.rate_card_id(), at=stage.now()
            )
            if item.pricing_group_values == {"voice_type": "premium"}
        ),
        entitled=True,
        rate_type="FLAT",
        price=3,
        credit_type_id=metronome.credit_type_id(),
        pricing_group_values={"voice_type": "premium"},
        starting_at=catalogue.FIRST_RATES_AT,
    )
    assert remote_balance(alice) == 10


def test_without_it_usage_beyond_the_credits_is_billed(stage, alice, contract):
    """Or the tests here would show nothing."""
    take_away(contract)
    spend_at_metronome(alice, stage, 140)
    assert owed(contract) == (1, [(100, 100), (40, 40)])


def test_a_contract_without_it_gets_it_with_what_it_has_used_this_month(stage, alice, contract):
    take_away(contract)
    spend_at_metronome(alice, stage, 140)

    assert "1 would get zero overage" in run("backfill_contracts", "--dry-run").text
    assert overrides(contract) == []
    code, text = run("backfill_contracts")

    assert code == 0
    assert "1 has zero overage" in text
    assert owed(contract) == (0, [(100, 100), (40, 0)])
    contract.refresh_from_db()
    assert contract.zero_overage
    assert "nothing to do" in run("backfill_contracts").text


def test_a_contract_that_has_it_is_left_as_it_is(stage, alice, contract):
    Contract.objects.update(zero_overage=None)

    assert "1 has zero overage" in run("backfill_contracts").text
    assert len(overrides(contract)) == 2


def test_an_overwrite_in_its_way_is_named(stage, alice, contract):
    edit(contract, add_overrides=[overwrite(3) | {"starting_at": contract.starts_at}])
    run_now(alice.pk, stage.now())
    stage.drain()

    code, text = run("backfill_contracts")

    assert code == 1
    assert f"an overwrite of prices on the contract {contract.metronome_id}" in text


@pytest.mark.parametrize(
    ("change", "is_guaranteed"),
    [
        ({}, True),
        # A discount for what credits pay leaves the rest free.
        ({"type": "MULTIPLIER", "multiplier": 0.5, "is_commit_specific": True}, True),
        (overwrite(2) | {"is_commit_specific": True}, True),
        (overwrite(0), True),
        (overwrite(2), False),
    ],
)
def test_what_others_add_to_a_contract_is_judged(stage, alice, contract, change, is_guaranteed):
    if change:
        edit(contract, add_overrides=[change | {"starting_at": contract.starts_at}])
    terms = metronome.terms(customer_id=alice.metronome_id, contract_id=contract.metronome_id)
    assert terms.zero_overage is is_guaranteed
    spend_at_metronome(alice, stage, 1_000)
    assert (owed(contract)[0] == 0) is is_guaranteed


def test_an_overwrite_in_tiers_is_in_its_way(alice, contract):
    """The sandbox has none, so Metronome's answer is changed here."""
    found = (
        metronome.client.client()
        .v2.contracts.retrieve(customer_id=alice.metronome_id, contract_id=contract.metronome_id)
        .data
    )
    assert overage.is_guaranteed(found)
    tiers = [{"size": 10, "price": 0}, {"price": 5}]
    rate = OverrideOverwriteRate.construct(rate_type="TIERED", tiers=tiers)
    found.overrides.append(
        found.overrides[0].model_copy(update={"type": "OVERWRITE", "overwrite_rate": rate})
    )
    assert not overage.is_guaranteed(found)


@pytest.mark.parametrize("kept", [0, 1])
def test_one_of_the_two_is_not_enough(stage, alice, contract, kept):
    lost = overrides(contract)[1 - kept]
    edit(contract, remove_overrides=[{"id": lost.id}])
    assert not metronome.terms(
        customer_id=alice.metronome_id, contract_id=contract.metronome_id
    ).zero_overage
    assert metronome.guarantee(customer_id=alice.metronome_id, contract_id=contract.metronome_id)
    spend_at_metronome(alice, stage, 130)
    assert owed(contract) == (0, [(100, 100), (30, 0)])


def test_the_synchronisation_sees_that_somebody_took_it_away(stage, alice, contract):
    take_away(contract)
    Contract.objects.update(zero_overage=True)
    run_now(alice.pk, stage.now())
    stage.drain()

    contract.refresh_from_db()
    assert contract.zero_overage is False
    with pytest.raises(CommandError, match="beyond the credits: 1; run backfill_contracts"):
        call_command("bootstrap_metronome", check=True, stdout=StringIO())


def test_a_contract_found_by_its_name_is_read_first(stage, alice, contract):
    take_away(contract)
    Contract.objects.update(metronome_id=None)

    assert run("backfill_contracts", "--all").code == 0

    contract.refresh_from_db()
    assert (contract.zero_overage, len(overrides(contract))) == (True, 2)
