"""Contracts: made, read, ended, archived."""

from datetime import datetime
from typing import Any

from metronome_sandbox import (
    billing_providers,
    commits,
    contract_views,
    endings,
    fields,
    not_emulated,
    notifications,
    overrides,
    packages,
    periods,
    ratecards,
    recharge_terms,
    recurring,
    renewals,
    spend_thresholds,
    subscriptions,
    thresholds,
)
from metronome_sandbox.contract_views import request_contract
from metronome_sandbox.records import Commit, Contract, Recurring, Subscription
from metronome_sandbox.wire import Request, find, invalid, on_the_hour, stamp, unsupported
from metronome_sandbox.world import World

READ_BACK = (
    "multiplier_override_prioritization",
    "net_payment_terms_days",
    "netsuite_sales_order_id",
    "package_id",
    "salesforce_opportunity_id",
    "scheduled_charges_on_usage_invoices",
    "total_contract_value",
)


def create(world: World, request: Request) -> Any:
    body, now = request.body, request.now
    customer = find(world.store.customers, body["customer_id"], "Customer")
    if customer.archived_at:
        raise invalid("The customer is archived")
    body = packages.contract_body(world, body)
    refuse_unsupported(body, not_emulated.OF_CONTRACTS)
    world.refuse_taken("contract", body.get("uniqueness_key"))
    contract, parts = draft(world, body, now)
    transition = renewals.checked(world, body.get("transition"), contract)
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
        renewals.renew(world, transition, contract, now)
    world.changed(customer.id)
    world.schedule(now, "evaluate", customer.id)
    return {"data": {"id": contract.id, "contract": contract_views.show(world, contract, now)}}


def draft(world: World, body: dict[str, Any], now: datetime) -> tuple[Contract, "Parts"]:
    """A checked contract with its commits and credits, of which nothing is stored. Raises
    ApiError."""
    contract = _build(world, body, now)
    if body.get("prepaid_balance_threshold_configuration"):
        recharge_terms.refuse_early(contract, now)
        contract.threshold = thresholds.checked(
            world, contract, body["prepaid_balance_threshold_configuration"]
        )
    if body.get("spend_threshold_configuration"):
        recharge_terms.refuse_early(contract, now)
        contract.spend_threshold = spend_thresholds.checked(
            world, contract, body["spend_threshold_configuration"]
        )
    parts = build_parts(world, contract, body, now, prefix="", end=contract.ending_before)
    contract.overrides = overrides.build(
        world, body.get("overrides") or [], contract, now, made_ids(body, *parts[:2], prefix="")
    )
    return contract, parts


def refuse_unsupported(body: dict[str, Any], names: dict[str, str], of: str = "contracts") -> None:
    """Raises ApiError 501. `names`: of fields, with what to use instead."""
    for name, instead in names.items():
        if body.get(name):
            raise unsupported(f"{of} with {name}", instead)


def _build(world: World, body: dict[str, Any], now: datetime) -> Contract:
    starting_at = on_the_hour(body["starting_at"], "Contract starting_at")
    ending_before = body.get("ending_before")
    if ending_before and on_the_hour(ending_before, "Contract ending_before") <= starting_at:
        raise invalid("Contract ending_before must be after starting_at")
    card_id = body.get("rate_card_id")
    if card_id is not None:
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
        custom_fields=body.get("custom_fields") or {},
        extra={name: body[name] for name in READ_BACK if body.get(name) is not None},
        billing_configuration_id=billing_providers.chosen(
            world, body["customer_id"].lower(), body.get("billing_provider_configuration")
        ),
        uniqueness_key=body.get("uniqueness_key"),
    )


def _anchor(schedule: dict[str, Any], starting_at: datetime) -> datetime:
    """Billing periods are counted from here, by the hour."""
    day = schedule.get("day") or "FIRST_OF_MONTH"
    if day == "FIRST_OF_MONTH":
        return starting_at.replace(day=1, hour=0)
    if day == "CONTRACT_START":
        return starting_at
    if schedule.get("billing_anchor_date") is None:
        raise invalid("billing_anchor_date is required when day is CUSTOM_DATE")
    return periods.floor_hour(schedule["billing_anchor_date"])


Parts = tuple[list[Commit], list[Recurring], list[Subscription]]


def build_parts(
    world: World,
    contract: Contract,
    body: dict[str, Any],
    now: datetime,
    *,
    prefix: str,
    end: datetime | None,
) -> Parts:
    """The commits, credits, recurring ones and subscriptions of a create (prefix "") or an edit
    (prefix "add_"), not yet stored. `end` is the contract's end once the call is done."""

    def build(item: dict[str, Any], type_: str) -> Commit:
        return commits.build(
            world,
            item,
            customer_id=contract.customer_id,
            contract=contract,
            type_=type_,
            now=now,
            end=end,
            may_be_gated=prefix == "add_",
        )

    made = [build(item, item["type"]) for item in body.get(f"{prefix}commits") or []]
    made += [build(item, "CREDIT") for item in body.get(f"{prefix}credits") or []]
    templates = [
        recurring.build(world, item, contract, type_, end)
        for name, type_ in (("recurring_commits", "PREPAID"), ("recurring_credits", "CREDIT"))
        for item in body.get(f"{prefix}{name}") or []
    ]
    subscribed = [
        subscriptions.build(world, item, contract, end, now)
        for item in body.get(f"{prefix}subscriptions") or []
    ]
    return made, templates, subscribed


def made_ids(
    body: dict[str, Any], made: list[Commit], templates: list[Recurring], *, prefix: str
) -> dict[str, str]:
    """Ids of what `build_parts` made, by their temporary ids and by themselves."""

    def items(*names: str) -> list[dict[str, Any]]:
        return [item for name in names for item in body.get(f"{prefix}{name}") or []]

    pairs = [
        *zip(items("commits", "credits"), made, strict=True),
        *zip(items("recurring_commits", "recurring_credits"), templates, strict=True),
    ]
    return {item["temporary_id"]: row.id for item, row in pairs if item.get("temporary_id")}


def add_parts(
    world: World,
    made: list[Commit],
    templates: list[Recurring],
    subscribed: list[Subscription],
    *,
    now: datetime,
) -> None:
    for commit in made:
        commits.add(world, commit, now)
    for template in templates:
        recurring.add(world, template, now)
    for subscription in subscribed:
        subscriptions.add(world, subscription)


# Ending


def update_end_date(world: World, request: Request) -> Any:
    contract = request_contract(world, request)
    ending_before = request.body.get("ending_before")
    endings.check_end(
        world,
        contract,
        ending_before,
        request.body.get("allow_ending_before_finalized_invoice") is not False,
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
