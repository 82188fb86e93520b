"""What must exist at Metronome before anybody can buy: its definition, checks, and set-up.

`bootstrap_metronome` calls `ensure` and `differences`; the health page calls single CHECKS. Prices
come from `billing.plans`, so a check fails when Metronome's prices differ from those on our pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Protocol, TypeVar

from django.conf import settings

from billing import plans
from billing.hours import floor_hour

from . import notifications, setup
from .client import AlreadyDone, NotFound
from .setup import Metric, Product, Rate

GENERATION = Metric(
    id="",
    name="Vocalis voice generation",
    aggregation="SUM",
    aggregation_key="text_length",
    event_types=("voice_generation",),
    group_keys=(("voice_type",),),
)
CLONING = Metric("", "Vocalis own voices", "COUNT", "", ("voice_cloning",), ())
METRICS = (GENERATION, CLONING)

# Usage products by name: their metric, and the properties by which they are priced.
USAGE_PRODUCTS = {"Voice generation": (GENERATION, ("voice_type",)), "Own voice": (CLONING, ())}
PRICES: tuple[tuple[str, dict[str, str], int], ...] = (
    ("Voice generation", {"voice_type": "standard"}, plans.STANDARD_CREDITS),
    ("Voice generation", {"voice_type": "premium"}, plans.PREMIUM_CREDITS),
    ("Own voice", {}, plans.OWN_VOICE_CREDITS),
)
# Before any contract. A rate of the same start is replaced, so set-up can be repeated.
FIRST_RATES_AT = datetime(2025, 1, 1, tzinfo=UTC)
CENTS_PER_CREDIT = Decimal(1) / plans.CREDITS_PER_CENT

ALERT_TYPE = "low_remaining_contract_credit_and_commit_balance_reached"
# Each is disabled until it is enabled by itself:
# https://docs.metronome.com/guides/customers-billing/set-up-notifications/system-notifications
NOTIFICATIONS = (
    *(f"contract.{event}" for event in ("create", "start", "edit", "end", "archive")),
    *(
        f"{kind}.{event}"
        for kind in ("commit", "credit")
        for event in ("create", "edit", "archive", "segment.start", "segment.end")
    ),
)
# Both, because free grants (trial, complimentary) are credits at Metronome, paid ones are commits.
WARNINGS_OF_END = (("commit.segment.end", "-P3D"), ("credit.segment.end", "-P3D"))


class SetupConflict(Exception):
    """An object at Metronome has the right name and wrong properties, and cannot be changed."""


# --- Checks ---------------------------------------------------------------------------------------


def differences(*, now: datetime) -> list[str]:
    """Messages about what is missing or different at Metronome. Changes nothing."""
    texts: list[str] = []
    for check in CHECKS.values():
        try:
            texts += check(now)
        except NotFound as missing:  # an object that the check needs
            texts.append(str(missing))
    return list(dict.fromkeys(texts))


def check_pricing_unit(now: datetime) -> list[str]:
    unit_id = settings.VOCALIS_CREDIT_TYPE_ID
    units = setup.pricing_units()
    if unit_id:
        if any(unit.id == unit_id for unit in units):
            return []
        return [f"VOCALIS_CREDIT_TYPE_ID={unit_id} is no pricing unit of this account"]
    return _missing(units, [plans.PRICING_UNIT_NAME], "pricing unit")


def check_metrics(now: datetime) -> list[str]:
    found = setup.metrics()
    texts = _missing(found, [metric.name for metric in METRICS], "billable metric")
    return texts + [
        f"billable metric “{wanted.name}” is {replace(metric, id='')}, not {wanted}"
        for wanted in METRICS
        if (metric := _by_name(found, wanted.name)) and replace(metric, id="") != wanted
    ]


def check_products(now: datetime) -> list[str]:
    found, metrics = setup.products(), setup.metrics()
    texts = _missing(found, [*USAGE_PRODUCTS, setup.CREDITS_PRODUCT_NAME], "product")
    for name, (wanted, group_key) in USAGE_PRODUCTS.items():
        product, metric = _by_name(found, name), _by_name(metrics, wanted.name)
        if not (product and metric):
            continue
        if product != Product(product.id, name, "USAGE", metric.id, group_key):
            texts.append(
                f"product “{name}” is not a usage product of "
                f"metric “{metric.name}” by {group_key or 'nothing'}"
            )
    credits = _by_name(found, setup.CREDITS_PRODUCT_NAME)
    if credits and credits.type != "FIXED":
        texts.append(f"product “{credits.name}” is {credits.type}, not FIXED")
    return texts


def check_rate_card(now: datetime) -> list[str]:
    cards, name = setup.rate_cards(), settings.METRONOME_RATE_CARD_NAME
    card = _by_name(cards, name)
    if card is None:
        return _missing(cards, [name], "rate card")
    worth = card.cents_per_unit.get(setup.credit_type_id())
    if worth == CENTS_PER_CREDIT:
        return []
    return [f"rate card “{name}”: a credit is worth {worth or 'no'} cents, not {CENTS_PER_CREDIT}"]


def check_rates(now: datetime) -> list[str]:
    ids = {product.name: product.id for product in reversed(setup.products())}
    found = setup.rates(rate_card_id=setup.rate_card_id(), at=now)
    wanted = [_rate(ids.get(name, ""), groups, price) for name, groups, price in PRICES]
    return [
        f"price of “{name}” {groups or ''}: {_price(found, rate)}, not {price} credits"
        for rate, (name, groups, price) in zip(wanted, PRICES, strict=True)
        if rate not in found
    ]


def check_notifications(now: datetime) -> list[str]:
    on = notifications.enabled_notifications()
    texts = [f"notifications of type {type} are off" for type in NOTIFICATIONS if type not in on]
    warnings = notifications.offset_notifications()
    texts += [
        f"no notification {offset} of {type}"
        for type, offset in WARNINGS_OF_END
        if (type, offset) not in warnings
    ]
    customer_id = notifications.any_customer_id()  # alerts can be listed by customer only
    if customer_id and _alert() not in notifications.alerts(customer_id=customer_id):
        texts.append("no alert when a customer's credits are used up")
    return texts


CHECKS: dict[str, Callable[[datetime], list[str]]] = {
    "pricing unit": check_pricing_unit,
    "billable metrics": check_metrics,
    "products": check_products,
    "rate card": check_rate_card,
    "rates": check_rates,
    "notifications": check_notifications,
}


# --- Set-up ---------------------------------------------------------------------------------------


def ensure(*, now: datetime, say: Callable[[str], None]) -> None:
    """Create what is missing at Metronome, in order of dependency.

    Safe to repeat, also concurrently. `say` receives a line per object. Raises SetupConflict for
    what only a person can correct.
    """
    unit_id = _ensure_pricing_unit(now, say)
    metric_ids = {wanted.name: _ensure_metric(wanted, say) for wanted in METRICS}
    product_ids = {
        name: _ensure_product(name, metric_ids[metric.name], group_key, say)
        for name, (metric, group_key) in USAGE_PRODUCTS.items()
    }
    say(f"product “{setup.CREDITS_PRODUCT_NAME}”: {setup.credits_product_id()}")
    card_id = _ensure_rate_card(unit_id, say)
    _ensure_rates(card_id, product_ids, now, say)
    _ensure_notifications(now, say)
    if texts := [text for name in ("products", "rate card", "rates") for text in CHECKS[name](now)]:
        raise SetupConflict("; ".join(texts))


def _ensure_pricing_unit(now: datetime, say: Callable[[str], None]) -> str:
    if texts := check_pricing_unit(now):
        if settings.VOCALIS_CREDIT_TYPE_ID:
            raise SetupConflict(texts[0])
        unit_id = setup.create_pricing_unit(name=plans.PRICING_UNIT_NAME)
        say(
            f"pricing unit “{plans.PRICING_UNIT_NAME}”: "
            f"created {unit_id}; set VOCALIS_CREDIT_TYPE_ID to it"
        )
        return unit_id
    say(f"pricing unit: {setup.credit_type_id()}")
    return setup.credit_type_id()


def _ensure_metric(wanted: Metric, say: Callable[[str], None]) -> str:
    metric = _by_name(setup.metrics(), wanted.name)
    if metric is None:
        metric = replace(wanted, id=setup.create_metric(wanted))
        say(f"billable metric “{wanted.name}”: created {metric.id}")
    elif replace(metric, id="") != wanted:
        raise SetupConflict(
            f"billable metric “{wanted.name}” is {metric}; "
            "archive or rename it, then run this again"
        )
    else:
        say(f"billable metric “{wanted.name}”: {metric.id}")
    return metric.id


def _ensure_product(
    name: str, metric_id: str, group_key: Sequence[str], say: Callable[[str], None]
) -> str:
    product = _by_name(setup.products(), name)
    if product:
        say(f"product “{name}”: {product.id}")
        return product.id
    product_id = setup.create_product(
        name=name, type="USAGE", metric_id=metric_id, pricing_group_key=group_key
    )
    say(f"product “{name}”: created {product_id}")
    return product_id


def _ensure_rate_card(unit_id: str, say: Callable[[str], None]) -> str:
    name = settings.METRONOME_RATE_CARD_NAME
    card = _by_name(setup.rate_cards(), name)
    if card is None:
        card_id = setup.create_rate_card(
            name=name, unit_id=unit_id, cents_per_unit=CENTS_PER_CREDIT
        )
        say(f"rate card “{name}”: created {card_id}")
        return card_id
    if unit_id not in card.cents_per_unit:
        setup.add_conversion(rate_card_id=card.id, unit_id=unit_id, cents_per_unit=CENTS_PER_CREDIT)
        say(f"rate card “{name}”: conversion added")
    say(f"rate card “{name}”: {card.id}")
    return card.id


def _ensure_rates(
    card_id: str, product_ids: dict[str, str], now: datetime, say: Callable[[str], None]
) -> None:
    found = setup.rates(rate_card_id=card_id, at=now)
    for name, groups, price in PRICES:
        rate = _rate(product_ids[name], groups, price)
        if rate not in found:
            is_change = _price(found, rate) != "none"
            starts_at = floor_hour(now) if is_change else FIRST_RATES_AT
            setup.add_rate(rate_card_id=card_id, rate=rate, starts_at=starts_at)
            say(f"price of “{name}” {groups or ''}: set to {price} credits")


def _ensure_notifications(now: datetime, say: Callable[[str], None]) -> None:
    on = notifications.enabled_notifications()
    for type in NOTIFICATIONS:
        if type not in on:
            notifications.enable_notification(type)
            say(f"notifications of type {type}: enabled")
    for type, offset in WARNINGS_OF_END:
        _ensure_warning(type, offset, now)
        say(f"notification {offset} of {type}: present")
    _ensure_alert(now)
    say("alert when credits are used up: present")


def _ensure_warning(type: str, offset: str, now: datetime) -> None:
    def exists() -> bool:
        return (type, offset) in notifications.offset_notifications()

    def create(key: str) -> None:
        notifications.create_offset_notification(
            key=key, name="Credits end in 3 days", type=type, offset=offset
        )

    _create_under_key(f"vocalis-{type}-soon", now, exists, create)


def _ensure_alert(now: datetime) -> None:
    type, threshold, unit_id = _alert()
    customer_id = notifications.any_customer_id()

    def exists() -> bool:
        return customer_id is not None and _alert() in notifications.alerts(customer_id=customer_id)

    def create(key: str) -> None:
        notifications.create_alert(
            key=key, name="Credits used up", type=type, threshold=int(threshold), unit_id=unit_id
        )

    # Without a customer, alerts cannot be listed.
    _create_under_key(
        f"vocalis-credits-used-up-{unit_id}", now if customer_id else None, exists, create
    )


def _create_under_key(
    key: str, now: datetime | None, exists: Callable[[], bool], create: Callable[[str], None]
) -> None:
    """Create an object under a uniqueness key, unless it exists.

    If the key was used and the object does not exist, the object was archived. Metronome does not
    release the keys of archived objects, so a second key with the current hour is tried. `now` is
    None if existence cannot be determined; a used key then counts as done.
    """
    for attempt in (key, f"{key}-{now:%Y%m%d%H}" if now else key):
        if exists():
            return
        try:
            create(attempt)
            return
        except AlreadyDone:
            continue


def _alert() -> tuple[str, Decimal, str]:
    return ALERT_TYPE, Decimal(0), setup.credit_type_id()


def _rate(product_id: str, groups: dict[str, str], price: int) -> Rate:
    return Rate(product_id, groups, Decimal(price), setup.credit_type_id())


def _price(found: list[Rate], wanted: Rate) -> str:
    for rate in found:
        if (rate.product_id, rate.group_values) == (wanted.product_id, wanted.group_values):
            return f"{rate.price.normalize():f}"
    return "none"


class _Named(Protocol):
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=_Named)


def _by_name(things: Iterable[N], name: str) -> N | None:
    return next((thing for thing in things if thing.name == name), None)


def _missing(things: Sequence[Any], names: Sequence[str], what: str) -> list[str]:
    return [f"no {what} “{name}”" for name in names if _by_name(things, name) is None]
