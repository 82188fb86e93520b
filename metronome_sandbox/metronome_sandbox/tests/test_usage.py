from datetime import timedelta

import pytest
from metronome import BadRequestError

from .world import NOW

MIDNIGHT = NOW.replace(hour=0, minute=0)
DAY = timedelta(days=1)


@pytest.fixture
def alice(shop):
    customer = shop.customer("alice")
    shop.contract(customer, shop.commit(10_000))
    shop.speak("alice", 100)
    shop.speak("alice", 20, voice="premium")
    shop.speak("alice", 7, at=NOW - DAY)
    return customer


def test_usage_is_summed_per_window_with_empty_windows(client, shop, alice):
    rows = list(
        client.v1.usage.list(
            window_size="DAY",
            starting_on=MIDNIGHT - 2 * DAY,
            ending_before=MIDNIGHT + DAY,
            customer_ids=[alice],
            billable_metrics=[{"id": shop.speech_metric}],
        )
    )

    assert [one.value for one in rows] == [0, 7, 120]
    assert (rows[2].start_timestamp, rows[2].end_timestamp) == (MIDNIGHT, MIDNIGHT + DAY)


def test_usage_is_split_by_a_group(client, shop, alice):
    (row,) = client.v1.usage.list(
        window_size="NONE",
        starting_on=MIDNIGHT - 2 * DAY,
        ending_before=MIDNIGHT + DAY,
        customer_ids=[alice],
        billable_metrics=[{"id": shop.speech_metric, "group_by": {"key": "voice_type"}}],
    )

    assert (row.value, row.groups) == (127, {"standard": 107, "premium": 20})


def test_grouped_usage_by_hour_and_by_the_current_period(client, shop, alice):
    ask = {
        "billable_metric_id": shop.speech_metric,
        "customer_id": alice,
        "group_key": ["voice_type"],
    }
    hours = client.v1.usage.list_with_groups(
        **ask, window_size="HOUR", starting_on=MIDNIGHT, ending_before=MIDNIGHT + DAY
    )
    assert {(one.starting_on.hour, one.group["voice_type"], one.value) for one in hours} == {
        (9, "standard", 100),
        (9, "premium", 20),
    }

    period = client.v1.usage.list_with_groups(
        **ask, window_size="NONE", current_period=True, group_filters={"voice_type": ["premium"]}
    )
    assert [(one.group_value, one.value) for one in period] == [("premium", 20)]


@pytest.mark.parametrize("shift", [timedelta(hours=1), timedelta(0)])
def test_the_range_must_be_whole_days(client, alice, shift):
    end = MIDNIGHT + shift
    with pytest.raises(BadRequestError):
        list(client.v1.usage.list(window_size="DAY", starting_on=MIDNIGHT, ending_before=end))


def test_a_search_tells_customer_and_metrics(client, shop, alice):
    event = shop.event("alice", 5)
    client.v1.usage.ingest(usage=[event])

    (found,) = client.v1.usage.search(transaction_ids=[event["transaction_id"], "unknown"])

    assert found.matched_customer.id == alice
    assert [one.id for one in found.matched_billable_metrics] == [shop.speech_metric]
    assert found.properties["text_length"] == "5"
