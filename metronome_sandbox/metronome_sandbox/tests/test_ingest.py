from datetime import timedelta

import pytest
from metronome import BadRequestError

from .world import NOW


@pytest.fixture
def alice(shop):
    customer = shop.customer("alice")
    shop.contract(customer, shop.commit(10_000))
    return customer


def test_one_bad_event_refuses_the_whole_batch(client, shop, alice):
    good, bad = shop.event(alice, 100), shop.event(alice, 100)
    del bad["event_type"]

    with pytest.raises(BadRequestError, match="Event 1: event_type"):
        client.v1.usage.ingest(usage=[good, bad])

    assert shop.net(alice) == 10_000


@pytest.mark.parametrize("size", [0, 101])
def test_a_batch_has_1_to_100_events(client, shop, alice, size):
    with pytest.raises(BadRequestError, match="1 to 100"):
        client.v1.usage.ingest(usage=[shop.event(alice, 1) for _ in range(size)])


def test_a_repeated_transaction_counts_once_whatever_it_says(client, shop, alice):
    shop.speak("alice", 100, key="same")
    shop.speak("alice", 999, key="same")
    client.v1.usage.ingest(
        usage=[shop.event("alice", 7, key="twin"), shop.event("alice", 7, key="twin")]
    )

    assert shop.net(alice) == 10_000 - 107


def test_a_transaction_id_is_free_again_after_34_days(box, shop, alice):
    shop.contract(alice, shop.commit(10_000, days=365))
    shop.speak("alice", 100, key="same")
    before = shop.net(alice)

    box.clock.advance(timedelta(days=34))
    shop.speak("alice", 50, key="same", at=box.clock.now())

    assert before - shop.net(alice) > 0
    assert len(box.world.store.events) == 2


def test_lengths_may_be_numbers_or_numeric_strings(client, shop, alice):
    events = [shop.event("alice", 100), shop.event("alice", 0), shop.event("alice", 0)]
    events[1]["properties"]["text_length"] = 20
    events[2]["properties"]["text_length"] = 0.5

    client.v1.usage.ingest(usage=events)

    assert shop.net(alice) == 10_000 - 120.5


@pytest.mark.parametrize(
    ("shift", "message"), [(timedelta(hours=24.1), "future"), (timedelta(days=-34.1), "past")]
)
def test_an_event_too_far_from_now_refuses_the_batch(client, shop, alice, shift, message):
    with pytest.raises(BadRequestError, match=message):
        client.v1.usage.ingest(
            usage=[shop.event("alice", 1), shop.event("alice", 1, at=NOW + shift)]
        )

    assert shop.net(alice) == 10_000


@pytest.mark.parametrize("timestamp", ["2026-03-10", "yesterday", "2026-03-10T09:30:00", ""])
def test_a_timestamp_must_be_rfc_3339(client, shop, alice, timestamp):
    event = {**shop.event("alice", 1), "timestamp": timestamp}
    with pytest.raises(BadRequestError, match="timestamp"):
        client.v1.usage.ingest(usage=[event])


def test_events_nobody_knows_are_kept_and_cost_nothing(client, shop, alice):
    event = {**shop.event("nobody", 5), "event_type": "unheard_of"}

    client.v1.usage.ingest(usage=[event])

    found = client.v1.usage.search(transaction_ids=[event["transaction_id"]])[0]
    assert found.matched_customer is None
    assert found.matched_billable_metrics == []


def test_a_value_that_is_no_number_counts_nothing(client, shop, alice):
    event = shop.event("alice", "many")
    client.v1.usage.ingest(usage=[event])
    assert shop.net(alice) == 10_000


def test_usage_past_zero_is_accepted_and_the_balance_stops_at_zero(shop, alice):
    shop.speak("alice", 12_000)
    assert shop.net(alice) == 0


def test_usage_shows_in_balances_only_after_the_latency(box, shop, alice):
    box.world.settings.latency_seconds = 10
    shop.speak("alice", 100)
    assert shop.net(alice) == 10_000

    box.clock.advance(seconds=10)

    assert shop.net(alice) == 9_900
