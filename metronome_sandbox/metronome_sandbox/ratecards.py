"""Rate cards, their conversions and their rates."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from metronome_sandbox import fields, overrides
from metronome_sandbox.catalog import show_unit, unit
from metronome_sandbox.pricing import effective_rate, overridden_tiers
from metronome_sandbox.records import CREATED_BY, USD_ID, Contract, Product, Rate, RateCard
from metronome_sandbox.wire import Request, find, invalid, on_the_hour, page, present, unsupported
from metronome_sandbox.world import World

RATE_TYPES = ("FLAT", "TIERED")


def create(world: World, request: Request) -> Any:
    body = request.body
    fields.check_keys(world, "rate_card", body.get("custom_fields"))
    card = RateCard(
        id=world.new_id(),
        name=body["name"],
        created_at=request.now,
        description=body.get("description"),
        fiat_credit_type_id=_fiat(world, body.get("fiat_credit_type_id")),
        conversions=_conversions(world, body.get("credit_type_conversions")),
        aliases=body.get("aliases") or [],
        custom_fields=body.get("custom_fields") or {},
    )
    world.store.rate_cards.put(card)
    return {"data": {"id": card.id}}


def _fiat(world: World, credit_type_id: str | None) -> str:
    found = unit(world, credit_type_id, USD_ID)
    if not world.store.credit_types[found].is_currency:
        raise invalid("fiat_credit_type_id must be a currency, not a custom pricing unit")
    return found


def _conversions(world: World, items: list[dict[str, Any]] | None) -> dict[str, Decimal]:
    result: dict[str, Decimal] = {}
    for item in items or []:
        if item["fiat_per_custom_credit"] <= 0:
            raise invalid("fiat_per_custom_credit must be positive")
        result[unit(world, item["custom_credit_type_id"], "")] = item["fiat_per_custom_credit"]
    return result


def retrieve(world: World, request: Request) -> Any:
    return {"data": _show(world, find_card(world, request.body["id"]))}


def list_(world: World, request: Request) -> Any:
    rows = [row for row in world.store.rate_cards if row.archived_at is None]
    return page(request, rows, show=lambda row: _show(world, row), cap=world.settings.page_size)


def update(world: World, request: Request) -> Any:
    body = request.body
    card = find_card(world, body["rate_card_id"])
    added = _conversions(world, body.get("add_credit_type_conversions"))
    if any(card.conversions.get(key, value) != value for key, value in added.items()):
        raise invalid("An existing conversion cannot be changed")
    card.name = body.get("name") or card.name
    card.description = body.get("description", card.description)
    card.aliases = body.get("aliases", card.aliases)
    card.conversions = {**card.conversions, **added}
    world.store.rate_cards.put(card)
    return {"data": {"id": card.id}}


def archive(world: World, request: Request) -> Any:
    card = find_card(world, request.body["id"])
    card.archived_at = card.archived_at or request.now
    world.store.rate_cards.put(card)
    return {"data": {"id": card.id}}


def find_card(world: World, card_id: Any) -> RateCard:
    return find(world.store.rate_cards, card_id, "Rate card")


def card_by_alias(world: World, alias: str, at: datetime) -> RateCard:
    for card in world.store.rate_cards:
        for item in card.aliases:
            starts, ends = item.get("starting_at"), item.get("ending_before")
            if item["name"] == alias and (not starts or starts <= at) and (not ends or at < ends):
                return card
    raise invalid(f"No rate card has the alias {alias}")


def _show(world: World, card: RateCard) -> dict[str, Any]:
    return present(
        {
            "id": card.id,
            "name": card.name,
            "description": card.description,
            "created_at": card.created_at,
            "created_by": CREATED_BY,
            "fiat_credit_type": show_unit(world, card.fiat_credit_type_id),
            "credit_type_conversions": [
                {"custom_credit_type": show_unit(world, key), "fiat_per_custom_credit": str(value)}
                for key, value in card.conversions.items()
            ],
            "aliases": card.aliases,
            "custom_fields": card.custom_fields,
        }
    )


# Rates


def add_rate(world: World, request: Request) -> Any:
    card = find_card(world, request.body["rate_card_id"])
    rate = _put(world, _build(world, card, request.body))
    shown = _show_price(world, rate)
    return {"data": shown | ({"commit_rate": rate.commit_rate} if rate.commit_rate else {})}


def add_rates(world: World, request: Request) -> Any:
    card = find_card(world, request.body["rate_card_id"])
    for rate in [_build(world, card, item) for item in request.body["rates"]]:
        _put(world, rate)
    return {"data": {"id": card.id}}


def _build(world: World, card: RateCard, item: dict[str, Any]) -> Rate:
    product = find(world.store.products, item["product_id"], "Product")
    if item["rate_type"] not in RATE_TYPES:
        raise unsupported(f"rates of type {item['rate_type']}", "they are FLAT or TIERED")
    _check_frequency(product, item)
    commit_rate = _commit_rate(product, item.get("commit_rate"))
    credit_type_id = unit(world, item.get("credit_type_id"), card.fiat_credit_type_id)
    if credit_type_id != card.fiat_credit_type_id and credit_type_id not in card.conversions:
        raise invalid("The rate card has no conversion for the credit type of the rate")
    groups = item.get("pricing_group_values") or {}
    if set(groups) != set(product.current.get("pricing_group_key") or []):
        raise invalid("pricing_group_values must name exactly the product's pricing group key")
    if any(
        _same_price(row, product.id, groups, item.get("billing_frequency"))
        and row.credit_type_id != credit_type_id
        for row in _of_card(world, card)
    ):
        raise invalid("The credit type of a saved rate cannot be changed")
    if item["rate_type"] == "FLAT" and item.get("price") is None and item["entitled"]:
        raise invalid("price is required for a FLAT rate")
    if item["rate_type"] == "TIERED" and not item.get("tiers"):
        raise invalid("tiers are required for a TIERED rate")
    if (item.get("price") or 0) < 0:
        raise invalid("price must not be negative")
    starting_at = on_the_hour(item["starting_at"], "Rate starting_at")
    ending_before = item.get("ending_before")
    if ending_before and on_the_hour(ending_before, "Rate ending_before") <= starting_at:
        raise invalid("Rate ending_before must be after starting_at")
    return Rate(
        id=world.new_id(),
        rate_card_id=card.id,
        product_id=product.id,
        rate_type=item["rate_type"],
        entitled=item["entitled"],
        starting_at=starting_at,
        ending_before=ending_before,
        credit_type_id=credit_type_id,
        price=item.get("price") or Decimal(0),
        tiers=item.get("tiers") or [],
        commit_rate=commit_rate,
        pricing_group_values=groups,
        billing_frequency=item.get("billing_frequency"),
    )


def _check_frequency(product: Product, item: dict[str, Any]) -> None:
    if (product.type == "SUBSCRIPTION") != bool(item.get("billing_frequency")):
        raise invalid("billing_frequency is required for a SUBSCRIPTION product, and for no other")
    if item.get("billing_frequency") and item["rate_type"] != "FLAT":
        raise unsupported("TIERED rates of SUBSCRIPTION products", "they are FLAT")


def _commit_rate(product: Product, given: dict[str, Any] | None) -> dict[str, Any] | None:
    """A checked commit rate, which is in the unit of the list rate beside it."""
    if given is None:
        return None
    if product.type != "USAGE":
        raise invalid("A commit_rate can only be given for a USAGE product")
    kind = given["rate_type"].upper()
    if kind not in RATE_TYPES:
        raise unsupported(f"commit rates of type {kind}", "they are FLAT or TIERED")
    if kind == "TIERED":
        if not given.get("tiers"):
            raise invalid("tiers are required for a TIERED commit_rate")
        return {"rate_type": kind, "tiers": given["tiers"]}
    if given.get("price") is None or given["price"] < 0:
        raise invalid("commit_rate.price is required for a FLAT rate and must not be negative")
    return {"rate_type": kind, "price": given["price"]}


def _put(world: World, rate: Rate) -> Rate:
    """A rate of the same product, groups and start is replaced."""
    for row in _of_card(world, world.store.rate_cards[rate.rate_card_id]):
        if (
            _same_price(row, rate.product_id, rate.pricing_group_values, rate.billing_frequency)
            and row.starting_at == rate.starting_at
        ):
            world.store.rates.remove(row.id)
    world.ratings.clear()
    return world.store.rates.put(rate)


def _same_price(row: Rate, product_id: str, groups: dict[str, str], frequency: str | None) -> bool:
    there = (row.product_id, row.pricing_group_values, row.billing_frequency)
    return there == (product_id, groups, frequency)


def get_rates(world: World, request: Request) -> Any:
    """The rates in force at a moment."""
    card = find_card(world, request.body["rate_card_id"])
    at = request.body["at"]
    rows = [row for row in _of_card(world, card) if _in_force(world, row, at)]
    return _rate_page(world, request, rows)


def get_rate_schedule(world: World, request: Request) -> Any:
    card = find_card(world, request.body["rate_card_id"])
    start, end = request.body["starting_at"], request.body.get("ending_before")
    rows = [
        row
        for row in _of_card(world, card)
        if (row.ending_before is None or row.ending_before > start)
        and (end is None or row.starting_at < end)
    ]
    return _rate_page(world, request, rows)


def contract_rate_schedule(world: World, request: Request, contract: Contract) -> Any:
    card = find_card(world, contract.rate_card_id)
    at = request.body.get("at") or request.now
    rows = [row for row in _of_card(world, card) if _in_force(world, row, at)]
    found = {row.id: _override(world, contract, row, at) for row in rows}
    entitled = [
        row
        for row in rows
        if (row.entitled if found[row.id].entitled is None else found[row.id].entitled)
    ]

    def show(row: Rate) -> dict[str, Any]:
        item = _show_rate(world, row)
        item |= {"entitled": True, "list_rate": item.pop("rate"), "rate_card_id": card.id}
        changed = _overridden(world, row, found[row.id])
        return item if changed is None else item | {"override_rate": changed}

    return page(request, _chosen(world, request, entitled), show=show, cap=world.settings.page_size)


def _override(world: World, contract: Contract, rate: Rate, at: datetime) -> overrides.Override:
    groups = tuple(rate.pricing_group_values.items())
    product = world.store.products[rate.product_id]
    return overrides.effective(contract, product, groups, (), at, rate.billing_frequency)


def _overridden(world: World, rate: Rate, override: overrides.Override) -> dict[str, Any] | None:
    shown = _show_price(world, rate)
    if override.price is not None:
        shown.pop("tiers", None)
        unit_id = override.credit_type_id or rate.credit_type_id
        return shown | {
            "rate_type": "FLAT",
            "price": override.price,
            "credit_type": show_unit(world, unit_id),
        }
    if not override.tiers:
        return None
    if rate.rate_type != "TIERED" and not override.edges():
        return shown | {"price": override.applied(rate.price, rate.credit_type_id, Decimal(0))[0]}
    shown.pop("price", None)
    return shown | {"rate_type": "TIERED", "tiers": list(overridden_tiers(rate, override))}


def _rate_page(world: World, request: Request, rows: list[Rate]) -> dict[str, Any]:
    rows = _chosen(world, request, rows)
    return page(
        request, rows, show=lambda row: _show_rate(world, row), cap=world.settings.page_size
    )


def _chosen(world: World, request: Request, rows: list[Rate]) -> list[Rate]:
    selectors = request.body.get("selectors")
    return [
        row for row in rows if not selectors or any(_selected(world, row, one) for one in selectors)
    ]


def _of_card(world: World, card: RateCard) -> list[Rate]:
    return [row for row in world.store.rates if row.rate_card_id == card.id]


def _in_force(world: World, rate: Rate, at: datetime) -> bool:
    siblings = [
        row
        for row in world.store.rates
        if (row.rate_card_id, row.product_id) == (rate.rate_card_id, rate.product_id)
    ]
    return effective_rate(siblings, rate.pricing_group_values, at, rate.billing_frequency) is rate


def _selected(world: World, rate: Rate, selector: dict[str, Any]) -> bool:
    tags = set(world.store.products[rate.product_id].current.get("tags") or [])
    exact = selector.get("pricing_group_values")
    return (
        (not selector.get("product_id") or selector["product_id"] == rate.product_id)
        and set(selector.get("product_tags") or []) <= tags
        and selector.get("billing_frequency") in (None, rate.billing_frequency)
        and (exact is None or exact == rate.pricing_group_values)
        and (selector.get("partial_pricing_group_values") or {}).items()
        <= rate.pricing_group_values.items()
    )


def _show_price(world: World, rate: Rate) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "rate_type": rate.rate_type,
        "credit_type": show_unit(world, rate.credit_type_id),
    }
    if rate.rate_type == "TIERED":
        shown["tiers"] = rate.tiers
    else:
        shown["price"] = rate.price
    if rate.pricing_group_values:
        shown["pricing_group_values"] = rate.pricing_group_values
    return shown


def _show_rate(world: World, rate: Rate) -> dict[str, Any]:
    product = world.store.products[rate.product_id]
    return present(
        {
            "entitled": rate.entitled,
            "product_id": product.id,
            "product_name": product.name,
            "product_tags": product.current.get("tags") or [],
            "product_custom_fields": product.custom_fields,
            "pricing_group_values": rate.pricing_group_values or None,
            "billing_frequency": rate.billing_frequency,
            "rate": _show_price(world, rate),
            "commit_rate": rate.commit_rate,
            "starting_at": rate.starting_at,
            "ending_before": rate.ending_before,
        }
    )
