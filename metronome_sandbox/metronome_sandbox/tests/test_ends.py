"""What a contract's end takes away. Every number is computed by hand beside it."""

from datetime import UTC, datetime, timedelta

import pytest
from metronome import BadRequestError

from metronome_sandbox import USD_ID

from .world import HOUR, NOW, VC


@pytest.fixture
def alice(shop):
    return shop.customer("alice")


def end(client, customer, contract, at):
    client.v1.contracts.update_end_date(
        contract_id=contract, customer_id=customer, ending_before=at
    )


def ledger(shop, customer, **options):
    rows = shop.balances(customer, include_ledgers=True, **options)
    return {
        one.name: [
            (entry.type.removeprefix("PREPAID_COMMIT_").removeprefix("CREDIT_"), entry.amount)
            for entry in one.ledger or []
        ]
        for one in rows
    }


def recurring(shop, amount, *, starting_at=HOUR, **extra):
    return {
        "product_id": shop.credits,
        "priority": 10,
        "name": "Monthly",
        "starting_at": starting_at,
        "access_amount": {"credit_type_id": VC, "unit_price": amount, "quantity": 1},
        "commit_duration": {"value": 1},
        **extra,
    }


def test_an_hour_after_the_end_nothing_is_left_and_the_ledger_says_what_expired(
    box, client, shop, alice
):
    contract = shop.contract(alice, shop.commit(1_000, name="Year", days=365))
    shop.speak("alice", 300)
    end(client, alice, contract, HOUR + timedelta(days=2))
    assert shop.net(alice) == 700

    box.clock.move_to(HOUR + timedelta(days=2, hours=1))

    # 1,000 granted − 300 spoken = 700 expired
    assert shop.net(alice) == 0
    assert ledger(shop, alice) == {
        "Year": [
            ("SEGMENT_START", 1_000),
            ("AUTOMATED_INVOICE_DEDUCTION", -300),
            ("EXPIRATION", -700),
        ]
    }
    (row,) = shop.balances(alice)
    assert row.access_schedule.schedule_items[0].ending_before == HOUR + timedelta(days=2)


def test_an_end_in_the_past_takes_back_what_was_used_after_it(client, shop, alice):
    start = HOUR - timedelta(days=3)
    contract = shop.contract(
        alice, shop.commit(100, starting_at=start, days=30, name="Month"), starting_at=start
    )
    shop.speak("alice", 10, at=start)
    shop.speak("alice", 20)

    end(client, alice, contract, HOUR - timedelta(days=1))

    # 100 − 10 used before the end = 90 expired; the 20 after it are not this contract's.
    assert shop.net(alice) == 0
    assert sorted(ledger(shop, alice)["Month"]) == [
        ("AUTOMATED_INVOICE_DEDUCTION", -10),
        ("EXPIRATION", -90),
        ("SEGMENT_START", 100),
    ]


def test_segments_that_would_start_after_the_end_are_gone(box, client, shop, alice):
    parts = shop.commit(0, name="Two years")
    parts["access_schedule"]["schedule_items"] = [
        {
            "amount": amount,
            "starting_at": HOUR + timedelta(days=days),
            "ending_before": HOUR + timedelta(days=days + 10),
        }
        for amount, days in ((100, 0), (200, 10))
    ]
    contract = shop.contract(
        alice, parts, shop.commit(50, name="Late", starting_at=HOUR + timedelta(days=20))
    )

    end(client, alice, contract, HOUR + timedelta(days=5))

    (row,) = shop.balances(alice)
    (item,) = row.access_schedule.schedule_items
    assert (item.amount, item.ending_before) == (100, HOUR + timedelta(days=5))
    box.clock.move_to(HOUR + timedelta(days=25))
    assert shop.net(alice) == 0


def test_a_later_end_makes_the_contract_longer_and_nothing_else(box, client, shop, alice):
    contract = shop.contract(alice, shop.commit(100, days=30))
    end(client, alice, contract, HOUR + timedelta(days=1))
    end(client, alice, contract, HOUR + timedelta(days=9))
    box.clock.move_to(HOUR + timedelta(days=2))

    assert shop.net(alice) == 0
    shown = client.v2.contracts.retrieve(contract_id=contract, customer_id=alice).data
    assert shown.ending_before == HOUR + timedelta(days=9)


def test_access_made_or_changed_later_ends_with_the_contract_too(client, shop, alice):
    last = HOUR + timedelta(days=3)
    contract = shop.contract(alice, shop.commit(10, name="made"), ending_before=last)
    client.v2.contracts.edit(
        contract_id=contract, customer_id=alice, add_commits=[shop.commit(20, name="added")]
    )
    for row in shop.balances(alice):
        (item,) = row.access_schedule.schedule_items
        assert item.ending_before == last
        client.v2.contracts.edit_commit(
            commit_id=row.id,
            customer_id=alice,
            access_schedule={
                "update_schedule_items": [
                    {"id": item.id, "ending_before": last + timedelta(days=9)}
                ]
            },
        )
    ends = [row.access_schedule.schedule_items[0].ending_before for row in shop.balances(alice)]
    assert ends == [last, last]

    with pytest.raises(BadRequestError, match="before the end of the contract"):
        client.v2.contracts.edit(
            contract_id=contract,
            customer_id=alice,
            add_commits=[shop.commit(20, starting_at=last)],
        )


def test_one_edit_that_moves_the_end_measures_what_it_adds_by_the_new_end(client, shop, alice):
    contract = shop.contract(alice, ending_before=HOUR + timedelta(days=3))
    client.v2.contracts.edit(
        contract_id=contract,
        customer_id=alice,
        update_contract_end_date=HOUR + timedelta(days=9),
        add_commits=[shop.commit(20, days=14)],
    )

    (row,) = shop.balances(alice)
    assert row.access_schedule.schedule_items[0].ending_before == HOUR + timedelta(days=9)


def test_customer_level_balances_outlive_the_contract(box, client, shop, alice):
    schedule = shop.commit(100, days=60)["access_schedule"]
    client.v1.customers.credits.create(
        customer_id=alice, priority=1, product_id=shop.credits, access_schedule=schedule
    )
    contract = shop.contract(alice)
    end(client, alice, contract, HOUR + timedelta(days=1))
    box.clock.move_to(HOUR + timedelta(days=2))

    assert shop.net(alice) == 100


def test_recurring_credits_end_with_their_contract(box, client, shop, alice):
    contract = shop.contract(alice, recurring_credits=[recurring(shop, 310, proration="NONE")])
    assert len(shop.balances(alice)) == 2  # March's and, one period ahead, April's

    end(client, alice, contract, NOW.replace(day=20, hour=0, minute=0))

    assert len(shop.balances(alice)) == 1
    box.clock.move_to(NOW.replace(month=6))
    assert shop.net(alice) == 0
    # The child of March had started: it keeps its amount and loses what is left at the end.
    assert ledger(shop, alice) == {"Monthly": [("SEGMENT_START", 310), ("EXPIRATION", -310)]}


def test_a_child_that_has_not_started_gets_what_its_shorter_period_is_worth(
    box, client, shop, alice
):
    contract = shop.contract(
        alice,
        recurring_commits=[
            recurring(
                shop,
                300,
                invoice_amount={"unit_price": 60, "quantity": 1, "credit_type_id": USD_ID},
            )
        ],
    )

    end(client, alice, contract, datetime(2026, 4, 11, tzinfo=UTC))
    box.clock.move_to(datetime(2026, 4, 2, tzinfo=UTC))

    # 10 of April's 30 days: 300 × 10/30 = 100 credits for 60 × 10/30 = 20 cents
    assert shop.net(alice) == 100
    invoices = client.v1.customers.invoices.list(customer_id=alice, type="SCHEDULED").data
    assert invoices[-1].total == 20
    assert [line.total for line in invoices[-1].line_items] == [20]


def test_the_end_of_a_recurring_credit_takes_what_has_not_started(box, client, shop, alice):
    contract = shop.contract(alice, recurring_credits=[recurring(shop, 300, proration="NONE")])
    template = (
        client.v2.contracts.retrieve(contract_id=contract, customer_id=alice)
        .data.recurring_credits[0]
        .id
    )

    def until(at):
        client.v2.contracts.edit(
            contract_id=contract,
            customer_id=alice,
            update_recurring_credits=[{"recurring_credit_id": template, "ending_before": at}],
        )

    until(datetime(2026, 3, 20, tzinfo=UTC))
    assert len(shop.balances(alice)) == 1
    assert shop.net(alice) == 300  # March's had started
    box.clock.move_to(datetime(2026, 4, 2, tzinfo=UTC))
    assert shop.net(alice) == 0

    until(datetime(2026, 7, 1, tzinfo=UTC))
    assert shop.net(alice) == 300
    box.clock.move_to(datetime(2026, 7, 2, tzinfo=UTC))
    assert shop.net(alice) == 0


def test_an_edit_tells_the_ids_of_all_it_added(client, shop, alice):
    contract = shop.contract(alice)
    edit = client.v2.contracts.edit(
        contract_id=contract,
        customer_id=alice,
        add_overrides=[{"type": "MULTIPLIER", "multiplier": 0.5, "starting_at": HOUR}],
        add_recurring_credits=[recurring(shop, 300)],
    ).data.edit

    shown = client.v2.contracts.retrieve(contract_id=contract, customer_id=alice).data
    assert [one.id for one in edit.add_overrides] == [one.id for one in shown.overrides]
    assert [one.id for one in edit.add_recurring_credits] == [
        one.id for one in shown.recurring_credits
    ]
    (kept,) = client.v2.contracts.get_edit_history(contract_id=contract, customer_id=alice).data
    assert kept.add_overrides[0].id == edit.add_overrides[0].id

    client.v2.contracts.edit(
        contract_id=contract,
        customer_id=alice,
        remove_overrides=[{"id": edit.add_overrides[0].id}],
    )
    shown = client.v2.contracts.retrieve(contract_id=contract, customer_id=alice).data
    assert shown.overrides == []


def test_prorated_amounts_are_rounded_as_the_template_says(box, shop, alice):
    rule = {"decimal_places": 0, "rounding_method": "CEILING"}
    shop.contract(
        alice,
        recurring_credits=[recurring(shop, 100, proration_rounding={"access": rule})],
        starting_at=HOUR,
        usage_statement_schedule={
            "frequency": "MONTHLY",
            "day": "CUSTOM_DATE",
            "billing_anchor_date": "2026-03-01T09:00:00Z",
        },
    )
    # From the 10th 09:00 to 1 April 09:00: 22 of 31 days, 100 × 22/31 = 70.97, up to 71
    assert shop.net(alice) == 71


@pytest.mark.parametrize(
    ("schedule", "start", "amount", "granted"),
    [
        # The first period of an anniversary is whole, at whatever hour it starts.
        ({"frequency": "MONTHLY", "day": "CONTRACT_START"}, HOUR, 744, 744),
        # 2 April 18:00 to 2 May 18:00 has 720 hours; from 19:00 on 719: 250 × 719/720
        (
            {
                "frequency": "MONTHLY",
                "day": "CUSTOM_DATE",
                "billing_anchor_date": "2026-04-02T18:00:00Z",
            },
            datetime(2026, 4, 2, 19, tzinfo=UTC),
            250,
            249.6527777778,
        ),
    ],
)
def test_billing_anchors_keep_their_hour(box, shop, alice, schedule, start, amount, granted):
    shop.contract(
        alice,
        starting_at=start,
        usage_statement_schedule=schedule,
        recurring_credits=[recurring(shop, amount, starting_at=start)],
    )
    box.clock.move_to(max(start, NOW))

    assert shop.net(alice) == granted


def test_scheduled_invoices_after_the_end_are_removed(client, shop, alice):
    yearly = shop.commit(1_000, days=365)
    yearly["invoice_schedule"] = {
        "schedule_items": [
            {"timestamp": HOUR.replace(month=month), "amount": 500} for month in (3, 4, 6)
        ]
    }
    contract = shop.contract(alice, yearly)

    end(client, alice, contract, HOUR.replace(month=5))

    found = client.v1.customers.invoices.list(customer_id=alice, type="SCHEDULED").data
    assert [one.issued_at.month for one in found] == [3, 4]
    (row,) = shop.balances(alice)
    assert [item.timestamp.month for item in row.invoice_schedule.schedule_items] == [3, 4]


def test_draft_usage_invoices_after_the_end_are_removed_and_the_last_ends_with_it(
    box, client, shop, alice
):
    contract = shop.contract(alice)
    box.clock.move_to(HOUR.replace(month=4, day=1))
    assert len(client.v1.customers.invoices.list(customer_id=alice).data) == 2

    last = HOUR.replace(day=31)
    end(client, alice, contract, last)

    (invoice,) = client.v1.customers.invoices.list(customer_id=alice).data
    assert invoice.end_timestamp == last


@pytest.mark.parametrize(
    "ended", [datetime(2026, 3, 15, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)]
)
def test_a_contract_made_longer_after_its_final_invoice_goes_on_where_that_ends(
    box, client, shop, alice, ended
):
    contract = shop.contract(alice)
    client.v1.customers.credits.create(
        customer_id=alice,
        product_id=shop.credits,
        priority=1,
        access_schedule=shop.commit(1_000, days=90)["access_schedule"],
    )
    end(client, alice, contract, ended)
    box.clock.move_to(ended + timedelta(days=5))
    client.v1.contracts.update_end_date(contract_id=contract, customer_id=alice)
    shop.speak("alice", 100, at=box.clock.now())
    assert shop.net(alice) == 900

    box.clock.move_to(datetime(2026, 4, 7, tzinfo=UTC))
    shop.speak("alice", 50, at=box.clock.now())

    assert shop.net(alice) == 850
    found = client.v1.customers.invoices.list(customer_id=alice, type="USAGE").data
    starts = sorted({HOUR, ended, datetime(2026, 4, 1, tzinfo=UTC)})
    assert [(one.status, one.start_timestamp) for one in found] == [
        ("DRAFT" if start.month == 4 else "FINALIZED", start) for start in starts
    ]
    assert [one.end_timestamp for one in found] == [*starts[1:], datetime(2026, 5, 1, tzinfo=UTC)]


def test_what_a_regenerated_invoice_of_a_contract_made_longer_covers(box, client, shop, alice):
    """Used 10 on the 10th; ended on the 15th, longer on the 20th, used 7 on the 21st."""
    ended = datetime(2026, 3, 15, tzinfo=UTC)
    contract = shop.contract(alice, shop.commit(1_000, days=60), ending_before=ended)
    shop.speak("alice", 10, at=NOW)
    box.clock.move_to(ended + timedelta(days=5))
    client.v1.contracts.update_end_date(contract_id=contract, customer_id=alice)
    box.clock.move_to(ended + timedelta(days=6))
    shop.speak("alice", 7, at=box.clock.now())
    first, second = client.v1.customers.invoices.list(customer_id=alice, type="USAGE").data
    client.v1.invoices.void(id=first.id)
    fresh = client.v1.invoices.regenerate(id=first.id).data.id

    shown = client.v1.customers.invoices.retrieve(customer_id=alice, invoice_id=fresh).data
    assert shown.end_timestamp == ended == second.start_timestamp
    assert sum(line.quantity for line in shown.line_items if line.type == "usage") == 10
    draft = client.v1.customers.invoices.retrieve(customer_id=alice, invoice_id=second.id).data
    assert [line.quantity for line in draft.line_items if line.type == "usage"] == [7]


def test_a_contract_goes_on_where_its_regenerated_invoice_ends(box, client, shop, alice):
    contract = shop.contract(alice)
    box.clock.move_to(datetime(2026, 4, 10, tzinfo=UTC))
    ended = datetime(2026, 3, 20, tzinfo=UTC)
    end(client, alice, contract, ended)  # in the past, so the draft of April is gone
    (final,) = client.v1.customers.invoices.list(customer_id=alice, type="USAGE").data
    client.v1.invoices.void(id=final.id)
    client.v1.invoices.regenerate(id=final.id)
    end(client, alice, contract, datetime(2026, 6, 1, tzinfo=UTC))

    spans = [
        (one.start_timestamp, one.end_timestamp)
        for one in client.v1.customers.invoices.list(customer_id=alice, type="USAGE")
        if one.status != "VOID"
    ]
    april, may = (datetime(2026, month, 1, tzinfo=UTC) for month in (4, 5))
    assert spans == [(HOUR, ended), (ended, april), (april, may)]


def test_a_contract_whose_last_draft_an_earlier_end_took_can_go_on(box, client, shop, alice):
    contract = shop.contract(alice)
    box.clock.move_to(datetime(2026, 4, 10, tzinfo=UTC))
    end(client, alice, contract, datetime(2026, 3, 20, tzinfo=UTC))
    end(client, alice, contract, datetime(2026, 6, 1, tzinfo=UTC))

    starts = [
        one.start_timestamp
        for one in client.v1.customers.invoices.list(customer_id=alice, type="USAGE")
    ]
    assert starts == [HOUR, datetime(2026, 4, 1, tzinfo=UTC)]


def test_a_regenerated_invoice_has_the_end_that_the_contract_has_now(box, client, shop, alice):
    contract = shop.contract(alice, shop.commit(100, days=60))
    shop.speak("alice", 10)
    box.clock.move_to(HOUR.replace(month=4, day=3))
    (invoice,) = [
        one
        for one in client.v1.customers.invoices.list(customer_id=alice).data
        if one.status == "FINALIZED"
    ]
    end(client, alice, contract, HOUR + timedelta(days=1))
    client.v1.invoices.void(id=invoice.id)
    fresh = client.v1.invoices.regenerate(id=invoice.id).data.id

    shown = client.v1.customers.invoices.retrieve(customer_id=alice, invoice_id=fresh).data
    assert (shown.end_timestamp, shown.status) == (HOUR + timedelta(days=1), "FINALIZED")


def test_an_alert_at_zero_goes_off_at_the_end(box, wire, client, shop, alice):
    client.v1.alerts.create(
        alert_type="low_remaining_contract_credit_and_commit_balance_reached",
        name="empty",
        threshold=0,
        credit_type_id=VC,
    )
    contract = shop.contract(alice, shop.commit(100))
    end(client, alice, contract, HOUR + timedelta(days=1))
    box.clock.move_to(HOUR + timedelta(days=1))
    box.tick()

    (one,) = wire.of("alerts.low_remaining_contract_credit_and_commit_balance_reached")
    assert one["properties"]["remaining_balance"] == 0


# Renewal


def test_a_renewal_without_rollover_leaves_nothing_usable(box, client, shop, alice):
    old = shop.contract(
        alice,
        shop.commit(50, name="paid", days=365),
        recurring_credits=[recurring(shop, 310, name="granted", proration="NONE")],
    )
    shop.contract(
        alice,
        shop.commit(100, name="new", starting_at=HOUR + timedelta(days=1), days=60),
        starting_at=HOUR + timedelta(days=1),
        transition={"type": "RENEWAL", "from_contract_id": old},
    )
    assert shop.net(alice) == 360

    box.clock.move_to(HOUR + timedelta(days=1))
    assert shop.net(alice) == 100
    box.clock.move_to(HOUR.replace(month=4, day=2))
    assert shop.net(alice) == 100  # the old contract grants nothing in April


def test_a_renewal_moves_what_is_left_when_it_happens_for_twelve_months(box, client, shop, alice):
    old = shop.contract(alice, shop.commit(1_000, days=30, rollover_fraction=1))
    start = HOUR + timedelta(days=5)
    new = shop.contract(
        alice, starting_at=start, transition={"type": "RENEWAL", "from_contract_id": old}
    )
    shop.speak("alice", 400)
    box.clock.move_to(start)

    # 1,000 − 400 spoken between the call and the renewal
    assert shop.net(alice) == 600
    (rolled,) = [row for row in shop.balances(alice) if row.contract.id == new]
    (item,) = rolled.access_schedule.schedule_items
    assert (item.amount, item.starting_at) == (600, start)
    assert item.ending_before == start.replace(year=2027)


def test_a_renewal_in_the_running_hour_carries_all_and_rates_the_hour_anew(client, shop, alice):
    start = HOUR - timedelta(days=1)
    old = shop.contract(
        alice,
        shop.commit(1_000, starting_at=start, days=30, rollover_fraction=1),
        starting_at=start,
    )
    shop.speak("alice", 100, at=HOUR - timedelta(minutes=1))
    shop.speak("alice", 70)
    new = shop.contract(
        alice, starting_at=HOUR, transition={"type": "RENEWAL", "from_contract_id": old}
    )

    # The old one bills 100 until 09:00, 900 move; the 70 of this hour are the new one's.
    assert shop.net(alice) == 830
    amounts = {
        row.contract.id: [item.amount for item in row.access_schedule.schedule_items]
        for row in shop.balances(alice)
    }
    assert amounts == {old: [1_000], new: [900]}
    drafts = client.v1.customers.invoices.list(customer_id=alice, contract_id=new).data
    assert [line.total for line in drafts[0].line_items] == [70, -70]


def test_what_had_expired_before_the_renewal_does_not_come_back(box, client, shop, alice):
    old = shop.contract(
        alice,
        shop.commit(500, days=1, rollover_fraction=1, name="gone"),
        shop.commit(200, days=30, rollover_fraction=0.5, name="half"),
    )
    box.clock.move_to(HOUR + timedelta(days=2))
    shop.contract(
        alice,
        starting_at=HOUR + timedelta(days=2),
        transition={"type": "RENEWAL", "from_contract_id": old},
    )

    assert shop.net(alice) == 100  # 0.5 × 200


def test_a_rolled_over_commit_ends_with_its_contract_if_that_is_sooner(box, client, shop, alice):
    old = shop.contract(alice, shop.commit(10, rollover_fraction=1), starting_at=HOUR)
    start, last = HOUR + timedelta(hours=1), HOUR + timedelta(days=40)
    new = shop.contract(
        alice,
        starting_at=start,
        ending_before=last,
        transition={"type": "RENEWAL", "from_contract_id": old},
    )
    box.clock.move_to(start)

    (rolled,) = [row for row in shop.balances(alice) if row.contract.id == new]
    assert rolled.access_schedule.schedule_items[0].ending_before == last


# Archiving


def test_what_was_archived_with_its_contract_expired_then(client, shop, alice):
    contract = shop.contract(alice, shop.commit(100, name="Pack"))
    client.v1.contracts.archive(contract_id=contract, customer_id=alice, void_invoices=True)

    assert shop.net(alice) == 0
    assert ledger(shop, alice, include_archived=True) == {
        "Pack": [("SEGMENT_START", 100), ("EXPIRATION", -100)]
    }


def test_what_was_archived_by_itself_has_no_ledger(client, shop, alice):
    contract = shop.contract(alice, shop.commit(100, name="Pack"))
    (row,) = shop.balances(alice)
    client.v2.contracts.edit(
        contract_id=contract, customer_id=alice, archive_commits=[{"id": row.id}]
    )

    (row,) = shop.balances(alice, include_archived=True, include_ledgers=True)
    assert (row.ledger, row.balance) == (None, 0)
