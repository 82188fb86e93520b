"""Contracts: made, read, ended, archived."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sandbox import commits, fields, invoices, notifications, ratecards, recurring, thresholds
from sandbox.rating import remaining
from sandbox.records import CREATED_BY, Adjustment, Commit, Contract, Recurring, Segment
from sandbox.wire import ApiError, Request, find, invalid, missing, on_the_hour, page, stamp, unsupported
from sandbox.world import World

CONTRACT_PAGE = 20

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
    transition = _checked_transition(world, body.get("transition"), contract)
    if body.get("prepaid_balance_threshold_configuration"):
        contract.threshold = thresholds.checked(world, contract, body["prepaid_balance_threshold_configuration"])
    parts = build_parts(world, contract, body, now, prefix="")
    world.store.contracts.put(contract)
    world.take("contract", contract.uniqueness_key, contract.id)
    notifications.announce(world, notifications.contract_happening(world, contract, "create", now), now)
    notifications.plan_contract(world, contract, now)
    world.schedule(now, "period", contract.id, stamp(contract.starting_at))
    add_parts(world, *parts, now=now)
    if transition is not None:
        _renew(world, transition, contract, now)
    world.changed(customer.id)
    world.schedule(now, "evaluate", customer.id)
    return {"data": {"id": contract.id, "contract": show(world, contract, now)}}


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
    day = schedule.get("day") or "FIRST_OF_MONTH"
    if day == "CUSTOM_DATE":
        if schedule.get("billing_anchor_date") is None:
            raise invalid("billing_anchor_date is required when day is CUSTOM_DATE")
        anchor = schedule["billing_anchor_date"]
    else:
        anchor = starting_at.replace(day=1) if day == "FIRST_OF_MONTH" else starting_at
    return anchor.replace(hour=0, minute=0, second=0, microsecond=0)


def build_overrides(world: World, items: list[dict[str, Any]], now: datetime) -> list[dict[str, Any]]:
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


def build_parts(world: World, contract: Contract, body: dict[str, Any], now: datetime, *, prefix: str) -> Parts:
    """The commits, credits and recurring ones of a create (prefix "") or an edit (prefix "add_"), not yet stored."""

    def build(item: dict[str, Any], type_: str) -> Commit:
        return commits.build(world, item, customer_id=contract.customer_id, contract=contract, type_=type_, now=now)

    made = [build(item, item["type"]) for item in body.get(f"{prefix}commits") or []]
    made += [build(item, "CREDIT") for item in body.get(f"{prefix}credits") or []]
    templates = [
        recurring.build(world, item, contract, type_)
        for name, type_ in (("recurring_commits", "PREPAID"), ("recurring_credits", "CREDIT"))
        for item in body.get(f"{prefix}{name}") or []
    ]
    return made, templates


def add_parts(world: World, made: list[Commit], templates: list[Recurring], *, now: datetime) -> None:
    for commit in made:
        commits.add(world, commit, now)
    for template in templates:
        recurring.add(world, template, now)


# Renewal


def _checked_transition(world: World, transition: dict[str, Any] | None, contract: Contract) -> Contract | None:
    if not transition:
        return None
    if transition["type"].upper() != "RENEWAL":
        raise invalid("The transition type must be RENEWAL")
    old = find(world.store.contracts, transition["from_contract_id"], "Contract")
    if old.customer_id != contract.customer_id:
        raise missing("Contract")
    if old.ending_before is not None and old.ending_before > contract.starting_at:
        raise invalid("The old contract must not end after the new one starts")
    if contract.starting_at <= old.starting_at:
        raise invalid("The new contract must start after the old one")
    return old


def _renew(world: World, old: Contract, new: Contract, now: datetime) -> None:
    """The old contract ends where the new one starts; a share of its unused prepaid commits moves over."""
    link = {"type": "RENEWAL", "from_contract_id": old.id, "to_contract_id": new.id}
    for contract in (old, new):
        contract.transitions.append(link)
    if old.ending_before is None:
        set_end(world, old, new.starting_at, now)
    for commit in list(world.store.commits.of_customer(old.customer_id)):
        if commit.contract_id == old.id and commit.rollover_fraction and not commit.archived_at:
            _roll_over(world, commit, new, now)
    world.store.contracts.put(old)
    world.store.contracts.put(new)


def _roll_over(world: World, commit: Commit, new: Contract, now: datetime) -> None:
    for segment in list(commit.segments):
        cap = segment.amount * (commit.rollover_fraction or Decimal(0))
        amount = min(remaining(world, commit, segment), cap)
        if amount <= 0 or segment.starting_at > new.starting_at:
            continue
        duration = segment.ending_before - segment.starting_at
        commit.adjustments.append(
            Adjustment(
                segment_id=segment.id,
                amount=-amount,
                at=new.starting_at,
                type="ROLLOVER",
                new_contract_id=new.id,
            )
        )
        world.store.commits.put(commit)
        fresh = Segment(
            id=world.new_id(),
            amount=amount,
            starting_at=new.starting_at,
            ending_before=new.ending_before or new.starting_at + duration,
        )
        rolled = Commit(
            id=world.new_id(),
            customer_id=commit.customer_id,
            contract_id=new.id,
            type=commit.type,
            product_id=commit.product_id,
            created_at=now,
            credit_type_id=commit.credit_type_id,
            segments=[fresh],
            name=commit.name,
            description=commit.description,
            priority=commit.priority,
            rate_type=commit.rate_type,
            applicable_product_ids=commit.applicable_product_ids,
            applicable_product_tags=commit.applicable_product_tags,
            specifiers=commit.specifiers,
            rolled_over_from={"commit_id": commit.id, "contract_id": commit.contract_id or ""},
        )
        commits.add(world, rolled, now)


# Ending


def set_end(world: World, contract: Contract, ending_before: datetime | None, now: datetime) -> None:
    if ending_before is not None and on_the_hour(ending_before, "Contract ending_before") <= contract.starting_at:
        raise invalid("Contract ending_before must be after starting_at")
    contract.ending_before = ending_before
    world.store.contracts.put(contract)
    world.changed(contract.customer_id)
    notifications.plan_contract_end(world, contract, now)
    invoices.realign(world, contract)


def check_end(world: World, contract: Contract, ending_before: datetime | None, allow: bool) -> None:
    if ending_before is None or allow:
        return
    for invoice in world.store.invoices.of_customer(contract.customer_id):
        final = invoice.contract_id == contract.id and invoice.type == "USAGE" and invoice.status == "FINALIZED"
        if final and invoice.end_at is not None and invoice.end_at > ending_before:
            raise invalid("The contract cannot end before its finalized invoices")


def update_end_date(world: World, request: Request) -> Any:
    contract = request_contract(world, request)
    ending_before = request.body.get("ending_before")
    check_end(world, contract, ending_before, bool(request.body.get("allow_ending_before_finalized_invoice")))
    set_end(world, contract, ending_before, request.now)
    _edited(world, contract, request.now)
    return {"data": {"id": contract.id}}


def _edited(world: World, contract: Contract, now: datetime) -> None:
    notifications.announce(world, notifications.contract_happening(world, contract, "edit", now), now)
    world.schedule_evaluation(contract.customer_id, now)


def archive(world: World, request: Request) -> Any:
    contract = request_contract(world, request)
    if contract.archived_at is not None:
        raise invalid("The contract is already archived")
    archive_contract(world, contract, request.now, void_invoices=bool(request.body.get("void_invoices")))
    return {"data": {"id": contract.id}}


def archive_contract(world: World, contract: Contract, now: datetime, *, void_invoices: bool) -> None:
    for commit in world.store.commits.of_customer(contract.customer_id):
        if commit.contract_id == contract.id:
            commits.archive(world, commit, now)
    for workflow in thresholds.open_workflows(world, contract):
        thresholds.cancel(world, workflow)
    contract.archived_at = now
    world.store.contracts.put(contract)
    for invoice in world.store.invoices.of_customer(contract.customer_id):
        if invoice.contract_id == contract.id and (
            invoice.status == "DRAFT" or (void_invoices and invoice.status == "FINALIZED")
        ):
            invoices.void_invoice(world, invoice, now)
    notifications.announce(world, notifications.contract_happening(world, contract, "archive", now), now)
    world.changed(contract.customer_id)
    world.schedule_evaluation(contract.customer_id, now)


# Reading


def request_contract(world: World, request: Request) -> Contract:
    try:
        customer = find(world.store.customers, request.body["customer_id"], "Customer")
        contract = find(world.store.contracts, request.body["contract_id"], "Contract")
        if contract.customer_id != customer.id:
            raise missing("Contract")
    except ApiError as error:
        if error.status == 404:
            error.code = "NotFound"
        raise
    return contract


def retrieve_v1(world: World, request: Request) -> Any:
    return {"data": show_v1(world, request_contract(world, request), request)}


def list_v1(world: World, request: Request) -> Any:
    rows = _listed(world, request)
    cap = world.settings.page_size
    return page(
        request,
        rows,
        show=lambda row: show_v1(world, row, request),
        default=CONTRACT_PAGE,
        most=CONTRACT_PAGE,
        cap=cap,
        cursor="cursor",
    )


def retrieve_v2(world: World, request: Request) -> Any:
    contract = request_contract(world, request)
    return {"data": show(world, contract, request.body.get("as_of_date") or request.now, **_flags(request))}


def list_v2(world: World, request: Request) -> Any:
    """In order of creation."""
    return page(
        request,
        _listed(world, request),
        show=lambda row: show(world, row, request.now, **_flags(request)),
        default=CONTRACT_PAGE,
        most=CONTRACT_PAGE,
        cap=world.settings.page_size,
        cursor="cursor",
    )


def _flags(request: Request) -> dict[str, bool]:
    return {
        "with_balance": bool(request.body.get("include_balance")),
        "with_ledger": bool(request.body.get("include_ledgers")),
    }


def _listed(world: World, request: Request) -> list[Contract]:
    body = request.body
    customer = find(world.store.customers, body["customer_id"], "Customer")
    covering, since = body.get("covering_date"), body.get("starting_at")
    if covering and since:
        raise invalid("Give covering_date or starting_at, not both")
    return [
        row
        for row in world.store.contracts.of_customer(customer.id)
        if (row.archived_at is None or body.get("include_archived"))
        and (not covering or (row.starting_at <= covering and (not row.ending_before or covering < row.ending_before)))
        and (not since or row.starting_at >= since)
    ]


def rate_schedule(world: World, request: Request) -> Any:
    return ratecards.contract_rate_schedule(world, request, request_contract(world, request))


def show(
    world: World, contract: Contract, now: datetime, *, with_balance: bool = False, with_ledger: bool = False
) -> dict[str, Any]:
    own = [row for row in world.store.commits.of_customer(contract.customer_id) if row.contract_id == contract.id]
    shown = {
        row.id: commits.show(world, row, now, with_balance=with_balance, with_ledger=with_ledger)
        for row in own
        if row.archived_at is None
    }
    templates = [
        row for row in world.store.recurring.of_customer(contract.customer_id) if row.contract_id == contract.id
    ]
    result: dict[str, Any] = {
        "id": contract.id,
        "customer_id": contract.customer_id,
        "name": contract.name,
        "rate_card_id": contract.rate_card_id,
        "starting_at": contract.starting_at,
        "ending_before": contract.ending_before,
        "created_at": contract.created_at,
        "created_by": CREATED_BY,
        "archived_at": contract.archived_at,
        "commits": [shown[row.id] for row in own if row.id in shown and not row.is_credit],
        "credits": [shown[row.id] for row in own if row.id in shown and row.is_credit],
        "recurring_commits": [recurring.show(world, row) for row in templates if row.type != "CREDIT"],
        "recurring_credits": [recurring.show(world, row) for row in templates if row.type == "CREDIT"],
        "overrides": [_show_override(world, one) for one in contract.overrides],
        "scheduled_charges": [],
        "subscriptions": [],
        "transitions": contract.transitions,
        "usage_filter": [],
        "usage_statement_schedule": {
            "billing_anchor_date": contract.anchor_at,
            "frequency": contract.frequency,
        },
        "custom_fields": contract.custom_fields,
        "prepaid_balance_threshold_configuration": contract.threshold,
        "uniqueness_key": contract.uniqueness_key,
        **contract.extra,
    }
    return {key: value for key, value in result.items() if value is not None}


def _show_override(world: World, override: dict[str, Any]) -> dict[str, Any]:
    shown = dict(override)
    product_id = shown.pop("product_id", None)
    if product_id:
        shown["product"] = {"id": product_id, "name": world.store.products[product_id].name}
    return shown


def show_v1(world: World, contract: Contract, request: Request) -> dict[str, Any]:
    """The older shape, with the terms as first made under `initial` and as they are under `current`."""
    state = show(world, contract, request.now, **_flags(request))
    terms = {
        key: value
        for key, value in state.items()
        if key not in ("id", "customer_id", "archived_at", "custom_fields", "usage_filter", "subscriptions")
    }
    first = [row for row in terms["commits"] if row["created_at"] == contract.created_at]
    first_credits = [row for row in terms["credits"] if row["created_at"] == contract.created_at]
    return {
        "id": contract.id,
        "customer_id": contract.customer_id,
        "amendments": [],
        "initial": {**terms, "commits": first, "credits": first_credits},
        "current": terms,
        "archived_at": contract.archived_at,
        "custom_fields": contract.custom_fields,
        "uniqueness_key": contract.uniqueness_key,
    }
