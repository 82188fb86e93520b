"""Commits of an edit that are there once Stripe has taken the money."""

from datetime import timedelta

import httpx
import pytest
from metronome import APIStatusError, BadRequestError

from .world import HOUR, NOW

STATUS = "payment_gate.payment_status"
PENDING = "payment_gate.payment_pending_action_required"


@pytest.fixture
def alice(client, shop):
    customer = shop.customer("alice")
    client.v1.customers.set_billing_configurations(
        data=[
            {
                "customer_id": customer,
                "billing_provider": "stripe",
                "delivery_method": "direct_to_billing_provider",
                "configuration": {"stripe_customer_id": "cus_1"},
            }
        ]
    )
    return customer


@pytest.fixture
def contract(shop, alice):
    return shop.contract(alice)


def gated(shop, gate="STRIPE", **extra):
    return shop.commit(1_000, cents=250, payment_gate_config={"payment_gate_type": gate}, **extra)


def buy(client, alice, contract, *items, **extra):
    return client.v2.contracts.edit(
        customer_id=alice, contract_id=contract, add_commits=list(items), **extra
    ).data


def invoices(client, alice):
    found = client.v1.customers.invoices.list(customer_id=alice, type="SCHEDULED")
    return [(one.status, one.total) for one in found]


def test_paid_the_commit_is_there_with_a_final_invoice(box, wire, client, shop, alice, contract):
    edit = buy(client, alice, contract, gated(shop), shop.commit(5)).edit
    box.tick()

    assert shop.net(alice) == 1_005
    assert invoices(client, alice) == [("FINALIZED", 250)]
    (told,) = wire.of(STATUS)
    assert told["properties"]["payment_status"] == "paid"
    assert told["properties"]["workflow_type"] == "manual_commit"
    assert {one.id for one in edit.add_commits} == {one.id for one in shop.balances(alice)}


def test_declined_the_edit_does_nothing_but_leave_a_void_invoice(
    box, wire, client, shop, alice, contract
):
    box.world.settings.stripe_gate_outcome = "declined"
    with pytest.raises(BadRequestError, match="card was declined"):
        buy(
            client,
            alice,
            contract,
            gated(shop),
            shop.commit(5),
            uniqueness_key="k",
            update_contract_name="new",
        )
    box.tick()

    assert shop.balances(alice) == []
    assert client.v2.contracts.retrieve(contract_id=contract, customer_id=alice).data.name is None
    assert invoices(client, alice) == [("VOID", 250)]
    (told,) = wire.of(STATUS)
    assert told["properties"]["payment_status"] == "failed"
    assert told["properties"]["billing_provider"]["stripe"]["error"]["code"] == "card_declined"

    # The same edit under the same key, once the card is good
    box.world.settings.stripe_gate_outcome = "paid"
    buy(client, alice, contract, gated(shop), uniqueness_key="k")
    assert shop.net(alice) == 1_000


@pytest.mark.parametrize(
    ("outcome", "left", "status"), [("paid", 1_000, "FINALIZED"), ("failed", 0, "VOID")]
)
def test_what_the_customer_has_to_confirm_is_there_when_they_have(
    box, wire, client, shop, alice, contract, outcome, left, status
):
    box.world.settings.stripe_gate_outcome = "pending_action"
    edit = buy(client, alice, contract, gated(shop, name="Pack")).edit
    box.tick()
    assert (shop.balances(alice), invoices(client, alice)) == ([], [("DRAFT", 250)])
    (told,) = wire.of(PENDING)
    assert told["properties"]["error_message"] == "three_d_secure_redirect"

    http = httpx.Client(
        transport=box.transport(),
        base_url="http://sandbox",
        headers={"Authorization": "Bearer sandbox"},
    )
    (waiting,) = http.get("/_sandbox/state").json()["open_workflows"]
    path = f"/_sandbox/workflows/{waiting['id']}/settle"
    assert http.post(path, json={"outcome": outcome}).status_code == 200
    assert http.post(path, json={"outcome": outcome}).status_code == 400
    box.tick()

    assert (shop.net(alice), invoices(client, alice)) == (left, [(status, 250)])
    assert wire.of(STATUS)[0]["properties"]["payment_status"] == outcome
    if outcome == "paid":
        (commit,) = shop.balances(alice)
        assert (commit.id, commit.name) == (edit.add_commits[0].id, "Pack")
        assert commit.invoice_schedule.schedule_items[0].timestamp == NOW


def pending(box, client, shop, alice, contract):
    """Of a commit that waits for the customer: what settles it as paid."""
    box.world.settings.stripe_gate_outcome = "pending_action"
    buy(client, alice, contract, gated(shop))
    http = httpx.Client(
        transport=box.transport(),
        base_url="http://sandbox",
        headers={"Authorization": "Bearer sandbox"},
    )
    (waiting,) = http.get("/_sandbox/state").json()["open_workflows"]
    path = f"/_sandbox/workflows/{waiting['id']}/settle"
    return lambda: http.post(path, json={"outcome": "paid"}).status_code


@pytest.mark.parametrize(("ended", "left"), [(timedelta(days=2), 1_000), (timedelta(days=-1), 0)])
def test_what_is_confirmed_after_the_end_of_its_contract_moved_ends_with_it(
    box, client, shop, alice, ended, left
):
    contract = shop.contract(alice, starting_at=HOUR - timedelta(days=2))
    settle = pending(box, client, shop, alice, contract)
    client.v1.contracts.update_end_date(
        contract_id=contract, customer_id=alice, ending_before=HOUR + ended
    )

    assert settle() == 200
    assert (shop.net(alice), invoices(client, alice)) == (left, [("FINALIZED", 250)])
    box.clock.move_to(NOW + timedelta(days=2))
    assert shop.net(alice) == 0


def test_an_archived_contract_charges_no_more(box, client, shop, alice, contract):
    settle = pending(box, client, shop, alice, contract)
    client.v1.contracts.archive(contract_id=contract, customer_id=alice, void_invoices=False)

    assert settle() == 400
    assert (shop.balances(alice), invoices(client, alice)) == ([], [("VOID", 250)])


def test_a_commit_that_waits_is_no_recharge_that_waits(box, wire, client, shop, alice):
    contract = shop.contract(
        alice, shop.commit(30_000), prepaid_balance_threshold_configuration=shop.recharge()
    )
    box.world.settings.stripe_gate_outcome = "pending_action"
    buy(client, alice, contract, gated(shop))
    shop.speak("alice", 10_000)
    box.tick()
    assert len(wire.of("payment_gate.external_initiate")) == 1


def test_without_stripe_the_charge_fails(client, shop, wire, box):
    bob = shop.customer("bob")
    with pytest.raises(BadRequestError, match="failed"):
        buy(client, bob, shop.contract(bob), gated(shop))
    box.tick()
    error = wire.of(STATUS)[0]["properties"]["billing_provider"]["stripe"]["error"]
    assert error["code"] == "no_billing_provider"


def test_gates_that_cannot_be_are_refused(client, shop, alice, contract):
    free = gated(shop)
    del free["invoice_schedule"]
    with pytest.raises(BadRequestError, match="one invoice_schedule item"):
        buy(client, alice, contract, free)
    with pytest.raises(APIStatusError) as caught:
        buy(client, alice, contract, gated(shop, gate="EXTERNAL"))
    assert caught.value.status_code == 501
    taxed = gated(shop)
    taxed["payment_gate_config"]["tax_type"] = "STRIPE"
    with pytest.raises(APIStatusError) as caught:
        buy(client, alice, contract, taxed)
    assert caught.value.status_code == 501
    buy(client, alice, contract, gated(shop, gate="NONE"))
    assert shop.net(alice) == 1_000
