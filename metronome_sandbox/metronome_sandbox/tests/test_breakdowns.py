"""Usage invoices by day and by hour, each number computed by hand beside it."""

from datetime import UTC, datetime, timedelta

import pytest
from metronome import BadRequestError

from metronome_sandbox import Sandbox

from .conftest import client_of
from .world import HOUR, NOW, Shop

DAY = NOW.replace(hour=0, minute=0)


def breakdowns(client, customer, *, since=DAY, until=DAY + timedelta(days=7), **options):
    return list(
        client.v1.customers.invoices.list_breakdowns(
            customer_id=customer, starting_on=since, ending_before=until, **options
        )
    )


def lines(invoice):
    return [(line.type, line.quantity, line.total) for line in invoice.line_items]


@pytest.fixture
def alice(box, shop):
    """100 credits from the 10th on, 9 o'clock; 60 used in that hour, 30 in the next, 20 at premium
    voices on the 12th: of their 40 credits 10 are there."""
    customer = shop.customer("alice")
    shop.contract(customer, shop.commit(100))
    box.clock.move_to(NOW + timedelta(days=2))
    shop.speak("alice", 60)
    shop.speak("alice", 30, at=NOW + timedelta(hours=1))
    shop.speak("alice", 20, voice="premium", at=NOW + timedelta(days=2))
    return customer


def test_days_show_what_each_added_to_the_draft(client, alice):
    first, second, third = breakdowns(client, alice)

    assert (first.breakdown_start_timestamp, first.breakdown_end_timestamp) == (
        DAY,
        DAY + timedelta(days=1),
    )
    assert lines(first) == [("usage", 90, 90), ("applied_commit_or_credit", None, -90)]
    assert (lines(second), second.total) == ([], 0)
    # 30 credits that nothing paid are 0.75 cents.
    assert lines(third) == [
        ("usage", 5, 10),
        ("applied_commit_or_credit", None, -10),
        ("usage", 15, 30),
        ("cpu_conversion", 30, 0.75),
    ]
    draft = client.v1.customers.invoices.list(customer_id=alice, type="USAGE").data[0]
    assert {one.id for one in (first, second, third)} == {draft.id}
    assert (draft.total, third.total) == (0.75, 0.75)
    assert (third.start_timestamp, third.status) == (draft.start_timestamp, "DRAFT")
    assert (third.line_items[0].starting_at, third.line_items[0].ending_before) == (
        third.breakdown_start_timestamp,
        third.breakdown_end_timestamp,
    )


def test_windows_without_usage_can_be_left_out(client, alice):
    found = breakdowns(client, alice, skip_zero_qty_line_items=True)
    assert [one.breakdown_start_timestamp.day for one in found] == [10, 12]


def test_hours_begin_where_the_contract_does(client, alice):
    found = breakdowns(client, alice, until=HOUR + timedelta(hours=3), window_size="HOUR")
    assert [(one.breakdown_start_timestamp.hour, one.line_items[:1]) for one in found][-1] == (
        11,
        [],
    )
    assert [sum(line.quantity or 0 for line in one.line_items) for one in found] == [60, 30, 0]


@pytest.mark.parametrize(
    ("since", "until", "days"),
    [
        (DAY, DAY + timedelta(days=1), [10]),
        # A window lies between the times as a whole.
        (DAY + timedelta(hours=1), DAY + timedelta(days=2), [11]),
        (DAY, DAY + timedelta(hours=47), [10]),
        # Windows of the future are not there.
        (DAY + timedelta(days=2), DAY + timedelta(days=9), [12]),
        (DAY - timedelta(days=9), DAY, []),
    ],
)
def test_only_windows_between_the_times_are_shown(client, alice, since, until, days):
    found = breakdowns(client, alice, since=since, until=until)
    assert [one.breakdown_start_timestamp.day for one in found] == days


def test_a_final_invoice_keeps_its_breakdowns(client, box, alice):
    before = [lines(one) for one in breakdowns(client, alice)]
    box.clock.move_to(datetime(2026, 4, 3, tzinfo=UTC))

    found = breakdowns(client, alice, until=datetime(2026, 4, 1, tzinfo=UTC), status="FINALIZED")

    assert [lines(one) for one in found[:3]] == before
    assert len(found) == 22  # the 10th to the 31st
    assert {one.status for one in found} == {"FINALIZED"}
    assert breakdowns(client, alice, status="DRAFT") == []


def test_a_void_invoice_has_none_and_a_regenerated_one_has(client, box, alice):
    box.clock.move_to(datetime(2026, 4, 3, tzinfo=UTC))
    final = client.v1.customers.invoices.list(customer_id=alice, status="FINALIZED").data[0]
    client.v1.invoices.void(id=final.id)
    assert breakdowns(client, alice) == []

    fresh = client.v1.invoices.regenerate(id=final.id).data.id
    found = breakdowns(client, alice, skip_zero_qty_line_items=True)
    assert [(one.id, one.breakdown_start_timestamp.day) for one in found] == [
        (fresh, 10),
        (fresh, 12),
    ]


def test_pages_hold_35_days_or_24_hours(client, box, shop, alice):
    box.clock.move_to(NOW + timedelta(days=42))
    since, until = DAY, DAY + timedelta(days=60)
    listed = client.v1.customers.invoices.list_breakdowns
    times = {"customer_id": alice, "starting_on": since, "ending_before": until}
    days = listed(**times, limit=100)
    assert (len(days.data), len(list(days))) == (35, 43)  # 22 of March and 21 of April
    hours = listed(**times, window_size="HOUR", sort="date_desc")
    assert len(hours.data) == 24
    assert hours.data[0].breakdown_start_timestamp > hours.data[1].breakdown_start_timestamp
    assert len(listed(**times, limit=3).data) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window_size": "MONTH"}, "window_size"),
        ({"limit": 0}, "limit"),
        ({"since": "nonsense"}, "RFC 3339"),
    ],
)
def test_what_means_nothing_is_refused(client, alice, options, message):
    with pytest.raises(BadRequestError, match=message):
        breakdowns(client, alice, **options)


def test_they_survive_a_restart(tmp_path):
    options = {"now": NOW, "state_path": tmp_path / "state", "evaluate_every_seconds": 0}
    box = Sandbox(**options)
    client = client_of(box)
    shop = Shop(client)
    alice = shop.customer("alice")
    shop.contract(alice, shop.commit(100))
    shop.speak("alice", 60, voice="premium")
    box.clock.move_to(datetime(2026, 4, 3, tzinfo=UTC))
    box.tick()
    box.close()

    (found,) = breakdowns(client_of(Sandbox(**options)), alice, skip_zero_qty_line_items=True)

    assert lines(found) == [
        ("usage", 50, 100),
        ("applied_commit_or_credit", None, -100),
        ("usage", 10, 20),
        ("cpu_conversion", 20, 0.5),
    ]
