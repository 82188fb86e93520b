"""Custom fields: keys declared per kind of object, values on objects."""

from collections.abc import Callable
from typing import Any

from metronome_sandbox.records import CustomFieldKey
from metronome_sandbox.wire import ApiError, Request, find, invalid, missing, unsupported
from metronome_sandbox.world import World

LONGEST_VALUE = 200

# The store's table of each kind of object whose custom fields can be set after it was made.
TABLES: dict[str, Callable[[World], Any]] = {
    "customer": lambda world: world.store.customers,
    "contract": lambda world: world.store.contracts,
    "commit": lambda world: world.store.commits,
    "contract_credit": lambda world: world.store.commits,
    "contract_product": lambda world: world.store.products,
    "rate_card": lambda world: world.store.rate_cards,
    "subscription": lambda world: world.store.subscriptions,
    "billable_metric": lambda world: world.store.metrics,
}


def check_keys(world: World, entity: str, values: dict[str, str] | None) -> None:
    """A key must be declared before it is used. Raises ApiError 400."""
    for key, value in (values or {}).items():
        if f"{entity}:{key}" not in world.store.field_keys:
            raise invalid(f"Custom field key {key} does not exist for {entity}")
        if len(value) > LONGEST_VALUE:
            raise invalid(f"A custom field value can have at most {LONGEST_VALUE} characters")


def add_key(world: World, request: Request) -> Any:
    entity, key = request.body["entity"], request.body["key"]
    if f"{entity}:{key}" in world.store.field_keys:
        raise invalid("Duplicate custom field key")
    row = CustomFieldKey(
        id=f"{entity}:{key}",
        entity=entity,
        key=key,
        enforce_uniqueness=bool(request.body.get("enforce_uniqueness")),
    )
    world.store.field_keys.put(row)
    return None


def remove_key(world: World, request: Request) -> Any:
    row_id = f"{request.body['entity']}:{request.body['key']}"
    if row_id not in world.store.field_keys:
        raise missing("Custom field key")
    world.store.field_keys.remove(row_id)
    return None


def list_keys(world: World, request: Request) -> Any:
    wanted = request.body.get("entities")
    return {
        "data": [
            {"entity": row.entity, "key": row.key, "enforce_uniqueness": row.enforce_uniqueness}
            for row in world.store.field_keys
            if not wanted or row.entity in wanted
        ],
        "next_page": None,
    }


def set_values(world: World, request: Request) -> Any:
    entity, values = request.body["entity"], request.body["custom_fields"]
    table, row = _find(world, request)
    check_keys(world, entity, values)
    for key, value in values.items():
        if world.store.field_keys[f"{entity}:{key}"].enforce_uniqueness and any(
            other.id != row.id and other.custom_fields.get(key) == value for other in table
        ):
            raise ApiError(409, f"The value of the custom field {key} is taken")
    row.custom_fields = {**row.custom_fields, **values}
    table.put(row)
    return None


def delete_values(world: World, request: Request) -> Any:
    table, row = _find(world, request)
    row.custom_fields = {
        key: value for key, value in row.custom_fields.items() if key not in request.body["keys"]
    }
    table.put(row)
    return None


def _find(world: World, request: Request) -> tuple[Any, Any]:
    entity = request.body["entity"]
    if entity not in TABLES:
        raise unsupported(f"custom fields of {entity}", f"there are those of {', '.join(TABLES)}")
    table = TABLES[entity](world)
    return table, find(table, request.body["entity_id"], entity)
