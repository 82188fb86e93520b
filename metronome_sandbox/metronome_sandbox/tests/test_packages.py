"""Packages, and contracts made of them."""

from datetime import UTC, datetime, timedelta

import pytest
from metronome import (
    APIStatusError,
    BadRequestError,
    ConflictError,
    NotFoundError,
    UnprocessableEntityError,
)

from metronome_sandbox import USD_ID

from .world import HOUR, NOW, VC

MAY = datetime(2026, 5, 31, 12, tzinfo=UTC)


def after(value, unit="MONTHS"):
    return {"value": value, "unit": unit}


def commit(shop, amount=100, **extra):
    return {
        "product_id": shop.credits,
        "type": "PREPAID",
        "access_schedule": {
            "credit_type_id": VC,
            "schedule_items": [
                {"amount": amount, "starting_at_offset": after(0), "duration": after(1)}
            ],
        },
        **extra,
    }


def make(client, shop, **extra):
    return client.v1.packages.create(name="Starter", rate_card_id=shop.card, **extra).data.id


def on(client, customer, *, at=HOUR, **extra):
    answer = client.v1.contracts.create(customer_id=customer, starting_at=at, **extra).data
    return client.v2.contracts.retrieve(customer_id=customer, contract_id=answer.id).data


@pytest.fixture
def alice(shop):
    return shop.customer("alice")


def test_times_are_counted_from_the_start_of_the_contract(client, shop, alice):
    invoice = {
        "schedule_items": [{"unit_price": 250, "quantity": 2, "date_offset": after(3, "DAYS")}]
    }
    package = make(
        client,
        shop,
        contract_name="Starter plan",
        duration=after(1, "YEARS"),
        net_payment_terms_days=15,
        usage_statement_schedule={"frequency": "MONTHLY", "day": "CONTRACT_START"},
        commits=[commit(shop, invoice_schedule=invoice)],
    )
    contract = on(client, alice, at=MAY, package_id=package)

    assert (contract.name, contract.ending_before) == ("Starter plan", MAY.replace(year=2027))
    assert contract.net_payment_terms_days == 15
    assert contract.usage_statement_schedule.billing_anchor_date == MAY
    (bought,) = contract.commits
    (segment,) = bought.access_schedule.schedule_items
    # The last day of a shorter month
    assert (segment.starting_at, segment.ending_before) == (MAY, MAY.replace(month=6, day=30))
    (item,) = bought.invoice_schedule.schedule_items
    assert (item.timestamp, item.amount) == (MAY + timedelta(days=3), 500)


def test_recurring_credits_of_a_package_last_as_long_as_it_says(client, box, shop, alice):
    """The guide's Starter Plan: 10 dollars a month, for three months."""
    package = make(
        client,
        shop,
        duration=after(12),
        usage_statement_schedule={"frequency": "MONTHLY", "day": "CONTRACT_START"},
        recurring_credits=[
            {
                "product_id": shop.credits,
                "access_amount": {"unit_price": 1_000, "credit_type_id": USD_ID, "quantity": 1},
                "priority": 1,
                "commit_duration": {"value": 1, "unit": "PERIODS"},
                "starting_at_offset": after(0),
                "duration": after(3),
            }
        ],
    )
    on(client, alice, package_id=package)
    found = []
    for month in range(5):
        box.clock.move_to(HOUR.replace(month=3 + month, day=20))
        found.append(shop.net(alice, USD_ID))
    assert found == [1_000, 1_000, 1_000, 0, 0]


def test_overrides_of_a_package_name_its_commits_by_temporary_id(client, shop, alice):
    """Zero overage by package: all is free, but 2 a character while the commit pays."""
    package = make(
        client,
        shop,
        commits=[commit(shop, temporary_id="A")],
        overrides=[
            {
                "type": "MULTIPLIER",
                "multiplier": 0,
                "starting_at_offset": after(0),
                "override_specifiers": [{"product_id": shop.speech}],
            },
            {
                "type": "OVERWRITE",
                "overwrite_rate": {"rate_type": "FLAT", "price": 2, "credit_type_id": VC},
                "is_commit_specific": True,
                "starting_at_offset": after(0),
                "duration": after(1, "WEEKS"),
                "override_specifiers": [{"product_id": shop.speech, "commit_ids": ["A"]}],
            },
        ],
    )
    contract = on(client, alice, package_id=package)
    shop.speak("alice", 60)

    assert contract.overrides[1].ending_before == HOUR + timedelta(days=7)
    assert contract.overrides[1].override_specifiers[0].commit_ids == [contract.commits[0].id]
    draft = client.v1.customers.invoices.list(customer_id=alice, type="USAGE").data[0]
    usage = [(line.quantity, line.total) for line in draft.line_items if line.type == "usage"]
    assert (draft.total, usage) == (0, [(50, 100), (10, 0)])


def test_an_alias_moves_to_the_package_that_takes_it(client, shop):
    first = make(client, shop, aliases=[{"name": "Starter"}], contract_name="first")
    second = make(
        client,
        shop,
        aliases=[{"name": "Starter", "starting_at": HOUR + timedelta(days=1)}],
        contract_name="second",
    )

    def name(customer, at):
        return on(client, customer, at=at, package_alias="Starter").name

    assert name(shop.customer("a"), HOUR) == "first"
    assert name(shop.customer("b"), HOUR + timedelta(days=1)) == "second"
    aliases = {one.id: one.aliases for one in client.v1.packages.list()}
    assert aliases[first][0].ending_before == HOUR + timedelta(days=1)
    assert aliases[second][0].ending_before is None

    third = make(client, shop, aliases=[{"name": "Starter"}], contract_name="third")
    assert name(shop.customer("c"), HOUR + timedelta(days=9)) == "third"
    aliases = {one.id: one.aliases for one in client.v1.packages.list()}
    assert (aliases[first], aliases[second], len(aliases[third])) == ([], [], 1)


def test_a_package_is_shown_with_ids_for_its_terms(client, shop):
    specifiers = [{"product_id": shop.speech, "commit_ids": ["A"]}]
    package = make(
        client,
        shop,
        uniqueness_key="starter",
        commits=[commit(shop, temporary_id="A", custom_fields={})],
        credits=[{k: v for k, v in commit(shop).items() if k != "type"}],
        overrides=[
            {
                "type": "MULTIPLIER",
                "multiplier": 1,
                "is_commit_specific": True,
                "starting_at_offset": after(0),
                "override_specifiers": specifiers,
            }
        ],
    )
    shown = client.v1.packages.retrieve(package_id=package).data

    assert (shown.name, shown.uniqueness_key) == ("Starter", "package:starter")
    assert shown.commits[0].product.name == "Shop credits"
    assert shown.commits[0].access_schedule.credit_type.id == VC
    assert shown.credits[0].type == "CREDIT"
    assert shown.overrides[0].override_specifiers[0].commit_template_ids == [shown.commits[0].id]
    with pytest.raises(ConflictError):
        make(client, shop, uniqueness_key="starter")


def test_subscriptions_of_a_package_begin_and_end_as_it_says(box, client, shop, alice):
    seat = client.v1.contracts.products.create(name="Seat", type="SUBSCRIPTION").data.id
    client.v1.contracts.rate_cards.rates.add(
        rate_card_id=shop.card,
        product_id=seat,
        entitled=True,
        rate_type="FLAT",
        price=3_000,
        billing_frequency="MONTHLY",
        starting_at="2026-01-01T00:00:00Z",
    )
    common = {
        "collection_schedule": "ADVANCE",
        "proration": {"is_prorated": True},
        "subscription_rate": {"billing_frequency": "MONTHLY", "product_id": seat},
    }
    package = make(
        client,
        shop,
        usage_statement_schedule={"frequency": "MONTHLY", "day": "CONTRACT_START"},
        subscriptions=[
            {**common, "name": "Team", "initial_quantity": 2, "temporary_id": "t"},
            {**common, "name": "Two days", "initial_quantity": 1, "duration": after(2, "DAYS")},
            {
                **common,
                "name": "Guests",
                "initial_quantity": 4,
                "starting_at_offset": after(1),
                "duration": after(1),
                "billing_cycle_config": {"invoice_placement": "ON_SCHEDULED_INVOICE"},
            },
        ],
    )
    shown = client.v1.packages.retrieve(package_id=package).data.subscriptions
    assert [one.initial_quantity for one in shown] == [2, 1, 4]
    assert shown[0].subscription_rate.product.name == "Seat"
    assert shown[0].proration.invoice_behavior == "BILL_ON_NEXT_COLLECTION_DATE"

    contract = on(client, alice, package_id=package)

    april, may = HOUR.replace(month=4), HOUR.replace(month=5)
    times = [(one.starting_at, one.ending_before) for one in contract.subscriptions]
    assert times == [(HOUR, None), (HOUR, HOUR + timedelta(days=2)), (april, may)]
    box.clock.move_to(april)
    lines = [
        (invoice.type, line.name, line.quantity, line.total)
        for invoice in client.v1.customers.invoices.list(customer_id=alice)
        for line in invoice.line_items
        if invoice.issued_at <= april
    ]
    # 3,000 a month each; two of March's 31 days are 193.5483870968
    assert lines == [
        ("SCHEDULED", "Team", 2, 6_000),
        ("SCHEDULED", "Two days", 1, 193.5483870968),
        ("SCHEDULED", "Guests", 4, 12_000),
    ]


def test_contracts_of_a_package_are_listed(client, shop, alice):
    package = make(client, shop, duration=after(1))
    other = make(client, shop)
    contract = on(client, alice, package_id=package)
    on(client, shop.customer("bob"), package_id=other)

    def listed(**options):
        found = client.v1.packages.list_contracts_on_package(package_id=package, **options)
        return [one.contract_id for one in found]

    assert listed() == [contract.id]
    assert listed(covering_date=HOUR) == [contract.id]
    assert listed(covering_date=HOUR + timedelta(days=31)) == []
    assert listed(starting_at=HOUR + timedelta(hours=1)) == []
    client.v1.contracts.archive(contract_id=contract.id, customer_id=alice, void_invoices=True)
    assert (listed(), listed(include_archived=True)) == ([], [contract.id])


def test_an_archived_package_makes_no_contracts_and_leaves_those_there_are(client, shop, alice):
    package = make(client, shop)
    contract = on(client, alice, package_id=package)
    client.v1.packages.archive(package_id=package)

    assert client.v2.contracts.retrieve(customer_id=alice, contract_id=contract.id).data.id
    with pytest.raises(BadRequestError, match="archived"):
        on(client, alice, package_id=package)
    with pytest.raises(UnprocessableEntityError):
        client.v1.packages.archive(package_id=package)
    assert list(client.v1.packages.list()) == []
    (shown,) = client.v1.packages.list(archive_filter="ALL")
    assert shown.archived_at == NOW


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"rate_card_alias": "x"}, "cannot have other terms: rate_card_alias"),
        ({"ending_before": MAY}, "cannot have other terms: ending_before"),
        ({"package_alias": "x"}, "not both"),
    ],
)
def test_a_contract_on_a_package_has_no_other_terms(client, shop, alice, extra, message):
    package = make(client, shop)
    with pytest.raises(BadRequestError, match=message):
        on(client, alice, package_id=package, **extra)
    kept = on(client, alice, package_id=package, uniqueness_key="k")
    assert kept.rate_card_id == shop.card


def test_an_unknown_package_is_refused(client, alice):
    with pytest.raises(BadRequestError, match="No package has the alias"):
        on(client, alice, package_alias="nothing")
    with pytest.raises(NotFoundError):
        on(client, alice, package_id=alice)


def test_terms_that_no_contract_could_have_are_refused_with_the_package(client, shop):
    with pytest.raises(BadRequestError, match="FIXED"):
        make(client, shop, commits=[commit(shop, product_id=shop.speech)])
    with pytest.raises(BadRequestError, match="must be after starting_at"):
        make(client, shop, duration=after(0))
    with pytest.raises(BadRequestError, match="must not be negative"):
        make(client, shop, duration=after(-1))
    for name, value in (
        ("scheduled_charges", [{"product_id": shop.credits, "schedule": {"schedule_items": []}}]),
        ("billing_provider", "stripe"),
        (
            "subscriptions",
            [
                {
                    "collection_schedule": "ARREARS",
                    "proration": {},
                    "subscription_rate": {"billing_frequency": "MONTHLY", "product_id": shop.card},
                }
            ],
        ),
    ):
        with pytest.raises(APIStatusError) as caught:
            make(client, shop, **{name: value})
        assert caught.value.status_code == 501
    assert list(client.v1.packages.list(archive_filter="ALL")) == []
