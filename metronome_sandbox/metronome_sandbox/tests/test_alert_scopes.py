"""Alerts by days left, by groups of usage and by custom fields, also by each of their values."""

from datetime import timedelta

import pytest
from metronome import BadRequestError

from .test_alerts import BALANCE, fired, make
from .world import HOUR, NOW

SPEND = "spend_threshold_reached"
DAYS = "low_remaining_days_for_commit_segment_reached"
CREDIT_DAYS = "low_remaining_days_for_contract_credit_segment_reached"


@pytest.fixture
def alice(shop):
    return shop.customer("alice")


@pytest.fixture
def promotions(client):
    for entity in ("commit", "contract_credit"):
        client.v1.custom_fields.add_key(entity=entity, key="promo", enforce_uniqueness=False)


def rule(value=None, entity="ContractCreditOrCommit"):
    found = {"entity": entity, "key": "promo"}
    return found if value is None else {**found, "value": value}


def specifier(*rules, exclude=()):
    one = {"custom_field_filters": list(rules)} if rules else {}
    if exclude:
        one["exclude"] = [{"custom_field_filters": [rule]} for rule in exclude]
    return one


# Days


def test_an_alert_by_days_fires_when_the_last_days_begin(box, wire, client, shop, alice):
    make(client, alert_type=DAYS, threshold=3)
    shop.contract(alice, shop.commit(100))  # until the 24th, 9 o'clock
    box.clock.move_to(HOUR + timedelta(days=11) - timedelta(seconds=1))
    assert fired(box, wire, DAYS) == []

    box.clock.move_to(HOUR + timedelta(days=11))

    (alarm,) = fired(box, wire, DAYS)
    (commit,) = shop.balances(alice)
    assert (alarm["threshold"], alarm["remaining_days"], alarm["commit_id"]) == (3, 3, commit.id)


def test_it_counts_the_segment_that_ends_first_and_fires_for_the_next(
    box, wire, client, shop, alice
):
    make(client, alert_type=DAYS, threshold=1.5)
    later = shop.commit(100, starting_at=HOUR + timedelta(days=2), days=4)
    shop.contract(alice, shop.commit(100, days=2), later)
    alarms = []
    for hours in range(0, 7 * 24, 12):
        box.clock.move_to(NOW + timedelta(hours=hours))
        alarms += [(hours, one["remaining_days"]) for one in fired(box, wire, DAYS)]
        wire.received.clear()

    # 12 hours after the start of the first, and after 4.5 days for the second
    assert alarms == [(12, 1.5), (108, 1.5)]


def test_credits_have_an_alert_of_their_own_and_any_unit_counts_unless_one_is_named(
    box, wire, client, shop, alice
):
    credit = {key: value for key, value in shop.commit(5, days=1).items() if key != "type"}
    shop.contract(alice, credits=[credit])
    client.v1.alerts.create(alert_type=CREDIT_DAYS, name="any", threshold=2)
    make(client, alert_type=CREDIT_DAYS, name="VC", threshold=2)
    client.v1.alerts.create(
        alert_type=CREDIT_DAYS,
        name="USD",
        threshold=2,
        credit_type_id="2714e483-4ff1-48e4-9e25-ac732e8f24f2",
    )
    client.v1.alerts.create(alert_type=DAYS, name="commits", threshold=2)

    assert [one["alert_name"] for one in fired(box, wire, CREDIT_DAYS)] == ["any", "VC"]
    assert fired(box, wire, DAYS) == []
    with pytest.raises(BadRequestError, match="at most"):
        make(client, alert_type=DAYS, threshold=1e9)


# Groups


def test_a_spend_alert_can_be_for_one_value_of_a_group(box, wire, client, shop, alice):
    make(
        client,
        alert_type=SPEND,
        threshold=100,
        group_values=[{"key": "voice_type", "value": "premium"}],
    )
    shop.contract(alice, shop.commit(1_000))
    shop.speak("alice", 500)
    shop.speak("alice", 49, voice="premium")  # 98
    assert fired(box, wire, SPEND) == []
    shop.speak("alice", 1, voice="premium")

    (alarm,) = fired(box, wire, SPEND)
    assert (alarm["current_spend"], alarm["group_values"]) == (
        100,
        [{"key": "voice_type", "value": "premium"}],
    )


def test_a_spend_alert_by_each_value_of_a_group_tells_them_apart(box, wire, client, shop, alice):
    alert = make(client, alert_type=SPEND, threshold=100, group_values=[{"key": "voice_type"}])
    shop.contract(alice, shop.commit(1_000))
    shop.speak("alice", 60)
    shop.speak("alice", 45, voice="premium")
    assert fired(box, wire, SPEND) == []
    shop.speak("alice", 10, voice="premium")  # 110
    shop.speak("alice", 30)  # 90
    (alarm,) = fired(box, wire, SPEND)
    assert (alarm["current_spend"], alarm["group_values"]) == (
        110,
        [{"key": "voice_type", "value": "premium"}],
    )

    def status(value):
        return client.v1.customers.alerts.retrieve(
            alert_id=alert,
            customer_id=alice,
            group_values=[{"key": "voice_type", "value": value}],
        ).data.customer_status

    assert (status("premium"), status("standard"), status("other")) == (
        "in_alarm",
        "ok",
        "evaluating",
    )
    shop.speak("alice", 10)
    assert [one["group_values"][0]["value"] for one in fired(box, wire, SPEND)] == [
        "premium",
        "standard",
    ]


# Specifiers


def test_specifiers_are_alternatives_whose_conditions_all_hold(
    box, wire, client, shop, alice, promotions
):
    """30 of `may` and 5 of `june`; not the 1,000 without, and of `june` no credit."""
    make(
        client,
        threshold=35,
        alert_specifiers=[specifier(rule("may")), specifier(rule("june", "Commit"))],
    )
    credit = {key: value for key, value in shop.commit(7).items() if key != "type"}
    shop.contract(
        alice,
        shop.commit(30, custom_fields={"promo": "may"}, priority=2),
        shop.commit(6, custom_fields={"promo": "june"}, priority=1),
        shop.commit(1_000, priority=3),
        credits=[{**credit, "custom_fields": {"promo": "june"}, "priority": 4}],
    )
    assert fired(box, wire) == []
    shop.speak("alice", 1)

    (alarm,) = fired(box, wire)
    assert alarm["remaining_balance"] == 35
    assert len(alarm["alert_specifiers"]) == 2


def test_what_is_excluded_does_not_count(box, wire, client, shop, alice, promotions):
    make(client, threshold=10, alert_specifiers=[specifier(exclude=[rule("a"), rule("b")])])
    shop.contract(
        alice,
        shop.commit(10, priority=1),
        shop.commit(500, custom_fields={"promo": "a"}),
        shop.commit(500, custom_fields={"promo": "b"}),
    )
    (alarm,) = fired(box, wire)
    assert alarm["remaining_balance"] == 10


def test_an_alert_by_each_value_of_a_field_tells_the_value_and_once_the_whole(
    box, wire, client, shop, alice, promotions
):
    alert = make(client, threshold=0, alert_specifiers=[specifier(rule())])
    shop.contract(
        alice,
        shop.commit(10, custom_fields={"promo": "may"}, priority=1),
        shop.commit(20, custom_fields={"promo": "june"}, priority=2),
        shop.commit(500, priority=3),
    )
    assert fired(box, wire) == []
    shop.speak("alice", 10)
    first, whole = fired(box, wire)
    assert first["alert_specifiers"] == [specifier(rule("may"))]
    assert whole["alert_specifiers"] == [specifier(rule())]
    assert "remaining_balance" not in whole

    shop.speak("alice", 20)
    assert fired(box, wire)[2]["alert_specifiers"] == [specifier(rule("june"))]
    shown = client.v1.customers.alerts.retrieve(
        alert_id=alert, customer_id=alice, alert_specifiers=[specifier(rule("june"))]
    ).data
    assert shown.customer_status == "in_alarm"
    assert shown.alert.alert_specifiers[0].custom_field_filters[0].value == "june"
    assert len(wire.of(f"alerts.{BALANCE}")) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alert_type": SPEND, "alert_specifiers": [specifier(rule("a"))]}, "only be used with"),
        ({"group_values": [{"key": "a", "value": "b"}]}, "only be used with"),
        ({"alert_specifiers": [specifier(rule()), specifier(rule("a"))]}, "one key"),
        ({"alert_type": SPEND, "group_values": [{"key": "a"}, {"key": "b"}]}, "one key"),
        ({"alert_specifiers": [{"exclude": [{"custom_field_filters": []}]}]}, "a key and a value"),
        ({"alert_specifiers": [specifier(exclude=[rule()])]}, "value is required"),
    ],
)
def test_scopes_that_mean_nothing_are_refused(client, options, message):
    with pytest.raises(BadRequestError, match=message):
        make(client, **options)


def test_a_reset_forgets_every_value(box, wire, client, shop, alice, promotions):
    alert = make(client, threshold=0, alert_specifiers=[specifier(rule())])
    shop.contract(alice, shop.commit(10, custom_fields={"promo": "may"}))
    shop.speak("alice", 10)
    assert len(fired(box, wire)) == 2
    client.v1.customers.alerts.reset(alert_id=alert, customer_id=alice)
    assert len(fired(box, wire)) == 4
