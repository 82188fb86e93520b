"""Packages: terms that many contracts share, in times relative to the start of each.

A contract that is made from a package is made of an ordinary call with the times worked out, so it
is checked and behaves as any other. Packages cannot be changed.
"""

from datetime import datetime
from typing import Any

from metronome_sandbox import contracts, not_emulated, periods, ratecards
from metronome_sandbox.records import Package
from metronome_sandbox.wire import ApiError, Request, find, invalid
from metronome_sandbox.world import World

LISTS = (
    "commits",
    "credits",
    "recurring_commits",
    "recurring_credits",
    "overrides",
    "subscriptions",
)
AS_THEY_ARE = (
    "multiplier_override_prioritization",
    "net_payment_terms_days",
    "prepaid_balance_threshold_configuration",
    "rate_card_alias",
    "rate_card_id",
    "scheduled_charges_on_usage_invoices",
    "spend_threshold_configuration",
)
# What may be said of a contract beside its package.
BESIDE = {
    "custom_fields",
    "customer_id",
    "package_alias",
    "package_id",
    "starting_at",
    "transition",
    "uniqueness_key",
}


def create(world: World, request: Request) -> Any:
    body, now = request.body, request.now
    contracts.refuse_unsupported(body, not_emulated.OF_PACKAGES, of="packages")
    contracts.refuse_unsupported(
        body.get("usage_statement_schedule") or {},
        {"invoice_generation_starting_at_offset": "invoices begin with the contract"},
        of="packages",
    )
    if body.get("rate_card_id") and body.get("rate_card_alias"):
        raise invalid("Give rate_card_id or rate_card_alias, not both")
    world.refuse_taken("package", body.get("uniqueness_key"))
    package = Package(
        id=world.new_id(),
        name=body["name"],
        created_at=now,
        terms={
            **{name: value for name, value in body.items() if name not in ("name", "aliases")},
            **{name: [_with_ids(world, one) for one in body.get(name) or []] for name in LISTS},
        },
        aliases=body.get("aliases") or [],
        uniqueness_key=body.get("uniqueness_key"),
    )
    _check(world, package, now)
    for alias in package.aliases:
        _take_alias(world, alias)
    world.store.packages.put(package)
    world.take("package", package.uniqueness_key, package.id)
    return {"data": {"id": package.id}}


def _with_ids(world: World, item: dict[str, Any]) -> dict[str, Any]:
    """A commit, credit or override with ids for itself and the items of its schedules."""
    named = {**item, "id": world.new_id()}
    for name in ("access_schedule", "invoice_schedule"):
        if item.get(name):
            items = [{**one, "id": world.new_id()} for one in item[name]["schedule_items"]]
            named[name] = {**item[name], "schedule_items": items}
    return named


def _check(world: World, package: Package, now: datetime) -> None:
    """Whether a contract could be made of the package now. Raises ApiError."""
    start = periods.floor_hour(now)
    if package.terms.get("rate_card_alias"):
        try:
            ratecards.card_by_alias(world, package.terms["rate_card_alias"], start)
        except ApiError:  # the alias may be of a later time, and terms cannot be checked without
            return
    body = _body(package, {"customer_id": "", "starting_at": start})
    contracts.draft(world, body, now)


def _take_alias(world: World, alias: dict[str, Any]) -> None:
    """An alias names one package at a time: whose it was loses it from the new one's start on."""
    start = alias.get("starting_at")
    for package in world.store.packages:
        kept = []
        for old in package.aliases:
            if old["name"] == alias["name"]:
                began = old.get("starting_at")
                if start is None or (began is not None and began >= start):
                    continue
                ends = old.get("ending_before")
                old = {**old, "ending_before": min(ends, start) if ends else start}
            kept.append(old)
        if kept != package.aliases:
            package.aliases = kept
            world.store.packages.put(package)


def contract_body(world: World, body: dict[str, Any]) -> dict[str, Any]:
    """The body of a call that makes a contract, with the terms of its package if it names one.
    Raises ApiError."""
    package_id, alias = body.get("package_id"), body.get("package_alias")
    if package_id is None and alias is None:
        return body
    if package_id is not None and alias is not None:
        raise invalid("Give package_id or package_alias, not both")
    others = sorted(name for name in body if name not in BESIDE and body[name] is not None)
    if others:
        raise invalid(f"A contract on a package cannot have other terms: {', '.join(others)}")
    package = (
        find(world.store.packages, package_id, "Package")
        if package_id is not None
        else _by_alias(world, str(alias), body["starting_at"])
    )
    if package.archived_at is not None:
        raise invalid("The package is archived")
    given = {name: value for name, value in body.items() if name != "package_alias"}
    return _body(package, {**given, "package_id": package.id})


def _by_alias(world: World, name: str, at: datetime) -> Package:
    for package in world.store.packages:
        for alias in package.aliases:
            starts, ends = alias.get("starting_at"), alias.get("ending_before")
            if alias["name"] == name and (not starts or starts <= at) and (not ends or at < ends):
                return package
    raise invalid(f"No package has the alias {name}")


def _body(package: Package, given: dict[str, Any]) -> dict[str, Any]:
    start, terms = given["starting_at"], package.terms
    made: dict[str, Any] = {name: terms[name] for name in AS_THEY_ARE if terms.get(name)}
    made |= {name: [_dated(one, start) for one in terms[name]] for name in LISTS}
    for schedule in ("usage_statement_schedule",):
        if terms.get(schedule):
            made[schedule] = terms[schedule]
    if terms.get("contract_name"):
        made["name"] = terms["contract_name"]
    if terms.get("duration"):
        made["ending_before"] = _after(start, terms["duration"])
    return made | given


def _dated(item: dict[str, Any], start: datetime) -> dict[str, Any]:
    """A term with the times of a contract that starts then."""
    made = {name: value for name, value in item.items() if name not in ("id", *_RELATIVE)}
    if "date_offset" in item:
        made["timestamp"] = _after(start, item["date_offset"])
    if "starting_at_offset" in item:
        made["starting_at"] = _after(start, item["starting_at_offset"])
    if "duration" in item:
        made["ending_before"] = _after(made.get("starting_at", start), item["duration"])
    for name in ("access_schedule", "invoice_schedule"):
        if item.get(name):
            items = [_dated(one, start) for one in item[name]["schedule_items"]]
            made[name] = {**item[name], "schedule_items": items}
    return made


_RELATIVE = ("date_offset", "duration", "starting_at_offset")


def _after(at: datetime, length: dict[str, Any]) -> datetime:
    """The months of a length are calendar months."""
    if int(length["value"]) < 0:
        raise invalid("A relative date must not be negative")
    try:
        return periods.add_duration(at, length["unit"], int(length["value"]))
    except (OverflowError, ValueError):
        raise invalid("A relative date is too long") from None


def archive(world: World, request: Request) -> Any:
    """Contracts made of it stay as they are. A second time is 422, as was measured."""
    package = find(world.store.packages, request.body["package_id"], "Package")
    if package.archived_at is not None:
        raise ApiError(422, "The package is already archived")
    package.archived_at = request.now
    world.store.packages.put(package)
    return {"data": {"id": package.id}}
