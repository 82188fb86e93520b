"""Contracts: made, read, ended, archived."""

from datetime import datetime
from typing import Any

from sandbox import (
    commits,
    contract_views,
    endings,
    fields,
    notifications,
    ratecards,
    recurring,
    thresholds,
)
from sandbox.contract_views import request_contract
from sandbox.records import Commit, Contract, Recurring
from sandbox.wire import Request, find, invalid, on_the_hour, stamp, unsupported
from sandbox.world import World

UNSUPPORTED = (
    "discounts",
    "hierarchy_configuration",
    "package_alias",
    "package_id",
    "professional_services",
    "reseller_royalties",
    "scheduled_charges",
    "spend_threshold_configuration",
    "spend_trackers",
    "subscriptions",
    "usage_filter",
)
READ_BACK = (
    "multiplier_override_prioritization",
    "net_payment_terms_days",
    "netsuite_sales_order_id",
    "salesforce_opportunity_id",
    "scheduled_charges_on_usage_invoices",
    "total_contract_value",
)


def create(world: World, request: Request) -> Any:
    body, now = request.body, request.now
    refuse_unsupported(body, UNSUPPORTED)
    customer = find(world.store.customers, body["customer_id"], "Customer")
    if customer.archived_at:
        raise invalid("The customer is archived")
    world.refuse_taken("contract", body.get("uniqueness_key"))
    contract = _build(world, body, now)
    transition = endings.checked_transition(world, body.get("transition"), contract)
    if body.get("prepaid_balance_threshold_configuration"):
        contract.threshold = thresholds.checked(
            world, contract, body["prepaid_balance_threshold_configuration"]
        )
    parts = build_parts(world, contract, body, now, prefix="")
    world.store.contracts.put(contract)
    world.take("contract", contract.uniqueness_key, contract.id)
    notifications.announce(
        world, notifications.contract_happening(world, contract, "create", now), now
    )
    notifications.plan_contract(world, contract, now)
    world.schedule(
        max(contract.starting_at, now), "period", contract.id, stamp(contract.starting_at)
    )
    add_parts(world, *parts, now=now)
    if transition is not None:
        endings.renew(world, transition, contract, now)
    world.changed(customer.id)
    world.schedule(now, "evaluate", customer.id)
    return {"data": {"id": contract.id, "contract": contract_views.show(world, contract, now)}}


def refuse_unsupported(body: dict[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        if body.get(name):
            raise unsupported(f"contracts with {name}")


def _build(world: World, body: dict[str, Any], now: datetime) -> Contract:
    starting_at = on_the_hour(body["starting_at"], "Contract starting_at")
    ending_before = body.get("ending_before")
    if ending_before and on_the_hour(ending_before, "Contract ending_before") <= starting_at:
        raise invalid("Contract ending_before must be after starting_at")
    card_id = body.get("rate_card_id")
    if card_id:
        card_id = ratecards.find_card(world, card_id).id
    elif body.get("rate_card_alias"):
        card_id = ratecards.card_by_alias(world, body["rate_card_alias"], starting_at).id
    fields.check_keys(world, "contract", body.get("custom_fields"))
    schedule = body.get("usage_statement_schedule") or {}
    return Contract(
        id=world.new_id(),
        customer_id=body["customer_id"].lower(),
        name=body.get("name"),
        starting_at=starting_at,
        ending_before=ending_before,
        created_at=now,
        rate_card_id=card_id,
        frequency=schedule.get("frequency") or "MONTHLY",
        anchor_at=_anchor(schedule, starting_at),
        overrides=build_overrides(world, body.get("overrides") or [], now),
        custom_fields=body.get("custom_fields") or {},
        extra={name: body[name] for name in READ_BACK if body.get(name) is not None},
        uniqueness_key=body.get("uniqueness_key"),
    )


def _anchor(schedule: dict[str, Any], starting_at: datetime) -> datetime:
    anchor: datetime
    day = schedule.get("day") or "FIRST_OF_MONTH"
    if day == "CUSTOM_DATE":
        if schedule.get("billing_anchor_date") is None:
            raise invalid("billing_anchor_date is required when day is CUSTOM_DATE")
        anchor = schedule["billing_anchor_date"]
    else:
        anchor = starting_at.replace(day=1) if day == "FIRST_OF_MONTH" else starting_at
    return anchor.replace(hour=0, minute=0, second=0, microsecond=0)


def build_overrides(
    world: World, items: list[dict[str, Any]], now: datetime
) -> list[dict[str, Any]]:
    result = []
    for item in items:
        if item.get("type") == "TIERED" or item.get("is_commit_specific") or item.get("tiers"):
            raise unsupported("tiered or commit-specific overrides")
        if item.get("type") == "MULTIPLIER" and item.get("multiplier") is None:
            raise invalid("multiplier is required for a MULTIPLIER override")
        rate = item.get("overwrite_rate")
        if rate and (rate["rate_type"] != "FLAT" or rate.get("price") is None):
            raise unsupported("overwrite rates that are not FLAT")
        if item.get("product_id"):
            find(world.store.products, item["product_id"], "Product")
        on_the_hour(item["starting_at"], "Override starting_at")
        result.append({**item, "id": world.new_id(), "created_at": now})
    return result


Parts = tuple[list[Commit], list[Recurring]]


def build_parts(
    world: World, contract: Contract, body: dict[str, Any], now: datetime, *, prefix: str
) -> Parts:
    """The commits, credits and recurring ones of a create (prefix "") or an edit (prefix "add_"),
    not yet stored."""

    def build(item: dict[str, Any], type_: str) -> Commit:
        return commits.build(
            world, item, customer_id=contract.customer_id, contract=contract, type_=type_, now=now
        )

    made = [build(item, item["type"]) for item in body.get(f"{prefix}commits") or []]
    made += [build(item, "CREDIT") for item in body.get(f"{prefix}credits") or []]
    templates = [
        recurring.build(world, item, contract, type_)
        for name, type_ in (("recurring_commits", "PREPAID"), ("recurring_credits", "CREDIT"))
        for item in body.get(f"{prefix}{name}") or []
    ]
    return made, templates


def add_parts(
    world: World, made: list[Commit], templates: list[Recurring], *, now: datetime
) -> None:
    for commit in made:
        commits.add(world, commit, now)
    for template in templates:
        recurring.add(world, template, now)


# Ending


def update_end_date(world: World, request: Request) -> Any:
    contract = request_contract(world, request)
    ending_before = request.body.get("ending_before")
    endings.check_end(
        world,
        contract,
        ending_before,
        bool(request.body.get("allow_ending_before_finalized_invoice")),
    )
    endings.set_end(world, contract, ending_before, request.now)
    _edited(world, contract, request.now)
    return {"data": {"id": contract.id}}


def _edited(world: World, contract: Contract, now: datetime) -> None:
    notifications.announce(
        world, notifications.contract_happening(world, contract, "edit", now), now
    )
    world.schedule_evaluation(contract.customer_id, now)


def archive(world: World, request: Request) -> Any:
    contract = request_contract(world, request)
    if contract.archived_at is not None:
        raise invalid("The contract is already archived")
    endings.archive_contract(
        world, contract, request.now, void_invoices=bool(request.body.get("void_invoices"))
    )
    return {"data": {"id": contract.id}}
