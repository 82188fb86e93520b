from datetime import timedelta

import pytest
from metronome import APIStatusError, BadRequestError, ConflictError, NotFoundError

from metronome_sandbox import USD_ID

from .world import HOUR, NOW, VC


@pytest.fixture
def alice(shop):
    return shop.customer("alice")


def read(client, customer, contract):
    return client.v2.contracts.retrieve(
        contract_id=contract, customer_id=customer, include_balance=True
    ).data


def test_create_answers_with_the_whole_contract(client, shop, alice):
    made = client.v1.contracts.create(
        customer_id=alice,
        starting_at=HOUR,
        rate_card_id=shop.card,
        name="plan:1",
        commits=[shop.commit(100)],
        credits=[
            {"product_id": shop.credits, "access_schedule": shop.commit(50)["access_schedule"]}
        ],
    ).data.contract

    assert (made.name, len(made.commits), len(made.credits)) == ("plan:1", 1, 1)
    assert made.usage_statement_schedule.frequency == "MONTHLY"


@pytest.mark.parametrize("what", ["contract", "commit", "end"])
def test_times_off_the_hour_are_refused(shop, alice, what):
    late = HOUR + timedelta(minutes=37)
    with pytest.raises(BadRequestError, match="hour boundary"):
        if what == "contract":
            shop.contract(alice, starting_at=late)
        elif what == "commit":
            shop.contract(alice, shop.commit(1, starting_at=late))
        else:
            shop.contract(alice, ending_before=late)


def test_a_refused_contract_leaves_nothing_behind(box, client, shop, alice):
    wrong = shop.commit(1)
    wrong["product_id"] = shop.speech
    with pytest.raises(BadRequestError, match="must be of type FIXED"):
        shop.contract(alice, shop.commit(5), wrong, uniqueness_key="k")

    assert list(client.v2.contracts.list(customer_id=alice)) == []
    assert shop.balances(alice) == []
    shop.contract(alice, uniqueness_key="k")


def test_a_uniqueness_key_works_once_and_asks_clients_not_to_retry(client, shop, alice):
    first = shop.contract(alice, uniqueness_key="plan")
    with pytest.raises(ConflictError, match="This uniqueness key has already been used") as caught:
        shop.contract(alice, uniqueness_key="plan")

    assert caught.value.response.headers["x-should-retry"] == "false"
    assert caught.value.body == {"message": "This uniqueness key has already been used."}
    assert [one.id for one in client.v2.contracts.list(customer_id=alice)] == [first]


def test_unknown_contracts_and_customers_are_404_with_a_code(client, shop, alice):
    unknown = "0a0a0a0a-0000-4000-8000-000000000000"
    with pytest.raises(NotFoundError) as caught:
        client.v2.contracts.edit(contract_id=unknown, customer_id=alice)
    assert caught.value.body["code"] == "NotFound"
    with pytest.raises(NotFoundError):
        client.v2.contracts.retrieve(
            contract_id=shop.contract(alice), customer_id=shop.customer("bob")
        )


def test_the_older_shape_has_initial_and_current_terms(client, shop, alice):
    contract = shop.contract(alice, shop.commit(100))
    client.v2.contracts.edit(contract_id=contract, customer_id=alice, add_commits=[shop.commit(50)])
    later = client.v1.contracts.retrieve(contract_id=contract, customer_id=alice).data

    assert [one.id for one in client.v1.contracts.list(customer_id=alice)] == [contract]
    assert len(later.current.commits) == 2


def test_an_edit_adds_commits_and_credits_and_names_them(client, shop, alice):
    contract = shop.contract(alice)
    credit = {
        "product_id": shop.credits,
        "access_schedule": shop.commit(70)["access_schedule"],
        "priority": 5,
    }

    edit = client.v2.contracts.edit(
        contract_id=contract,
        customer_id=alice,
        add_commits=[shop.commit(100, name="Pack", description="key-1")],
        add_credits=[credit],
        uniqueness_key="once",
    ).data.edit

    shown = read(client, alice, contract)
    assert (edit.add_commits[0].id, edit.add_credits[0].id) == (
        shown.commits[0].id,
        shown.credits[0].id,
    )
    assert (shown.commits[0].description, shown.commits[0].balance, shown.credits[0].balance) == (
        "key-1",
        100,
        70,
    )
    history = client.v2.contracts.get_edit_history(contract_id=contract, customer_id=alice).data
    assert [one.id for one in history] == [edit.id]
    assert (history[0].timestamp, history[0].uniqueness_key) == (NOW, "once")


def test_two_equal_edits_without_a_key_make_two_commits(client, shop, alice):
    contract = shop.contract(alice)
    for _ in range(2):
        client.v2.contracts.edit(
            contract_id=contract, customer_id=alice, add_commits=[shop.commit(100)]
        )

    assert shop.net(alice) == 200


def test_an_edit_that_is_refused_changes_nothing(client, shop, alice):
    contract = shop.contract(alice, shop.commit(100))
    with pytest.raises(BadRequestError):
        client.v2.contracts.edit(
            contract_id=contract,
            customer_id=alice,
            update_contract_name="new",
            update_contract_end_date=HOUR + timedelta(days=2),
            add_commits=[shop.commit(5)],
            archive_commits=[{"id": "not an id"}],
        )

    shown = read(client, alice, contract)
    assert (shown.name, shown.ending_before, len(shown.commits)) == (None, None, 1)


def test_archiving_a_commit_takes_its_balance_and_voids_its_waiting_invoice(client, shop, alice):
    later = shop.commit(100, name="later")
    later["invoice_schedule"] = {
        "schedule_items": [{"timestamp": NOW + timedelta(days=3), "amount": 500}]
    }
    contract = shop.contract(alice, later, shop.commit(40, name="other"))
    shop.speak("alice", 10)
    commit = next(one for one in shop.balances(alice) if one.name == "later")

    client.v2.contracts.edit(
        contract_id=contract, customer_id=alice, archive_commits=[{"id": commit.id}]
    )

    assert {one.name: one.balance for one in shop.balances(alice)} == {"other": 30}
    assert len(shop.balances(alice, include_archived=True)) == 2
    (invoice,) = client.v1.customers.invoices.list(customer_id=alice, type="SCHEDULED")
    assert invoice.status == "VOID"


def test_an_access_segment_can_be_shrunk_to_what_was_used(client, shop, alice):
    contract = shop.contract(alice, shop.commit(100))
    shop.speak("alice", 30)
    commit = shop.balances(alice)[0]
    item = commit.access_schedule.schedule_items[0].id

    client.v2.contracts.edit(
        contract_id=contract,
        customer_id=alice,
        update_commits=[
            {
                "commit_id": commit.id,
                "access_schedule": {"update_schedule_items": [{"id": item, "amount": 30}]},
            }
        ],
    )

    assert shop.net(alice) == 0


def test_segments_can_be_added_and_removed(client, shop, alice):
    shop.contract(alice, shop.commit(100))
    commit = shop.balances(alice)[0]
    client.v2.contracts.edit_commit(
        commit_id=commit.id,
        customer_id=alice,
        name="Renamed",
        access_schedule={
            "remove_schedule_items": [{"id": commit.access_schedule.schedule_items[0].id}],
            "add_schedule_items": [
                {"amount": 7, "starting_at": HOUR, "ending_before": HOUR + timedelta(days=1)},
                {
                    "amount": 9,
                    "starting_at": HOUR + timedelta(days=1),
                    "ending_before": HOUR + timedelta(days=2),
                },
            ],
        },
    )

    (changed,) = shop.balances(alice)
    assert (changed.name, changed.balance) == ("Renamed", 7)


def test_the_end_can_be_set_moved_and_taken_back(client, shop, alice):
    contract = shop.contract(alice)
    end = HOUR + timedelta(days=3)
    client.v1.contracts.update_end_date(contract_id=contract, customer_id=alice, ending_before=end)
    assert read(client, alice, contract).ending_before == end

    client.v2.contracts.edit(contract_id=contract, customer_id=alice, update_contract_end_date=None)
    assert read(client, alice, contract).ending_before is None


def test_a_contract_can_end_before_its_final_invoice_unless_that_is_forbidden(
    box, client, shop, alice
):
    contract = shop.contract(alice)
    box.clock.move_to(NOW.replace(month=4, day=2, hour=0, minute=0))
    end = HOUR + timedelta(days=1)
    with pytest.raises(BadRequestError, match="finalized invoices"):
        client.v1.contracts.update_end_date(
            contract_id=contract,
            customer_id=alice,
            ending_before=end,
            allow_ending_before_finalized_invoice=False,
        )
    with pytest.raises(BadRequestError, match="finalized invoices"):
        client.v2.contracts.edit(
            contract_id=contract,
            customer_id=alice,
            update_contract_end_date=end,
            allow_contract_ending_before_finalized_invoice=False,
        )

    client.v1.contracts.update_end_date(contract_id=contract, customer_id=alice, ending_before=end)
    client.v2.contracts.edit(contract_id=contract, customer_id=alice, update_contract_end_date=end)
    assert read(client, alice, contract).ending_before == end


def test_contracts_are_listed_by_date_and_archived_ones_on_request(client, shop, alice):
    first = shop.contract(alice, ending_before=HOUR + timedelta(days=1))
    second = shop.contract(alice, starting_at=HOUR + timedelta(days=1))
    listed = client.v2.contracts.list

    assert [one.id for one in listed(customer_id=alice)] == [first, second]
    assert [one.id for one in listed(customer_id=alice, covering_date=NOW)] == [first]
    client.v1.contracts.archive(contract_id=first, customer_id=alice, void_invoices=False)
    assert [one.id for one in listed(customer_id=alice)] == [second]
    assert [one.id for one in listed(customer_id=alice, include_archived=True)] == [first, second]


def test_a_rate_card_can_be_named_by_its_alias(client, shop, alice):
    client.v1.contracts.rate_cards.update(rate_card_id=shop.card, aliases=[{"name": "ours"}])
    made = client.v1.contracts.create(
        customer_id=alice, starting_at=HOUR, rate_card_alias="ours"
    ).data

    assert made.contract.rate_card_id == shop.card
    rates = client.v1.contracts.retrieve_rate_schedule(
        contract_id=made.id, customer_id=alice, at=NOW
    )
    assert len(rates.data) == 3


def test_a_renewal_ends_the_old_contract_and_rolls_over_a_share(box, client, shop, alice):
    old = shop.contract(alice, shop.commit(1_000, days=365, rollover_fraction=0.25))
    shop.speak("alice", 100)
    new = shop.contract(
        alice,
        starting_at=HOUR + timedelta(days=1),
        transition={"type": "RENEWAL", "from_contract_id": old},
    )

    assert read(client, alice, old).ending_before == HOUR + timedelta(days=1)
    assert read(client, alice, new).commits == []
    box.clock.move_to(HOUR + timedelta(days=1))

    # 1,000 − 100 spoken = 900 left, of which at most 0.25 × 1,000 move; 900 − 250 expire.
    rolled = read(client, alice, new).commits[0]
    assert rolled.access_schedule.schedule_items[0].amount == 250
    assert rolled.rolled_over_from.contract_id == old
    left = [one for one in shop.balances(alice, include_ledgers=True) if one.contract.id == old]
    assert left[0].balance == 0
    assert [(entry.type, entry.amount) for entry in left[0].ledger] == [
        ("PREPAID_COMMIT_SEGMENT_START", 1_000),
        ("PREPAID_COMMIT_AUTOMATED_INVOICE_DEDUCTION", -100),
        ("PREPAID_COMMIT_ROLLOVER", -250),
        ("PREPAID_COMMIT_EXPIRATION", -650),
    ]
    assert shop.net(alice) == 250


def test_recurring_credits_come_one_period_ahead(box, client, shop, alice):
    template = {
        "product_id": shop.credits,
        "priority": 10,
        "starting_at": HOUR,
        "access_amount": {"credit_type_id": VC, "unit_price": 1_000, "quantity": 1},
        "commit_duration": {"value": 1},
        "recurrence_frequency": "MONTHLY",
    }
    contract = shop.contract(alice, recurring_credits=[template])
    assert len(shop.balances(alice)) == 2
    assert shop.net(alice) == 1_000

    shop.speak("alice", 400)
    box.clock.move_to(HOUR.replace(month=4))

    assert shop.net(alice) == 1_000
    rows = shop.balances(alice)
    assert len(rows) == 3
    assert {one.recurring_credit_id for one in rows} == {
        read(client, alice, contract).recurring_credits[0].id
    }


def test_recurring_commits_are_invoiced_and_prorated_with_the_statement_schedule(
    box, client, shop, alice
):
    template = {
        "product_id": shop.credits,
        "priority": 10,
        "starting_at": HOUR.replace(day=16, hour=12),
        "access_amount": {"credit_type_id": VC, "unit_price": 3_100},
        "invoice_amount": {"unit_price": 310, "quantity": 1, "credit_type_id": USD_ID},
        "commit_duration": {"value": 1},
    }
    shop.contract(alice, recurring_commits=[template])
    box.clock.move_to(HOUR.replace(day=16, hour=12))

    assert shop.net(alice) == 3_100 * 15.5 / 31
    (invoice, *_) = client.v1.customers.invoices.list(
        customer_id=alice, type="SCHEDULED", status="FINALIZED"
    )
    assert invoice.total == 155


def test_manual_entries_change_the_balance_and_the_ledger(client, shop, alice):
    contract = shop.contract(alice, shop.commit(100))
    commit = shop.balances(alice)[0]
    entry = {
        "id": commit.id,
        "customer_id": alice,
        "contract_id": contract,
        "segment_id": commit.access_schedule.schedule_items[0].id,
        "amount": -30,
        "reason": "mistake",
        "uniqueness_key": "m",
    }
    client.v1.contracts.add_manual_balance_entry(**entry)
    with pytest.raises(ConflictError):
        client.v1.contracts.add_manual_balance_entry(**entry)

    (row,) = shop.balances(alice, include_ledgers=True)
    assert row.balance == 70
    manual = row.ledger[1]
    assert (manual.type, manual.amount) == ("PREPAID_COMMIT_MANUAL", -30)
    assert manual.timestamp == HOUR  # the start of the segment, as no other time was named

    client.v1.contracts.add_manual_balance_entry(**{**entry, "amount": -100, "uniqueness_key": "n"})
    assert shop.net(alice) == 0
    assert shop.balances(alice)[0].balance == 0  # 100 − 30 − 100 is no debt


def test_customer_level_commits_are_made_listed_ended_and_archived(client, shop, alice):
    schedule = shop.commit(100)["access_schedule"]
    common = {
        "customer_id": alice,
        "priority": 5,
        "product_id": shop.credits,
        "access_schedule": schedule,
    }
    commit = client.v1.customers.commits.create(
        **common, type="PREPAID", uniqueness_key="c"
    ).data.id
    credit = client.v1.customers.credits.create(**common).data.id
    with pytest.raises(ConflictError):
        client.v1.customers.commits.create(**common, type="PREPAID", uniqueness_key="c")
    shop.contract(alice, shop.commit(1))

    assert [one.id for one in client.v1.customers.commits.list(customer_id=alice)] == [commit]
    assert (
        len(
            list(client.v1.customers.commits.list(customer_id=alice, include_contract_commits=True))
        )
        == 2
    )
    assert [
        one.id for one in client.v1.customers.credits.list(customer_id=alice, credit_id=credit)
    ] == [credit]
    assert len(shop.balances(alice, include_contract_balances=False)) == 2

    client.v1.customers.credits.update_end_date(
        customer_id=alice, credit_id=credit, access_ending_before=HOUR + timedelta(days=1)
    )
    (shown,) = client.v1.customers.credits.list(customer_id=alice)
    assert shown.access_schedule.schedule_items[0].ending_before == HOUR + timedelta(days=1)
    body = {"customer_id": alice, "commit_id": commit}
    assert client.post("/v2/contracts/commits/archive", cast_to=object, body=body) == {
        "data": {"id": commit}
    }
    assert list(client.v1.customers.commits.list(customer_id=alice)) == []


def test_an_invoiced_customer_commit_needs_a_contract_to_invoice(client, shop, alice):
    item = shop.commit(100, cents=500)
    with pytest.raises(BadRequestError, match="invoice_contract_id"):
        client.v1.customers.commits.create(customer_id=alice, priority=1, **item)

    contract = shop.contract(alice)
    client.v1.customers.commits.create(
        customer_id=alice, priority=1, invoice_contract_id=contract, **item
    )
    assert [
        one.total for one in client.v1.customers.invoices.list(customer_id=alice, type="SCHEDULED")
    ] == [500]


def test_what_is_not_supported_says_so(client, shop, alice):
    with pytest.raises(
        APIStatusError,
        match="contracts with spend_trackers: use alerts of type spend_threshold_reached",
    ) as caught:
        client.v1.contracts.create(
            customer_id=alice,
            starting_at=HOUR,
            spend_trackers=[
                {
                    "alias": "a",
                    "credit_type_id": VC,
                    "reset_frequency": "BILLING_PERIOD",
                    "applicable_spend_specifiers": [],
                }
            ],
        )
    assert caught.value.status_code == 501
