"""How contracts are found and shown, in the newer shape and the older."""

from datetime import datetime
from typing import Any

from metronome_sandbox import (
    billing_providers,
    commit_views,
    overrides,
    ratecards,
    recharge_terms,
    recurring,
    subscription_views,
)
from metronome_sandbox.records import CREATED_BY, Contract
from metronome_sandbox.wire import ApiError, Request, find, invalid, missing, page, present
from metronome_sandbox.world import World

CONTRACT_PAGE = 20


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
    return {
        "data": show(
            world, contract, request.body.get("as_of_date") or request.now, **_flags(request)
        )
    }


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
        and (
            not covering
            or (
                row.starting_at <= covering
                and (not row.ending_before or covering < row.ending_before)
            )
        )
        and (not since or row.starting_at >= since)
    ]


def rate_schedule(world: World, request: Request) -> Any:
    return ratecards.contract_rate_schedule(world, request, request_contract(world, request))


def subscription_quantities(world: World, request: Request) -> Any:
    contract = request_contract(world, request)
    return subscription_views.quantity_history(world, request, contract)


def show(
    world: World,
    contract: Contract,
    now: datetime,
    *,
    with_balance: bool = False,
    with_ledger: bool = False,
) -> dict[str, Any]:
    own = [
        row
        for row in world.store.commits.of_customer(contract.customer_id)
        if row.contract_id == contract.id and row.archived_at is None
    ]
    flags = {"with_balance": with_balance, "with_ledger": with_ledger}
    shown = [(row, commit_views.show(world, row, now, **flags)) for row in own]
    templates = recurring.of_contract(world, contract)
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
        "commits": [one for row, one in shown if not row.is_credit],
        "credits": [one for row, one in shown if row.is_credit],
        "recurring_commits": [
            recurring.show(world, row) for row in templates if row.type != "CREDIT"
        ],
        "recurring_credits": [
            recurring.show(world, row) for row in templates if row.type == "CREDIT"
        ],
        "overrides": [overrides.show(world, one) for one in contract.overrides],
        "scheduled_charges": [],
        "subscriptions": subscription_views.show_all(world, contract, now),
        "transitions": contract.transitions,
        "usage_filter": [],
        "usage_statement_schedule": {
            "billing_anchor_date": contract.anchor_at,
            "frequency": contract.frequency,
        },
        "custom_fields": contract.custom_fields,
        "prepaid_balance_threshold_configuration": recharge_terms.show(contract.threshold),
        "spend_threshold_configuration": contract.spend_threshold,
        "customer_billing_provider_configuration": billing_providers.of_contract(
            world, contract.billing_configuration_id
        ),
        "uniqueness_key": contract.uniqueness_key,
        **contract.extra,
    }
    return present(result)


def show_v1(world: World, contract: Contract, request: Request) -> dict[str, Any]:
    """The older shape: the terms as first made under `initial`, as they are under `current`."""
    state = show(world, contract, request.now, **_flags(request))
    terms = {
        key: value
        for key, value in state.items()
        if key
        not in (
            "id",
            "customer_id",
            "archived_at",
            "custom_fields",
            "usage_filter",
            "subscriptions",
        )
    }
    first = [row for row in terms["commits"] if row["created_at"] == contract.created_at]
    first_credits = [row for row in terms["credits"] if row["created_at"] == contract.created_at]
    return present(
        {
            "id": contract.id,
            "customer_id": contract.customer_id,
            "amendments": [],
            "initial": {**terms, "commits": first, "credits": first_credits},
            "current": terms,
            "archived_at": contract.archived_at,
            "custom_fields": contract.custom_fields,
            "subscriptions": state["subscriptions"] or None,
            "uniqueness_key": contract.uniqueness_key,
        }
    )
