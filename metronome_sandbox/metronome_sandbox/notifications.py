"""Words sent to the webhook destinations, and the configuration of system and offset notifications.

Two envelopes exist (https://docs.metronome.com/guides/platform-configuration/setup-webhooks):
alerts, payment gates and invoices come wrapped in `properties`; system and offset notifications are
flat.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from metronome_sandbox import periods
from metronome_sandbox.records import (
    CREATED_BY,
    Commit,
    Contract,
    Delivery,
    OffsetNotification,
    Segment,
    Switch,
)
from metronome_sandbox.wire import ApiError, Request, dump, find, invalid, page, stamp
from metronome_sandbox.world import World

ACTIONS = ("create", "edit", "archive")
SYSTEM_TYPES = (
    *(f"contract.{verb}" for verb in ("create", "start", "edit", "end", "archive")),
    *(
        f"{noun}.{verb}"
        for noun in ("commit", "credit")
        for verb in ("create", "edit", "archive", "segment.start", "segment.end")
    ),
)


def send(world: World, envelope: dict[str, Any], at: datetime) -> None:
    """Every notification goes to every destination, with the same id."""
    send_body(world, dump({"id": world.new_id(), **envelope}), at)


def send_body(world: World, body: str, at: datetime) -> list[Delivery]:
    """Where nobody listens, the notification is listed all the same."""
    if not world.webhooks:
        unsent = Delivery(id=world.new_id(), url="", body=body, created_at=at)
        unsent.note = "no destination"
        return [world.store.deliveries.put(unsent)]
    rows = [
        Delivery(id=world.new_id(), url=url, body=body, created_at=at, next_attempt_at=at)
        for url, _ in world.webhooks
    ]
    world.outbox.update({row.id: world.store.deliveries.put(row) for row in rows})
    return rows


def send_wrapped(world: World, type_: str, properties: dict[str, Any], at: datetime) -> None:
    send(world, {"properties": properties, "type": type_}, at)


@dataclass(frozen=True, slots=True)
class Happening:
    """One lifecycle event of a contract, commit or credit.

    `at` is the moment the notification is about."""

    type: str
    at: datetime
    owner_id: str
    detail: dict[str, Any]


def contract_happening(world: World, contract: Contract, verb: str, at: datetime) -> Happening:
    detail = {
        "customer_id": contract.customer_id,
        "customer_custom_fields": world.store.customers[contract.customer_id].custom_fields,
        "contract_id": contract.id,
        "contract_custom_fields": contract.custom_fields,
    }
    return Happening(f"contract.{verb}", at, contract.id, detail)


def commit_happening(
    world: World, commit: Commit, verb: str, at: datetime, segment: Segment | None = None
) -> Happening:
    noun = "credit" if commit.is_credit else "commit"
    contract = world.store.contracts.get(commit.contract_id or "")
    detail: dict[str, Any] = {
        "customer_id": commit.customer_id,
        "customer_custom_fields": world.store.customers[commit.customer_id].custom_fields,
        f"{noun}_id": commit.id,
        f"{noun}_custom_fields": commit.custom_fields,
        "contract_id": commit.contract_id,
        "contract_custom_fields": contract.custom_fields if contract else {},
        f"parent_recurring_{noun}_id": commit.recurring_id,
    }
    if segment is not None:
        ids = [one.id for one in commit.segments]
        detail |= {
            "segment_index": ids.index(segment.id),
            "segment_count": len(ids),
            "segment_id": segment.id,
        }
    return Happening(f"{noun}.{verb}", at, segment.id if segment else commit.id, detail)


def announce(world: World, happening: Happening, now: datetime) -> None:
    """Send the system notification, if this type is switched on,
    and plan the positive offsets of an action."""
    switch = world.store.switches.get(happening.type)
    if switch is not None and switch.value:
        send(world, _flat(world, happening), now)
    if happening.type.rpartition(".")[2] in ACTIONS:
        plan(world, happening, now)


def plan(world: World, happening: Happening, now: datetime) -> None:
    """Schedule the offset notifications of a happening. A moment already past never fires."""
    for config in world.store.offsets:
        _plan_one(world, config, happening, now)


def _plan_one(
    world: World, config: OffsetNotification, happening: Happening, now: datetime
) -> None:
    if config.type == happening.type and config.archived_at is None:
        at = periods.add_offset(happening.at, config.offset)
        if at > now:
            detail = f"{config.id} {config.offset} {stamp(happening.at)}"
            world.schedule(at, "offset", happening.owner_id, detail)


def fire_offset(world: World, owner_id: str, detail: str, at: datetime) -> None:
    """Send an offset notification, unless its configuration or moment changed meanwhile."""
    config_id, offset, base = detail.split(" ")
    config = world.store.offsets.get(config_id)
    if config is None or config.archived_at or config.offset != offset:
        return
    for happening in happenings(world, config.type, owner_id):
        if happening.owner_id == owner_id and stamp(happening.at) == base:
            extra = {"offset_id": config.id, "offset_duration": config.offset}
            send(world, _flat(world, happening) | extra, at)


def _flat(world: World, happening: Happening) -> dict[str, Any]:
    head = {
        "type": happening.type,
        "timestamp": happening.at,
        "environment_type": world.settings.environment_type,
    }
    return head | happening.detail


def happenings(world: World, type_: str, owner_id: str | None = None) -> Iterator[Happening]:
    """Every happening of a type there is, past or to come, of one owner or of all."""
    noun, _, verb = type_.partition(".")
    if noun == "contract":
        for contract in world.store.contracts:
            at = {
                "create": contract.created_at,
                "start": contract.starting_at,
                "end": contract.ending_before,
                "archive": contract.archived_at,
            }.get(verb)
            if (
                at is not None
                and owner_id in (None, contract.id)
                and (verb == "archive" or not contract.archived_at)
            ):
                yield contract_happening(world, contract, verb, at)
        return
    for commit in world.store.commits:
        if commit.is_credit != (noun == "credit"):
            continue
        if verb.startswith("segment.") and not commit.archived_at:
            for segment in commit.segments:
                at = segment.starting_at if verb == "segment.start" else segment.ending_before
                if owner_id in (None, segment.id):
                    yield commit_happening(world, commit, verb, at, segment)
        elif owner_id in (None, commit.id):
            at = {"create": commit.created_at, "archive": commit.archived_at}.get(verb)
            if at is not None:
                yield commit_happening(world, commit, verb, at)


def plan_contract(world: World, contract: Contract, now: datetime) -> None:
    """Schedule start and end of a contract.
    Past starts are announced at once, as Metronome does for a start today."""
    world.schedule(
        max(contract.starting_at, now), "contract.start", contract.id, stamp(contract.starting_at)
    )
    plan(world, contract_happening(world, contract, "start", contract.starting_at), now)
    plan_contract_end(world, contract, now)


def plan_contract_end(world: World, contract: Contract, now: datetime) -> None:
    if contract.ending_before is not None:
        world.schedule(
            max(contract.ending_before, now),
            "contract.end",
            contract.id,
            stamp(contract.ending_before),
        )
        plan(world, contract_happening(world, contract, "end", contract.ending_before), now)


def plan_segment(
    world: World, commit: Commit, segment: Segment, now: datetime, *, ends_only: bool = False
) -> None:
    for verb, at in (("start", segment.starting_at), ("end", segment.ending_before)):
        if verb == "start" and ends_only:
            continue
        world.schedule(max(at, now), f"segment.{verb}", segment.id, f"{commit.id} {stamp(at)}")
        plan(world, commit_happening(world, commit, f"segment.{verb}", at, segment), now)


# Configuration, /v2/notifications/*


def create(world: World, request: Request) -> Any:
    body = request.body
    policy = _check_policy(body["policy"])
    world.refuse_taken("notification", body.get("uniqueness_key"))
    config = OffsetNotification(
        id=world.new_id(),
        name=body["name"],
        type=policy["type"],
        offset=policy["offset"],
        created_at=request.now,
        uniqueness_key=body.get("uniqueness_key"),
    )
    world.store.offsets.put(config)
    world.take("notification", config.uniqueness_key, config.id)
    for happening in happenings(world, config.type):
        _plan_one(world, config, happening, request.now)
    return {"data": show(world, config)}


def retrieve(world: World, request: Request) -> Any:
    return {"data": show(world, _find(world, request.body["id"]))}


def edit(world: World, request: Request) -> Any:
    """Without an id: switch a system notification on or off. With one: change an offset."""
    body = request.body
    if body.get("id") is None:
        type_ = (body.get("policy") or {}).get("type")
        if type_ not in SYSTEM_TYPES:
            raise invalid(f"policy.type must be one of {', '.join(SYSTEM_TYPES)}")
        if not isinstance(body.get("is_enabled"), bool):
            raise invalid("is_enabled is required for a system notification")
        world.store.switches.put(Switch(id=type_, value=body["is_enabled"]))
        return {"data": _show_system(world, type_)}
    config = _find(world, body["id"])
    policy = _check_policy(body.get("policy") or {})
    if policy["type"] != config.type:
        raise invalid("The policy type of a notification cannot be changed")
    config.offset = policy["offset"]
    config.name = body.get("name") or config.name
    world.store.offsets.put(config)
    for happening in happenings(world, config.type):
        _plan_one(world, config, happening, request.now)
    return {"data": show(world, config)}


def archive(world: World, request: Request) -> Any:
    config = _find(world, request.body["id"])
    if config.archived_at is None:
        config.archived_at = request.now
        world.store.offsets.put(config)
    return {"data": show(world, config)}


def list_offsets(world: World, request: Request) -> Any:
    wanted = str(request.body.get("archive_filter") or "NOT_ARCHIVED").upper()
    rows = [
        row
        for row in world.store.offsets
        if wanted == "ALL" or (row.archived_at is not None) == (wanted == "ARCHIVED")
    ]
    return page(
        request,
        rows,
        show=lambda row: show(world, row),
        most=400,
        cap=world.settings.page_size,
        cursor="cursor",
    )


def list_system(world: World, request: Request) -> Any:
    return {"data": [_show_system(world, type_) for type_ in SYSTEM_TYPES], "cursor": None}


def _show_system(world: World, type_: str) -> dict[str, Any]:
    switch = world.store.switches.get(type_)
    return {
        "type": "SYSTEM_LIFECYCLE_EVENT",
        "policy": {"type": type_},
        "is_enabled": bool(switch and switch.value),
        "environment_type": world.settings.environment_type,
    }


def _check_policy(policy: dict[str, Any]) -> dict[str, str]:
    type_, offset = policy.get("type"), policy.get("offset")
    if type_ not in SYSTEM_TYPES:
        raise invalid(f"policy.type must be one of {', '.join(SYSTEM_TYPES)}")
    try:
        periods.add_offset(datetime(2024, 1, 1), str(offset))
    except ValueError as error:
        raise invalid(f"policy.offset: {error}") from None
    if str(offset).startswith("-") and type_.rpartition(".")[2] in ACTIONS:
        raise invalid(f"A negative offset is not possible for {type_}")
    return {"type": type_, "offset": str(offset)}


def show(world: World, config: OffsetNotification) -> dict[str, Any]:
    return {
        "id": config.id,
        "name": config.name,
        "type": "OFFSET_LIFECYCLE_EVENT",
        "policy": {"type": config.type, "offset": config.offset},
        "environment_type": world.settings.environment_type,
        "created_at": config.created_at,
        "created_by": CREATED_BY,
        "archived_at": config.archived_at,
    }


def _find(world: World, config_id: str) -> OffsetNotification:
    try:
        return find(world.store.offsets, config_id, "Notification configuration")
    except ApiError as error:
        if error.status == 404:
            error.code = "NotificationConfigNotFound"
        raise
