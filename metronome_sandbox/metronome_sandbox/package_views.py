"""How packages are shown, and which contracts were made of them."""

from typing import Any

from metronome_sandbox.catalog import show_unit, unit
from metronome_sandbox.packages import LISTS
from metronome_sandbox.records import CREATED_BY, USD_ID, Contract, Package
from metronome_sandbox.subscriptions import BEHAVIOR
from metronome_sandbox.wire import Request, find, invalid, page, present
from metronome_sandbox.world import World

PACKAGE_PAGE = 10
BY_TEMPLATE = {
    "commit_ids": "commit_template_ids",
    "recurring_commit_ids": "recurring_commit_template_ids",
    "any_commit_or_credit_ids": "any_commit_or_credit_template_ids",
}


def retrieve(world: World, request: Request) -> Any:
    return {"data": _show(world, find(world.store.packages, request.body["package_id"], "Package"))}


def list_(world: World, request: Request) -> Any:
    wanted = str(request.body.get("archive_filter") or "NOT_ARCHIVED").upper()
    rows = [
        row
        for row in world.store.packages
        if wanted == "ALL" or (row.archived_at is not None) == (wanted == "ARCHIVED")
    ]
    return page(
        request,
        rows,
        show=lambda row: _show(world, row),
        default=PACKAGE_PAGE,
        cap=world.settings.page_size,
    )


def list_contracts(world: World, request: Request) -> Any:
    body = request.body
    package = find(world.store.packages, body["package_id"], "Package")
    covering, since = body.get("covering_date"), body.get("starting_at")
    if covering and since:
        raise invalid("Give covering_date or starting_at, not both")
    rows = [
        row
        for row in world.store.contracts
        if row.extra.get("package_id") == package.id
        and (row.archived_at is None or body.get("include_archived"))
        and (not since or row.starting_at >= since)
        and (
            not covering
            or row.starting_at <= covering
            and (row.ending_before is None or covering < row.ending_before)
        )
    ]
    return page(request, rows, show=_summary, cap=world.settings.page_size)


def _summary(contract: Contract) -> dict[str, Any]:
    return present(
        {
            "customer_id": contract.customer_id,
            "contract_id": contract.id,
            "starting_at": contract.starting_at,
            "ending_before": contract.ending_before,
            "archived_at": contract.archived_at,
        }
    )


def _show(world: World, package: Package) -> dict[str, Any]:
    terms = package.terms
    ids = {
        item["temporary_id"]: item["id"]
        for name in LISTS
        for item in terms[name]
        if item.get("temporary_id")
    }
    schedule = {"frequency": "MONTHLY", "day": "FIRST_OF_MONTH"}
    schedule |= terms.get("usage_statement_schedule") or {}
    key = package.uniqueness_key
    shown = {
        **{name: value for name, value in terms.items() if name not in LISTS},
        "id": package.id,
        "name": package.name,
        "aliases": package.aliases,
        "created_at": package.created_at,
        "created_by": CREATED_BY,
        "archived_at": package.archived_at,
        "usage_statement_schedule": schedule,
        "scheduled_charges": [],
        "commits": [_template(world, one) for one in terms["commits"]],
        "credits": [{**_template(world, one), "type": "CREDIT"} for one in terms["credits"]],
        "recurring_commits": [_recurring(world, one) for one in terms["recurring_commits"]],
        "recurring_credits": [_recurring(world, one) for one in terms["recurring_credits"]],
        "overrides": [_override(world, one, ids) for one in terms["overrides"]],
        "subscriptions": [_subscription(world, one) for one in terms["subscriptions"]],
        # As was measured; the key itself is what may not be used again.
        "uniqueness_key": f"package:{key}" if key is not None else None,
    }
    return present(shown)


def _template(world: World, item: dict[str, Any]) -> dict[str, Any]:
    product = world.store.products[item["product_id"]]
    shown = {
        name: value for name, value in item.items() if name not in ("product_id", "temporary_id")
    }
    for name in ("access_schedule", "invoice_schedule"):
        if item.get(name):
            unit_id = unit(world, item[name].get("credit_type_id"), USD_ID)
            others = {key: value for key, value in item[name].items() if key != "credit_type_id"}
            shown[name] = {**others, "credit_type": show_unit(world, unit_id)}
    return {**shown, "product": {"id": product.id, "name": product.name}}


def _recurring(world: World, item: dict[str, Any]) -> dict[str, Any]:
    return {"rate_type": "LIST_RATE", "proration": "FIRST_AND_LAST", **_template(world, item)}


def _subscription(world: World, item: dict[str, Any]) -> dict[str, Any]:
    rate = item["subscription_rate"]
    product = world.store.products[rate["product_id"]]
    proration = {"is_prorated": False, "invoice_behavior": BEHAVIOR, **item["proration"]}
    return {
        **{name: value for name, value in item.items() if name != "temporary_id"},
        "proration": proration,
        "quantity_management_mode": "QUANTITY_ONLY",
        "subscription_rate": {
            "billing_frequency": rate["billing_frequency"],
            "product": {"id": product.id, "name": product.name},
        },
    }


def _override(world: World, item: dict[str, Any], ids: dict[str, str]) -> dict[str, Any]:
    shown = dict(item)
    if shown.get("tiers"):
        shown["override_tiers"] = shown.pop("tiers")
    shown["override_specifiers"] = [
        {
            BY_TEMPLATE.get(name, name): [ids.get(one, one) for one in value]
            if name in BY_TEMPLATE
            else value
            for name, value in specifier.items()
        }
        for specifier in item["override_specifiers"]
    ]
    rate = item.get("overwrite_rate")
    if rate and rate.get("credit_type_id"):
        others = {name: value for name, value in rate.items() if name != "credit_type_id"}
        shown["overwrite_rate"] = {
            **others,
            "credit_type": show_unit(world, rate["credit_type_id"]),
        }
    return shown
