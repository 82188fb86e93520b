from datetime import timedelta

import httpx
import pytest
from metronome import BadRequestError, NotFoundError

from metronome_sandbox import Sandbox

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
    # A year from 1 April, the end of the running billing period
    year_later = HOUR.replace(year=2027, month=4, day=1, hour=0)
    assert (segment.starting_at, segment.ending_before) == (HOUR, year_later)
    assert fresh.invoice_schedule.schedule_items[0].invoice_id == initiate["invoice_id"]
    assert shop.net(alice) == 195_000
    invoice = client.v1.customers.invoices.retrieve(
        customer_id=alice, invoice_id=initiate["invoice_id"]
    ).data
    assert (invoice.status, invoice.type, invoice.total) == ("FINALIZED", "SCHEDULED", 4_500)
    assert invoice.billable_status == "billable"
    assert (invoice.line_items[0].type, invoice.line_items[0].commit_id) == (
        "commit_purchase",
        fresh.id,
    )


def test_the_commit_takes_its_terms_from_the_configuration(box, wire, shop, alice):
    terms = {
        "product_id": shop.credits,
        "name": "Recharge",
        "description": "ours",
        "priority": 50,
        "duration": {"unit": "DAYS", "value": 30},
    }
    shop.contract(alice, prepaid_balance_threshold_configuration=shop.recharge(commit=terms))
    shop.release(initiates(box, wire)[0]["workflow_id"], "paid")

    fresh = shop.balances(alice)[0]
    assert (fresh.name, fresh.description, fresh.priority) == ("Recharge", "ours", 50)
    # 30 days from 1 April
    assert fresh.access_schedule.schedule_items[0].ending_before == HOUR.replace(
        month=5, day=1, hour=0
    )


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
    [(19_999, 200_000, "at least 5 USD"), (25_000, 64_999, "at least 10 USD above")],
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


def through_stripe(client, shop, customer, **more):
    data = {
        "customer_id": customer,
        "billing_provider": "stripe",
        "delivery_method": "direct_to_billing_provider",
        "configuration": {"stripe_customer_id": "cus_1"},
    }
    client.v1.customers.set_billing_configurations(data=[data])
    gate = {"payment_gate_type": "STRIPE", "stripe_config": {"payment_type": "INVOICE"}}
    return shop.contract(
        customer,
        prepaid_balance_threshold_configuration=shop.recharge(payment_gate_config=gate, **more),
    )


def told(box, wire):
    box.tick()
    return [one["properties"] for one in wire.of("payment_gate.payment_status")]


def test_the_stripe_gate_charges_by_itself_and_says_so(client, wire, box, shop, alice):
    contract = through_stripe(client, shop, alice)

    (status,) = told(box, wire)
    assert (status["payment_status"], status["contract_id"]) == ("paid", contract)
    assert status["billing_provider"]["type"] == "stripe"
    assert status["billing_provider"]["stripe"]["payment_intent_id"].startswith("pi_")
    assert shop.net(alice) == 200_000
    assert wire.of("payment_gate.external_initiate") == []


def test_a_charge_through_stripe_that_is_declined_switches_the_recharge_off(
    client, wire, box, shop, alice
):
    box.world.settings.change({"stripe_gate_outcome": "declined"})
    contract = through_stripe(client, shop, alice)

    (status,) = told(box, wire)
    assert status["payment_status"] == "failed"
    assert status["billing_provider"]["stripe"]["error"]["code"] == "card_declined"
    assert not config_of(client, alice, contract).is_enabled
    assert shop.net(alice) == 0


@pytest.mark.parametrize(("outcome", "credits"), [("paid", 200_000), ("failed", 0)])
def test_a_charge_through_stripe_may_wait_for_the_customer(
    client, wire, box, shop, alice, outcome, credits
):
    box.world.settings.change(
        {"stripe_gate_outcome": "pending_action", "stripe_gate_intent": "pi_9"}
    )
    through_stripe(client, shop, alice)
    assert told(box, wire) == [] and shop.net(alice) == 0
    (pending,) = wire.of("payment_gate.payment_pending_action_required")
    assert pending["properties"]["error_message"] == "three_d_secure_redirect"
    assert pending["properties"]["billing_provider"]["stripe"] == {"payment_intent_id": "pi_9"}

    (workflow,) = box.world.store.workflows
    with pytest.raises(BadRequestError):  # that is for the EXTERNAL gate
        shop.release(workflow.id, outcome)
    path = f"/_sandbox/workflows/{workflow.id}/settle"
    line = httpx.Client(
        transport=box.transport(),
        base_url="http://sandbox",
        headers={"Authorization": "Bearer sandbox"},
    )
    answer = line.post(path, json={"outcome": outcome})
    assert answer.status_code == 200, answer.text

    (status,) = told(box, wire)
    assert (status["payment_status"], shop.net(alice)) == (outcome, credits)


def test_without_a_customer_at_stripe_a_charge_fails(wire, box, shop, alice):
    gate = {"payment_gate_type": "STRIPE"}
    config = shop.recharge(payment_gate_config=gate)
    shop.contract(alice, prepaid_balance_threshold_configuration=config)

    (status,) = told(box, wire)
    assert status["billing_provider"]["stripe"]["error"]["code"] == "no_billing_provider"


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


def test_terms_of_the_commit_belong_inside_it_and_its_length_is_read_back_as_text(
    box, wire, client, shop, alice
):
    terms = {
        "product_id": shop.credits,
        "duration": {"unit": "MONTHS", "value": 12},
        "rollover_fraction": 0.5,
        "rate_type": "LIST_RATE",
    }
    contract = shop.contract(
        alice, prepaid_balance_threshold_configuration=shop.recharge(commit=terms)
    )
    answer = client.post(
        "/v2/contracts/get",
        cast_to=httpx.Response,
        body={"customer_id": alice, "contract_id": contract},
    )
    config = answer.json()["data"]["prepaid_balance_threshold_configuration"]
    assert config["commit"]["duration"] == {"unit": "MONTHS", "value": "12"}
    shop.release(initiates(box, wire)[0]["workflow_id"], "paid")
    (fresh,) = shop.balances(alice)
    assert fresh.rollover_fraction == 0.5

    # At the top level they are unknown: answered 200, ignored and counted.
    bob = shop.customer("bob")
    outside = shop.recharge(rollover_fraction=0.5)
    shop.contract(bob, prepaid_balance_threshold_configuration=outside)
    assert box.world.unknown_fields == {
        "/v1/contracts/create prepaid_balance_threshold_configuration.rollover_fraction": 1
    }


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"rollover_fraction": 2}, "between 0 and 1"),
        ({"duration": {"unit": "DAYS", "value": 0}}, "at least 1"),
        ({"duration": {"unit": "YEARS", "value": 9_000}}, "too long"),
    ],
)
def test_terms_that_cannot_be_are_refused(shop, alice, terms, message):
    config = shop.recharge(commit={"product_id": shop.credits, **terms})
    with pytest.raises(BadRequestError, match=message):
        shop.contract(alice, prepaid_balance_threshold_configuration=config)


def test_a_contract_that_has_not_started_takes_no_configuration(box, client, shop, alice):
    later, message = HOUR + timedelta(days=1), "on a contract that has not started yet"
    with pytest.raises(BadRequestError, match=message):
        shop.contract(
            alice, starting_at=later, prepaid_balance_threshold_configuration=shop.recharge()
        )
    contract = shop.contract(alice, starting_at=later)

    def configure():
        client.v2.contracts.edit(
            contract_id=contract,
            customer_id=alice,
            add_prepaid_balance_threshold_configuration=shop.recharge(),
        )

    with pytest.raises(BadRequestError, match=message):
        configure()
    box.clock.move_to(later)
    configure()


def test_a_recharge_can_wait_for_the_usage_after_the_crossing(box, wire, client, shop, alice):
    box.world.settings.recharge_on_next_usage = True
    contract = shop.contract(
        alice, shop.commit(100_000), prepaid_balance_threshold_configuration=shop.recharge()
    )
    shop.speak("alice", 80_000)
    assert initiates(box, wire) == []
    box.clock.advance(timedelta(days=1))
    assert initiates(box, wire) == []  # without traffic it waits

    shop.speak("alice", 1, at=NOW + timedelta(days=1))

    (first,) = initiates(box, wire)
    # 100,000 − 80,001 = 19,999 left; 200,000 − 19,999 at 0.025
    assert first["invoice_total"] == 4_500.025
    shop.release(first["workflow_id"], "failed")
    client.v2.contracts.edit(
        contract_id=contract,
        customer_id=alice,
        update_prepaid_balance_threshold_configuration={"is_enabled": True},
    )
    assert len(initiates(box, wire)) == 2  # a configuration that is set is evaluated at once


def test_a_recharge_paid_after_the_end_of_its_contract_buys_nothing(box, wire, client, shop, alice):
    contract = shop.contract(alice, prepaid_balance_threshold_configuration=shop.recharge())
    (first,) = initiates(box, wire)
    client.v1.contracts.update_end_date(
        contract_id=contract, customer_id=alice, ending_before=HOUR + timedelta(hours=1)
    )
    box.clock.advance(timedelta(hours=3))

    shop.release(first["workflow_id"], "paid")

    assert shop.net(alice) == 0
    (row,) = shop.balances(alice, include_ledgers=True)
    assert [entry.amount for entry in row.ledger] == [200_000, -200_000]
