"""bootstrap_metronome creates what contracts depend on once, and finds differences."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from billing import metronome
from billing.metronome import catalogue, notifications, setup
from billing.metronome.catalogue import CENTS_PER_CREDIT

pytestmark = pytest.mark.django_db  # the check looks at our contracts, too


def bootstrap(**options) -> str:
    out = StringIO()
    call_command("bootstrap_metronome", stdout=out, **options)
    return out.getvalue()


def complaints() -> str:
    with pytest.raises(CommandError) as caught:
        bootstrap(check=True)
    return str(caught.value)


def inventory() -> dict[str, int]:
    hour = datetime.now(UTC)
    return {
        "units": len(setup.pricing_units()),
        "metrics": len(setup.metrics()),
        "products": len(setup.products()),
        "cards": len(setup.rate_cards()),
        "rates": len(setup.rates(rate_card_id=metronome.rate_card_id(), at=hour)),
        "offsets": len(list(metronome.client.client().v2.notifications.offset.list())),
        "types": len(notifications.enabled_notifications()),
    }


ONE_OF_EACH = {
    "units": 19,  # VC and the currencies
    "metrics": 2,
    "products": 3,
    "cards": 1,
    "rates": 3,
    "offsets": 2,
    "types": 15,
}


def test_it_creates_everything_and_the_check_passes(sandbox):
    assert "rate card “Vocalis”: created" in bootstrap()

    assert inventory() == ONE_OF_EACH
    assert "as Vocalis needs it" in bootstrap(check=True)
    (card,) = setup.rate_cards()
    assert card.cents_per_unit == {metronome.credit_type_id(): Decimal("0.025")}
    prices = {rate.price for rate in setup.rates(rate_card_id=card.id, at=datetime.now(UTC))}
    assert prices == {1, 2, 25_000}


def test_a_second_run_creates_nothing(sandbox):
    bootstrap()
    assert "created" not in bootstrap()
    assert inventory() == ONE_OF_EACH


def test_concurrent_runs_create_one_of_each(sandbox):
    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(bootstrap) for _ in range(4)]:
            future.result()
    assert inventory() == ONE_OF_EACH


def test_small_pages_hide_nothing(sandbox):
    bootstrap()
    sandbox.world.settings.page_size = 1
    assert "created" not in bootstrap()
    bootstrap(check=True)


def test_the_check_of_an_empty_account_lists_everything_and_creates_nothing(sandbox):
    text = complaints()
    for missing in (
        "metric “Vocalis voice generation”",
        "product “Vocalis Credits”",
        "rate card “Vocalis”",
        "commit.create",
    ):
        assert missing in text
    assert setup.products() == []


def test_a_wrong_price_is_found_and_corrected(sandbox):
    bootstrap()
    card_id = metronome.rate_card_id()
    rate = next(r for r in setup.rates(rate_card_id=card_id, at=datetime.now(UTC)) if r.price == 2)
    setup.add_rate(
        rate_card_id=card_id,
        starts_at=catalogue.FIRST_RATES_AT,
        rate=setup.Rate(rate.product_id, rate.group_values, Decimal(3), rate.pricing_unit_id),
    )

    assert "premium" in complaints()
    assert "3, not 2 credits" in complaints()
    bootstrap()
    bootstrap(check=True)


def test_a_rate_card_without_conversion_gets_one(sandbox, settings):
    metronome.client.client().v1.contracts.rate_cards.create(name=settings.METRONOME_RATE_CARD_NAME)
    bootstrap()
    (card,) = setup.rate_cards()
    assert card.cents_per_unit == {metronome.credit_type_id(): CENTS_PER_CREDIT}


def test_a_wrong_conversion_needs_a_person(sandbox, settings):
    setup.create_rate_card(
        name=settings.METRONOME_RATE_CARD_NAME,
        unit_id=metronome.credit_type_id(),
        cents_per_unit=Decimal("2.5"),
    )
    with pytest.raises(CommandError, match=r"worth 2\.5 cents, not 0\.025"):
        bootstrap()


def test_a_metric_that_measures_something_else_needs_a_person(sandbox):
    wrong = setup.Metric("", catalogue.GENERATION.name, "COUNT", "", ("voice_generation",), ())
    setup.create_metric(wrong)
    with pytest.raises(CommandError, match="archive or rename it"):
        bootstrap()


def test_an_unknown_pricing_unit_id_is_named(sandbox, settings):
    settings.VOCALIS_CREDIT_TYPE_ID = "00000000-0000-0000-0000-000000000000"
    with pytest.raises(CommandError, match="VOCALIS_CREDIT_TYPE_ID=00000000"):
        bootstrap()


def test_without_an_id_the_pricing_unit_is_found_by_name(sandbox, settings):
    settings.VOCALIS_CREDIT_TYPE_ID = ""
    bootstrap()
    assert inventory() == ONE_OF_EACH
    bootstrap(check=True)


def test_notifications_are_enabled_and_the_alert_watches_all_customers(sandbox):
    bootstrap()
    customer_id = metronome.create_customer(name="Alice", alias="alice")

    assert {
        "commit.create",
        "credit.segment.end",
        "contract.start",
    } <= notifications.enabled_notifications()
    assert notifications.offset_notifications() == {
        ("commit.segment.end", "-P3D"),
        ("credit.segment.end", "-P3D"),
    }
    assert notifications.alerts(customer_id=customer_id) == [
        (catalogue.ALERT_TYPE, Decimal(0), metronome.credit_type_id())
    ]
    bootstrap(check=True)


def test_an_archived_alert_is_found_missing_and_created_again(sandbox):
    bootstrap()
    customer_id = metronome.create_customer(name="Alice", alias="alice")
    client = metronome.client.client()
    (alert,) = client.v1.customers.alerts.list(customer_id=customer_id).data
    client.v1.alerts.archive(id=alert.alert.id)

    assert complaints() == "no alert when a customer's credits are used up"
    bootstrap()
    bootstrap(check=True)


def test_an_unreachable_metronome_fails_with_a_message(sandbox):
    sandbox.faults.add("*", "status", status=503, times=None)
    with pytest.raises(CommandError, match="503"):
        bootstrap(check=True)


def test_waiting_lets_a_sandbox_start(sandbox):
    sandbox.faults.add("*", "timeout_before", times=2)
    bootstrap(wait=5)
    assert inventory() == ONE_OF_EACH


def test_a_refused_key_is_not_retried(sandbox):
    sandbox.faults.add("*", "status", status=401, times=None)
    with pytest.raises(CommandError, match="401"):
        bootstrap(wait=60)
