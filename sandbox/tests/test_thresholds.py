from datetime import timedelta

import httpx
import pytest
from metronome import APIStatusError, BadRequestError, NotFoundError

from sandbox import Sandbox

from .conftest import client_of
from .world import HOUR, NOW, VC, Shop


@pytest.fixture
def alice(shop):
    return shop.customer("alice")


def initiates(box, wire):
    box.tick()
    return [one["properties"] for one in wire.of("payment_gate.external_initiate")]


def config_of(client, customer, contract):
    found = client.v2.contracts.retrieve(contract_id=contract, customer_id=customer).data
    return found.prepaid_balance_threshold_configuration


def test_nothing_happens_above_the_threshold(box, wire, shop, alice):
    shop.contract(
        alice, shop.commit(100_000), prepaid_balance_threshold_configuration=shop.recharge()
    )
    shop.speak("alice", 74_999)

    assert initiates(box, wire) == []


def test_reaching_the_threshold_exactly_opens_one_workflow_however_often_it_is_evaluated(
    box, wire, shop, alice
):
    contract = shop.contract(
        alice, shop.commit(100_000), prepaid_balance_threshold_configuration=shop.recharge()
    )
    shop.speak("alice", 75_000)
    shop.speak("alice", 10_000)

    (initiate,) = initiates(box, wire)
    assert initiate.keys() == {
        "workflow_type",
        "customer_id",
        "contract_id",
        "workflow_id",
        "invoice_id",
        "invoice_total",
        "invoice_currency",
    }
    assert (initiate["contract_id"], initiate["invoice_total"]) == (contract, 175_000 * 0.025)
    assert wire.types == ["payment_gate.threshold_reached", "payment_gate.external_initiate"]


def test_an_invoice_total_can_have_fractions_of_a_cent(box, wire, shop, alice):
    shop.contract(
        alice, shop.commit(100_000), prepaid_balance_threshold_configuration=shop.recharge()
    )
    shop.speak("alice", 75_001)

    assert initiates(box, wire)[0]["invoice_total"] == 4375.025


def test_paid_makes_a_commit_of_the_amount_fixed_at_evaluation_for_a_year(
    box, wire, client, shop, alice
):
    shop.contract(
        alice, shop.commit(100_000), prepaid_balance_threshold_configuration=shop.recharge()
    )
    shop.speak("alice", 80_000)
    initiate = initiates(box, wire)[0]
    shop.speak("alice", 5_000)

    shop.release(initiate["workflow_id"], "paid")

    fresh = shop.balances(alice)[-1]
    segment = fresh.access_schedule.schedule_items[0]
    assert (fresh.type, fresh.balance, segment.amount) == ("PREPAID", 180_000, 180_000)
    assert (segment.starting_at, segment.ending_before) == (HOUR, HOUR.replace(year=2027))
    assert fresh.invoice_schedule.schedule_items[0].invoice_id == initiate["invoice_id"]
    assert shop.net(alice) == 195_000
    invoice = client.v1.customers.invoices.retrieve(
        customer_id=alice, invoice_id=initiate["invoice_id"]
    ).data
    assert (invoice.status, invoice.type, invoice.total) == ("FINALIZED", "SCHEDULED", 4_500)
    assert (invoice.line_items[0].type, invoice.line_items[0].commit_id) == (
        "commit_purchase",
        fresh.id,
    )


def test_the_commit_takes_its_terms_from_the_configuration(box, wire, shop, alice):
    terms = {
        "product_id": shop.credits,
        "name": "Recharge",
        "description": "vocalis",
        "priority": 50,
        "duration": {"unit": "DAYS", "value": 30},
    }
    shop.contract(alice, prepaid_balance_threshold_configuration=shop.recharge(commit=terms))
    shop.release(initiates(box, wire)[0]["workflow_id"], "paid")

    fresh = shop.balances(alice)[0]
    assert (fresh.name, fresh.description, fresh.priority) == ("Recharge", "vocalis", 50)
    assert fresh.access_schedule.schedule_items[0].ending_before == HOUR + timedelta(days=30)


def test_failed_voids_the_invoice_and_switches_the_configuration_off(
    box, wire, client, shop, alice
):
    contract = shop.contract(alice, prepaid_balance_threshold_configuration=shop.recharge())
    initiate = initiates(box, wire)[0]

    shop.release(initiate["workflow_id"], "failed")
    box.tick()

    assert config_of(client, alice, contract).is_enabled is False
    assert shop.balances(alice) == []
    invoice = client.v1.customers.invoices.retrieve(
        customer_id=alice, invoice_id=initiate["invoice_id"]
    ).data
    assert invoice.status == "VOID"
    status = wire.of("payment_gate.payment_status")[0]["properties"]
    assert (status["payment_status"], status["invoice_id"]) == ("failed", initiate["invoice_id"])
    assert status["error_message"]


@pytest.mark.parametrize(
    ("first", "second"), [("paid", "paid"), ("paid", "failed"), ("failed", "PAID")]
)
def test_a_second_release_is_refused_and_says_what_it_is(box, wire, shop, alice, first, second):
    shop.contract(alice, prepaid_balance_threshold_configuration=shop.recharge())
    workflow_id = initiates(box, wire)[0]["workflow_id"]
    shop.release(workflow_id, first)

    state = "COMMITTED" if first == "paid" else "CANCELED"
    with pytest.raises(
        BadRequestError, match=f"is not in COMMITTING state, already in state {state}"
    ):
        shop.release(workflow_id, second)


def test_unknown_and_malformed_releases_are_refused(shop):
    with pytest.raises(NotFoundError):
        shop.release("0a0a0a0a-0000-4000-8000-000000000000", "paid")
    with pytest.raises(BadRequestError):
        shop.release("nonsense", "paid")
    with pytest.raises(BadRequestError, match="outcome"):
        shop.release("0a0a0a0a-0000-4000-8000-000000000000", "maybe")


def test_switching_on_again_after_a_failure_evaluates_at_once(box, wire, client, shop, alice):
    box.world.settings.evaluate_every_seconds = 180
    contract = shop.contract(alice, prepaid_balance_threshold_configuration=shop.recharge())
    shop.release(initiates(box, wire)[0]["workflow_id"], "failed")

    client.v2.contracts.edit(
        contract_id=contract,
        customer_id=alice,
        update_prepaid_balance_threshold_configuration={"is_enabled": True},
    )

    assert len(initiates(box, wire)) == 2


def test_switching_off_ends_an_open_workflow_so_that_switching_on_asks_again(
    box, wire, client, shop, alice
):
    contract = shop.contract(alice, prepaid_balance_threshold_configuration=shop.recharge())
    lost = initiates(box, wire)[0]["workflow_id"]

    for enabled in (False, True):
        change = {"is_enabled": enabled}
        client.v2.contracts.edit(
            contract_id=contract,
            customer_id=alice,
            update_prepaid_balance_threshold_configuration=change,
        )

    with pytest.raises(BadRequestError, match="already in state CANCELED"):
        shop.release(lost, "paid")
    assert initiates(box, wire)[-1]["workflow_id"] != lost


def test_evaluation_waits_its_time_after_usage(wire):
    box = Sandbox(now=NOW, webhooks=[("http://app", "s")], sender=wire, evaluate_every_seconds=180)
    client = client_of(box)
    shop = Shop(client)
    alice = shop.customer("alice")
    shop.contract(
        alice, shop.commit(100_000), prepaid_balance_threshold_configuration=shop.recharge()
    )
    shop.speak("alice", 90_000)

    box.clock.advance(seconds=179)
    assert initiates(box, wire) == []
    box.clock.advance(seconds=1)
    assert len(initiates(box, wire)) == 1


def test_add_and_update_are_not_interchangeable(client, shop, alice):
    contract = shop.contract(alice, shop.commit(500_000))
    ids = {"contract_id": contract, "customer_id": alice}

    with pytest.raises(BadRequestError, match="has no prepaid balance threshold"):
        client.v2.contracts.edit(
            **ids, update_prepaid_balance_threshold_configuration={"is_enabled": True}
        )
    client.v2.contracts.edit(**ids, add_prepaid_balance_threshold_configuration=shop.recharge())
    with pytest.raises(BadRequestError, match="has a prepaid balance threshold"):
        client.v2.contracts.edit(**ids, add_prepaid_balance_threshold_configuration=shop.recharge())

    client.v2.contracts.edit(
        **ids,
        update_prepaid_balance_threshold_configuration={
            "threshold_amount": 30_000,
            "recharge_to_amount": 90_000,
        },
    )
    config = config_of(client, alice, contract)
    assert (config.threshold_amount, config.recharge_to_amount, config.is_enabled) == (
        30_000,
        90_000,
        True,
    )


@pytest.mark.parametrize(
    ("threshold", "to", "message"),
    [(19_999, 200_000, r"at least \$5"), (25_000, 64_999, r"at least \$10 above")],
)
def test_the_minimums_are_five_dollars_and_ten_above(shop, alice, threshold, to, message):
    with pytest.raises(BadRequestError, match=message):
        shop.contract(alice, prepaid_balance_threshold_configuration=shop.recharge(threshold, to))


def test_the_least_allowed_configuration_is_accepted(shop, alice):
    shop.contract(alice, prepaid_balance_threshold_configuration=shop.recharge(20_000, 60_000))


def test_a_discount_lowers_the_charge_not_the_credits(box, wire, shop, alice):
    config = shop.recharge(discount_configuration={"payment_fraction": 0.85})
    shop.contract(alice, prepaid_balance_threshold_configuration=config)

    assert initiates(box, wire)[0]["invoice_total"] == 200_000 * 0.025 * 0.85


def test_all_balances_the_contract_can_use_count(box, wire, client, shop, alice):
    schedule = shop.commit(60_000)["access_schedule"]
    client.v1.customers.credits.create(
        customer_id=alice, priority=1, product_id=shop.credits, access_schedule=schedule
    )
    shop.contract(
        alice, shop.commit(40_000), prepaid_balance_threshold_configuration=shop.recharge()
    )
    shop.speak("alice", 74_999)
    assert initiates(box, wire) == []
    shop.speak("alice", 1)

    assert initiates(box, wire)[0]["invoice_total"] == 4375


def test_expiry_alone_can_open_a_workflow(box, wire, shop, alice):
    shop.contract(
        alice, shop.commit(100_000), prepaid_balance_threshold_configuration=shop.recharge()
    )
    box.clock.advance(timedelta(days=15))

    assert initiates(box, wire)[0]["invoice_total"] == 5_000


def test_without_a_gate_the_commit_is_there_at_once(client, wire, box, shop, alice):
    config = shop.recharge(payment_gate_config={"payment_gate_type": "NONE"})
    shop.contract(alice, prepaid_balance_threshold_configuration=config)

    assert shop.net(alice) == 200_000
    assert initiates(box, wire) == []


def test_a_stripe_gate_says_it_is_not_supported(shop, alice):
    config = shop.recharge(payment_gate_config={"payment_gate_type": "STRIPE"})
    with pytest.raises(APIStatusError) as caught:
        shop.contract(alice, prepaid_balance_threshold_configuration=config)
    assert caught.value.status_code == 501


def test_the_payment_status_after_a_release_can_be_switched_off(box, wire, shop, alice):
    box.world.settings.payment_status_after_release = False
    shop.contract(alice, prepaid_balance_threshold_configuration=shop.recharge())
    shop.release(initiates(box, wire)[0]["workflow_id"], "paid")
    box.tick()

    assert wire.of("payment_gate.payment_status") == []


def test_archiving_the_contract_cancels_the_open_workflow(box, wire, client, shop, alice):
    contract = shop.contract(alice, prepaid_balance_threshold_configuration=shop.recharge())
    workflow_id = initiates(box, wire)[0]["workflow_id"]
    client.v1.contracts.archive(contract_id=contract, customer_id=alice, void_invoices=True)

    with pytest.raises(BadRequestError, match="CANCELED"):
        shop.release(workflow_id, "paid")


def test_a_release_answers_200_without_a_body(box, wire, client, shop, alice):
    shop.contract(alice, prepaid_balance_threshold_configuration=shop.recharge())
    workflow_id = initiates(box, wire)[0]["workflow_id"]

    answer = client.post(
        "/v1/contracts/commits/threshold-billing/release",
        cast_to=httpx.Response,
        body={"workflow_id": workflow_id, "outcome": "PAID"},
    )

    assert (answer.status_code, answer.content) == (200, b"")
    assert shop.net(alice, VC) == 200_000
