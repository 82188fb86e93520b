"""POST /v2/contracts/edit: everything is checked first, then applied.

Each edit is kept in the contract's history."""

from datetime import datetime
from typing import Any

from metronome_sandbox import (
    commit_views,
    commits,
    endings,
    gated_commits,
    not_emulated,
    notifications,
    overrides,
    recharge_terms,
    recurring,
    spend_thresholds,
    subscription_views,
    subscriptions,
    thresholds,
)
from metronome_sandbox.contract_views import request_contract
from metronome_sandbox.contracts import add_parts, build_parts, made_ids, refuse_unsupported
from metronome_sandbox.records import Commit, Contract, Edit, Recurring, Subscription
from metronome_sandbox.wire import Request, invalid, missing
from metronome_sandbox.world import World

PREPAID_THRESHOLD = (
    "add_prepaid_balance_threshold_configuration",
    "update_prepaid_balance_threshold_configuration",
)
SPEND_THRESHOLD = ("add_spend_threshold_configuration", "update_spend_threshold_configuration")


def edit(world: World, request: Request) -> Any:
    body, now = request.body, request.now
    refuse_unsupported(body, not_emulated.OF_EDITS)
    contract = request_contract(world, request)
    if contract.archived_at is not None:
        raise invalid("The contract is archived")
    world.refuse_taken("contract_edit", body.get("uniqueness_key"))
    end = body.get("update_contract_end_date", contract.ending_before)
    made, templates, subscribed = build_parts(world, contract, body, now, prefix="add_", end=end)
    named = made_ids(body, made, templates, prefix="add_")
    added = overrides.build(world, body.get("add_overrides") or [], contract, now, named)
    changed = _thresholds(world, contract, body, now)
    remaining = _remaining_overrides(contract, body)
    changes = [
        commits.prepare(world, *found) for found in _commits(world, contract, body, "update")
    ]
    archived = _commits(world, contract, body, "archive")
    ends = [
        (recurring.editable(world, contract, item), item)
        for name in ("update_recurring_commits", "update_recurring_credits")
        for item in body.get(name) or []
    ]
    subscription_changes = _subscription_changes(world, contract, body, end, now)
    if "update_contract_end_date" in body:
        allow = body.get("allow_contract_ending_before_finalized_invoice") is not False
        endings.check_end(world, contract, body["update_contract_end_date"], allow)

    there = gated_commits.charge(world, body.get("add_commits") or [], made, now)
    if "update_contract_end_date" in body:
        endings.set_end(world, contract, body["update_contract_end_date"], now)
    for template, item in ends:
        recurring.end(world, template, item.get("ending_before"), now)
    for change in changes:
        commits.apply(world, change, now)
    for commit, _ in archived:
        commits.archive(world, commit, now)
    add_parts(world, there, templates, subscribed, now=now)
    for subscription, item in subscription_changes:
        subscriptions.update(world, subscription, item, now)
    contract.overrides = remaining + added
    _set_named(contract, body)
    for is_spend, config in changed.items():
        _set_threshold(world, contract, config, is_spend=is_spend)
    world.store.contracts.put(contract)
    notifications.announce(
        world, notifications.contract_happening(world, contract, "edit", now), now
    )
    world.changed(contract.customer_id)
    # A new or changed threshold configuration is evaluated at once, anything else at the usual
    # pace.
    if changed:
        world.schedule(now, "evaluate", contract.customer_id)
    world.schedule_evaluation(contract.customer_id, now)
    kept = _remember(world, request, contract, made, templates, subscribed, added)
    return {"data": {"id": contract.id, "edit": _show(kept)}}


def _set_named(contract: Contract, body: dict[str, Any]) -> None:
    """What has no rules: the contract's name and its payment terms."""
    if "update_contract_name" in body:
        contract.name = body["update_contract_name"]
    if "update_net_payment_terms_days" in body:
        days = body["update_net_payment_terms_days"]
        contract.extra = {**contract.extra, "net_payment_terms_days": days}


def _thresholds(
    world: World, contract: Contract, body: dict[str, Any], now: datetime
) -> dict[bool, dict[str, Any]]:
    """The new configurations of thresholds, of the balance (False) and of spend (True)."""
    found: dict[bool, dict[str, Any]] = {}
    for is_spend, names, known, checked in (
        (False, PREPAID_THRESHOLD, contract.threshold, thresholds.checked),
        (True, SPEND_THRESHOLD, contract.spend_threshold, spend_thresholds.checked),
    ):
        added, changed = body.get(names[0]), body.get(names[1])
        kind = "spend" if is_spend else "prepaid balance"
        if added is None and changed is None:
            continue
        recharge_terms.refuse_early(contract, now)
        if added is not None and changed is not None:
            raise invalid(f"Add a {kind} threshold configuration or update it, not both")
        if added is not None and known is not None:
            raise invalid(f"The contract has a {kind} threshold configuration: update it")
        if changed is not None:
            if known is None:
                raise invalid(f"The contract has no {kind} threshold configuration: add one")
            added = thresholds.merged(known, changed)
        assert added is not None
        found[is_spend] = checked(world, contract, added)
    return found


def _set_threshold(
    world: World, contract: Contract, config: dict[str, Any], *, is_spend: bool
) -> None:
    if is_spend:
        contract.spend_threshold = config
    else:
        contract.threshold = config
        contract.crossed_at_event = -1
    if not config["is_enabled"]:
        # Undocumented; without it a charge whose webhook was lost would keep the next one away
        # for ever.
        for workflow in thresholds.open_workflows(world, contract):
            if workflow.is_spend == is_spend:
                thresholds.cancel(world, workflow)


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


def _subscription_changes(
    world: World, contract: Contract, body: dict[str, Any], end: datetime | None, now: datetime
) -> list[tuple[Subscription, dict[str, Any]]]:
    items = body.get("update_subscriptions") or []
    found = [(subscriptions.editable(world, contract, item, end, now), item) for item in items]
    if len({subscription.id for subscription, _ in found}) < len(found):
        raise invalid("update_subscriptions names a subscription twice")
    return found


def _remaining_overrides(contract: Contract, body: dict[str, Any]) -> list[dict[str, Any]]:
    gone = {item["id"] for item in body.get("remove_overrides") or []}
    if gone - {override["id"] for override in contract.overrides}:
        raise missing("Override")
    return [override for override in contract.overrides if override["id"] not in gone]


def _remember(
    world: World,
    request: Request,
    contract: Contract,
    made: list[Commit],
    templates: list[Recurring],
    subscribed: list[Subscription],
    added: list[dict[str, Any]],
) -> Edit:
    body = request.body
    detail = _asked(body)
    if subscribed:
        detail["add_subscriptions"] = [
            subscription_views.show(world, row, request.now) for row in subscribed
        ]
    for name, credit in (("add_commits", False), ("add_credits", True)):
        shown = [
            commit_views.show(world, row, request.now) for row in made if row.is_credit == credit
        ]
        if shown:
            detail[name] = shown
    if added:
        detail["add_overrides"] = [overrides.show(world, one) for one in added]
    for kind in ("commits", "credits"):
        own = [row for row in templates if (row.type == "CREDIT") == (kind == "credits")]
        if own:
            detail[f"add_recurring_{kind}"] = [recurring.show(world, row) for row in own]
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


def _asked(body: dict[str, Any]) -> dict[str, Any]:
    """What an edit changed and took away, as it was asked for."""
    detail: dict[str, Any] = {
        name: body[name]
        for name in (
            "archive_commits",
            "archive_credits",
            "remove_overrides",
            "update_contract_end_date",
            "update_contract_name",
        )
        if body.get(name) is not None
    }
    for kind in ("commit", "credit", "recurring_commit", "recurring_credit", "subscription"):
        name, id_name = f"update_{kind}s", f"{kind}_id"
        if body.get(name):
            detail[name] = [{"id": item[id_name], **_without(item, id_name)} for item in body[name]]
    for name in (*PREPAID_THRESHOLD, *SPEND_THRESHOLD):
        if body.get(name) is not None:
            detail[name] = recharge_terms.show(body[name])
    return detail


def _without(item: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key != name}


def _show(kept: Edit) -> dict[str, Any]:
    shown = {"id": kept.id, "timestamp": kept.timestamp, **kept.detail}
    return shown | ({"uniqueness_key": kept.uniqueness_key} if kept.uniqueness_key else {})


def history(world: World, request: Request) -> Any:
    contract = request_contract(world, request)
    return {"data": [_show(row) for row in world.store.edits if row.contract_id == contract.id]}
