"""POST /v2/contracts/edit: everything is checked first, then applied.

Each edit is kept in the contract's history."""

from typing import Any

from sandbox import commit_views, commits, endings, notifications, recurring, thresholds
from sandbox.contract_views import request_contract
from sandbox.contracts import add_parts, build_overrides, build_parts, refuse_unsupported
from sandbox.records import Commit, Contract, Edit
from sandbox.wire import Request, invalid, missing
from sandbox.world import World

UNSUPPORTED = (
    "add_discounts",
    "add_professional_services",
    "add_reseller_royalties",
    "add_scheduled_charges",
    "add_spend_threshold_configuration",
    "add_spend_trackers",
    "add_subscriptions",
    "archive_scheduled_charges",
    "archive_spend_trackers",
    "update_scheduled_charges",
    "update_spend_threshold_configuration",
    "update_subscriptions",
)


def edit(world: World, request: Request) -> Any:
    body, now = request.body, request.now
    refuse_unsupported(body, UNSUPPORTED)
    contract = request_contract(world, request)
    if contract.archived_at is not None:
        raise invalid("The contract is archived")
    world.refuse_taken("contract_edit", body.get("uniqueness_key"))
    made, templates = build_parts(world, contract, body, now, prefix="add_")
    overrides = build_overrides(world, body.get("add_overrides") or [], now)
    threshold = _threshold(world, contract, body)
    overrides = _remaining_overrides(contract, body) + overrides
    changes = [
        commits.prepare(world, *found) for found in _commits(world, contract, body, "update")
    ]
    archived = _commits(world, contract, body, "archive")
    ends = [
        (recurring.editable(world, contract, item), item)
        for name in ("update_recurring_commits", "update_recurring_credits")
        for item in body.get(name) or []
    ]
    if "update_contract_end_date" in body:
        allow = bool(body.get("allow_contract_ending_before_finalized_invoice"))
        endings.check_end(world, contract, body["update_contract_end_date"], allow)

    if "update_contract_end_date" in body:
        endings.set_end(world, contract, body["update_contract_end_date"], now)
    for template, item in ends:
        recurring.end(world, template, item.get("ending_before"))
    for change in changes:
        commits.apply(world, change, now)
    for commit, _ in archived:
        commits.archive(world, commit, now)
    add_parts(world, made, templates, now=now)
    contract.overrides = overrides
    if "update_contract_name" in body:
        contract.name = body["update_contract_name"]
    if "update_net_payment_terms_days" in body:
        contract.extra = {
            **contract.extra,
            "net_payment_terms_days": body["update_net_payment_terms_days"],
        }
    if threshold is not None:
        contract.threshold = threshold
        if not threshold["is_enabled"]:
            # Undocumented; without it a recharge whose webhook was lost would keep the next one
            # away for ever.
            for workflow in thresholds.open_workflows(world, contract):
                thresholds.cancel(world, workflow)
    world.store.contracts.put(contract)
    notifications.announce(
        world, notifications.contract_happening(world, contract, "edit", now), now
    )
    world.changed(contract.customer_id)
    # A new or changed threshold configuration is evaluated at once, anything else at the usual
    # pace.
    if threshold is not None:
        world.schedule(now, "evaluate", contract.customer_id)
    world.schedule_evaluation(contract.customer_id, now)
    kept = _remember(world, request, contract, made)
    return {"data": {"id": contract.id, "edit": _show(kept)}}


def _threshold(world: World, contract: Contract, body: dict[str, Any]) -> dict[str, Any] | None:
    added = body.get("add_prepaid_balance_threshold_configuration")
    changed = body.get("update_prepaid_balance_threshold_configuration")
    if added is not None:
        if contract.threshold is not None:
            raise invalid("The contract has a prepaid balance threshold configuration: update it")
        return thresholds.checked(world, contract, added)
    if changed is not None:
        if contract.threshold is None:
            raise invalid("The contract has no prepaid balance threshold configuration: add one")
        return thresholds.checked(world, contract, thresholds.merged(contract.threshold, changed))
    return None


def _commits(
    world: World, contract: Contract, body: dict[str, Any], verb: str
) -> list[tuple[Commit, dict[str, Any]]]:
    found = []
    for name, id_name, credit in (("commits", "commit_id", False), ("credits", "credit_id", True)):
        for item in body.get(f"{verb}_{name}") or []:
            commit = commits.find_commit(
                world, item.get(id_name) or item.get("id"), contract.customer_id, credit=credit
            )
            if commit.contract_id != contract.id:
                raise missing("Credit" if credit else "Commit")
            found.append((commit, item))
    return found


def _remaining_overrides(contract: Contract, body: dict[str, Any]) -> list[dict[str, Any]]:
    gone = {item["id"] for item in body.get("remove_overrides") or []}
    if gone - {override["id"] for override in contract.overrides}:
        raise missing("Override")
    return [override for override in contract.overrides if override["id"] not in gone]


def _remember(world: World, request: Request, contract: Contract, made: list[Commit]) -> Edit:
    body = request.body
    detail: dict[str, Any] = {
        name: body[name]
        for name in (
            "archive_commits",
            "archive_credits",
            "remove_overrides",
            "update_contract_end_date",
            "update_contract_name",
            "add_prepaid_balance_threshold_configuration",
            "update_prepaid_balance_threshold_configuration",
        )
        if body.get(name) is not None
    }
    for name, id_name in (("update_commits", "commit_id"), ("update_credits", "credit_id")):
        if body.get(name):
            detail[name] = [{"id": item[id_name], **_without(item, id_name)} for item in body[name]]
    for name, credit in (("add_commits", False), ("add_credits", True)):
        shown = [
            commit_views.show(world, row, request.now) for row in made if row.is_credit == credit
        ]
        if shown:
            detail[name] = shown
    kept = Edit(
        id=world.new_id(),
        contract_id=contract.id,
        timestamp=request.now,
        detail=detail,
        uniqueness_key=body.get("uniqueness_key"),
    )
    world.store.edits.put(kept)
    world.take("contract_edit", kept.uniqueness_key, kept.id)
    return kept


def _without(item: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key != name}


def _show(kept: Edit) -> dict[str, Any]:
    shown = {"id": kept.id, "timestamp": kept.timestamp, **kept.detail}
    return shown | ({"uniqueness_key": kept.uniqueness_key} if kept.uniqueness_key else {})


def history(world: World, request: Request) -> Any:
    contract = request_contract(world, request)
    return {"data": [_show(row) for row in world.store.edits if row.contract_id == contract.id]}
