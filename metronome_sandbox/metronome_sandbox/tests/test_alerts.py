from datetime import timedelta

import pytest
from metronome import APIStatusError, BadRequestError, ConflictError, NotFoundError

from .world import VC

BALANCE = "low_remaining_contract_credit_and_commit_balance_reached"


@pytest.fixture
def alice(shop):
    return shop.customer("alice")


def make(client, **options):
    options = {
        "alert_type": BALANCE,
        "name": "Low",
        "threshold": 0,
        "credit_type_id": VC,
        **options,
    }
    return client.v1.alerts.create(**options).data.id


def fired(box, wire, type_=BALANCE):
    box.tick()
    return [one["properties"] for one in wire.of(f"alerts.{type_}")]


def test_it_fires_at_the_threshold_once_and_again_only_after_recovery(
    box, wire, client, shop, alice
):
    alert = make(client, threshold=1_000)
    contract = shop.contract(alice, shop.commit(10_000))
    shop.speak("alice", 8_999)
    assert fired(box, wire) == []

    shop.speak("alice", 1)
    shop.speak("alice", 500)
    (one,) = fired(box, wire)
    assert one == {
        "customer_id": alice,
        "alert_id": alert,
        "timestamp": "2026-03-10T09:30:00.000Z",
        "threshold": 1_000,
        "alert_name": "Low",
        "credit_type_id": VC,
        "remaining_balance": 1_000,
        "triggered_by": "usage",
    }

    client.v2.contracts.edit(
        contract_id=contract, customer_id=alice, add_commits=[shop.commit(5_000)]
    )
    shop.speak("alice", 5_000)
    assert [one["remaining_balance"] for one in fired(box, wire)] == [1_000, 500]


def test_a_customer_without_any_commit_is_ok(box, wire, client, shop, alice):
    alert = make(client)
    shop.contract(alice)
    shop.speak("alice", 100)

    assert fired(box, wire) == []
    state = client.v1.customers.alerts.retrieve(alert_id=alert, customer_id=alice).data
    assert (state.customer_status, state.alert.threshold, state.alert.type) == ("ok", 0, BALANCE)


def test_at_zero_it_fires_on_expiry_too(box, wire, client, shop, alice):
    make(client)
    shop.contract(alice, shop.commit(10_000))
    box.clock.advance(timedelta(days=14))

    assert [one["remaining_balance"] for one in fired(box, wire)] == [0]


def test_a_balance_in_another_unit_does_not_count(box, wire, client, shop, alice):
    client.v1.alerts.create(alert_type=BALANCE, name="Dollars", threshold=0)
    shop.contract(alice, shop.commit(100))
    shop.speak("alice", 100)

    assert fired(box, wire) == []


def test_an_alert_of_one_customer_leaves_others_alone(box, wire, client, shop, alice):
    bob = shop.customer("bob")
    make(client, customer_id=bob)
    for customer in (alice, bob):
        shop.contract(customer, shop.commit(10))
        shop.speak(customer, 10)

    assert [one["customer_id"] for one in fired(box, wire)] == [bob]
    assert list(client.v1.customers.alerts.list(customer_id=alice)) == []


def test_states_are_listed_and_a_reset_fires_again(box, wire, client, shop, alice):
    alert = make(client)
    shop.contract(alice, shop.commit(10))
    shop.speak("alice", 10)
    assert [one.customer_status for one in client.v1.customers.alerts.list(customer_id=alice)] == [
        "in_alarm"
    ]
    assert len(fired(box, wire)) == 1

    client.v1.customers.alerts.reset(alert_id=alert, customer_id=alice)

    assert len(fired(box, wire)) == 2


def test_a_key_is_taken_until_released_and_the_conflict_names_the_alert(client, shop):
    alert = make(client, uniqueness_key="zero")
    with pytest.raises(ConflictError) as caught:
        make(client, uniqueness_key="zero")
    assert caught.value.body == {
        "message": "This uniqueness key has already been used.",
        "conflicting_id": alert,
        "conflicting_value": "zero",
    }

    client.v1.alerts.archive(id=alert)
    with pytest.raises(ConflictError):
        make(client, uniqueness_key="zero")
    client.v1.alerts.archive(id=alert, release_uniqueness_key=True)
    make(client, uniqueness_key="zero")


def test_an_archived_alert_is_silent_and_listed_on_request(box, wire, client, shop, alice):
    alert = make(client)
    client.v1.alerts.archive(id=alert)
    shop.contract(alice, shop.commit(10))
    shop.speak("alice", 10)

    assert fired(box, wire) == []
    assert list(client.v1.customers.alerts.list(customer_id=alice)) == []
    (state,) = client.v1.customers.alerts.list(customer_id=alice, alert_statuses=["ARCHIVED"])
    assert (state.customer_status, state.alert.status) == (None, "archived")


def test_spend_and_usage_alerts_count_the_current_period(box, wire, client, shop, alice):
    make(client, alert_type="spend_threshold_reached", threshold=500)
    make(
        client,
        alert_type="usage_threshold_reached",
        threshold=400,
        credit_type_id=VC,
        billable_metric_id=shop.speech_metric,
    )
    shop.contract(alice, shop.commit(10_000))
    shop.speak("alice", 250, voice="premium")

    assert fired(box, wire, "spend_threshold_reached")[0]["current_spend"] == 500
    assert fired(box, wire, "usage_threshold_reached") == []
    shop.speak("alice", 150)
    assert fired(box, wire, "usage_threshold_reached")[0]["current_usage"] == 400


def test_percentage_and_single_commit_alerts(box, wire, client, shop, alice):
    percentage = "low_remaining_contract_credit_and_commit_percentage_reached"
    single = "low_remaining_commit_balance_reached"
    make(client, alert_type=percentage, threshold=10)
    make(client, alert_type=single, threshold=50)
    shop.contract(alice, shop.commit(1_000))
    shop.speak("alice", 900)
    assert len(fired(box, wire, percentage)) == 1
    assert fired(box, wire, single) == []
    shop.speak("alice", 60)

    assert fired(box, wire, single)[0]["remaining_balance"] == 40


def test_resolved_is_sent_only_when_switched_on(box, wire, client, shop, alice):
    box.world.settings.resolved_alerts = True
    make(client)
    contract = shop.contract(alice, shop.commit(10))
    shop.speak("alice", 10)
    client.v2.contracts.edit(
        contract_id=contract, customer_id=alice, add_commits=[shop.commit(100)]
    )

    resolved = fired(box, wire, BALANCE.replace("_reached", "_resolved"))
    assert [one["remaining_balance"] for one in resolved] == [100]


def test_unknown_alerts_and_unsupported_types_say_so(client, shop, alice):
    with pytest.raises(NotFoundError):
        client.v1.customers.alerts.retrieve(
            alert_id="0a0a0a0a-0000-4000-8000-000000000000", customer_id=alice
        )
    with pytest.raises(APIStatusError, match="use spend_threshold_reached, or read") as caught:
        make(client, alert_type="invoice_total_reached")
    assert caught.value.status_code == 501


def test_an_alert_can_look_at_contracts_with_a_custom_field_only(box, wire, client, shop):
    client.v1.custom_fields.add_key(entity="contract", key="tier", enforce_uniqueness=False)
    filters = [{"entity": "Contract", "key": "tier", "value": "gold"}]
    common = {"credit_type_id": VC, "custom_field_filters": filters}
    client.v1.alerts.create(
        alert_type="low_remaining_contract_credit_and_commit_balance_reached",
        name="low",
        threshold=50,
        **common,
    )
    client.v1.alerts.create(
        alert_type="spend_threshold_reached", name="spend", threshold=60, **common
    )
    gold, plain = shop.customer("alice"), shop.customer("bob")
    shop.contract(gold, shop.commit(100), custom_fields={"tier": "gold"})
    shop.contract(plain, shop.commit(100))
    shop.speak("alice", 60)
    shop.speak("bob", 60)
    box.tick()

    # 100 − 60 = 40 left, and 60 spent, by the one that is gold
    assert {
        (body["type"], body["properties"]["customer_id"])
        for body in wire.bodies
        if body["type"].startswith("alerts.")
    } == {
        ("alerts.low_remaining_contract_credit_and_commit_balance_reached", gold),
        ("alerts.spend_threshold_reached", gold),
    }


def test_filters_that_an_alert_cannot_use_are_refused(client, shop):
    rule = {"entity": "Commit", "key": "a", "value": "b"}
    with pytest.raises(BadRequestError, match="entity Contract only"):
        client.v1.alerts.create(
            alert_type="spend_threshold_reached",
            name="a",
            threshold=1,
            custom_field_filters=[rule],
        )
    with pytest.raises(APIStatusError, match="does not support usage alerts with"):
        client.v1.alerts.create(
            alert_type="usage_threshold_reached",
            name="a",
            threshold=1,
            billable_metric_id=shop.speech_metric,
            custom_field_filters=[rule],
        )
