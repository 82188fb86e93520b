"""What is sold: pricing units, billable metrics, products."""

from datetime import datetime
from typing import Any

from metronome_sandbox import fields
from metronome_sandbox.records import CREATED_BY, CreditType, Metric, Product
from metronome_sandbox.wire import (
    Request,
    find,
    invalid,
    on_the_hour,
    page,
    present,
    truth,
    unsupported,
)
from metronome_sandbox.world import World

MOST_PLACES = 20
STATE_FIELDS = (
    "name",
    "billable_metric_id",
    "composite_product_ids",
    "composite_tags",
    "exclude_free_usage",
    "include_composite_spend",
    "is_refundable",
    "netsuite_internal_item_id",
    "netsuite_overage_item_id",
    "presentation_group_key",
    "pricing_group_key",
    "quantity_conversion",
    "quantity_rounding",
    "tags",
)

# What null takes away in an update.
REMOVABLE = ("quantity_conversion", "quantity_rounding")

# Pricing units


def list_units(world: World, request: Request) -> Any:
    rows = [row for row in world.store.credit_types if row.archived_at is None]
    return page(request, rows, show=_show_unit, cap=world.settings.page_size)


def create_unit(world: World, request: Request) -> Any:
    name = request.body["name"]
    if any(row.name == name and row.archived_at is None for row in world.store.credit_types):
        raise invalid("A pricing unit with this name already exists")
    row = world.store.credit_types.put(CreditType(id=world.new_id(), name=name))
    return {"data": _show_unit(row)}


def archive_unit(world: World, request: Request) -> Any:
    row = find(world.store.credit_types, request.body["id"], "Pricing unit")
    if row.is_currency:
        raise invalid("A currency cannot be archived")
    row.archived_at = row.archived_at or request.now
    world.store.credit_types.put(row)
    return {"data": {"id": row.id}}


def unit(world: World, credit_type_id: str | None, default: str) -> str:
    """The id of an existing unit. Raises ApiError 400 or 404."""
    wanted = default if credit_type_id is None else credit_type_id
    return find(world.store.credit_types, wanted, "Credit type").id


def show_unit(world: World, credit_type_id: str) -> dict[str, str]:
    return {"id": credit_type_id, "name": world.store.credit_types[credit_type_id].name}


def _show_unit(row: CreditType) -> dict[str, Any]:
    return {"id": row.id, "name": row.name, "is_currency": row.is_currency}


# Billable metrics


def create_metric(world: World, request: Request) -> Any:
    body = request.body
    if body.get("sql"):
        raise unsupported("SQL metrics", "give aggregation_type and aggregation_key")
    kind = body.get("aggregation_type")
    if kind is None:
        raise invalid("aggregation_type is required")
    filters = body.get("property_filters") or []
    named = {rule["name"] for rule in filters}
    if kind != "COUNT" and not body.get("aggregation_key"):
        raise invalid(f"aggregation_key is required for {kind}")
    if body.get("aggregation_key") and body["aggregation_key"] not in named:
        raise invalid("The specified aggregation key must be one of the property filter names")
    if not named >= {key for keys in body.get("group_keys") or [] for key in keys}:
        raise invalid("The specified group keys must be among the property filter names")
    fields.check_keys(world, "billable_metric", body.get("custom_fields"))
    metric = Metric(
        id=world.new_id(),
        name=body["name"],
        created_at=request.now,
        aggregation_type=kind,
        aggregation_key=body.get("aggregation_key"),
        event_type_filter=body.get("event_type_filter"),
        property_filters=filters,
        group_keys=body.get("group_keys") or [],
        custom_fields=body.get("custom_fields") or {},
    )
    world.store.metrics.put(metric)
    world.metering.add_metric(metric)
    return {"data": {"id": metric.id}}


def retrieve_metric(world: World, request: Request) -> Any:
    return {"data": _show_metric(_metric(world, request.params["billable_metric_id"]))}


def list_metrics(world: World, request: Request) -> Any:
    archived = truth(request.query.get("include_archived"))
    rows = [row for row in world.store.metrics if archived or row.archived_at is None]
    return page(request, rows, show=_show_metric, cap=world.settings.page_size)


def update_metric(world: World, request: Request) -> Any:
    metric = _metric(world, request.params["billable_metric_id"])
    metric.name = request.body["name"]
    world.store.metrics.put(metric)
    return {"data": {"id": metric.id}}


def archive_metric(world: World, request: Request) -> Any:
    metric = _metric(world, request.body["id"])
    metric.archived_at = metric.archived_at or request.now
    world.store.metrics.put(metric)
    return {"data": {"id": metric.id}}


def _metric(world: World, metric_id: str) -> Metric:
    return find(world.store.metrics, metric_id, "Billable metric")


def _show_metric(metric: Metric) -> dict[str, Any]:
    return present(
        {
            "id": metric.id,
            "name": metric.name,
            "aggregation_type": metric.aggregation_type,
            "aggregation_key": metric.aggregation_key,
            "event_type_filter": metric.event_type_filter,
            "property_filters": metric.property_filters,
            "group_keys": metric.group_keys,
            "custom_fields": metric.custom_fields,
            "archived_at": metric.archived_at,
        }
    )


# Products


def create_product(world: World, request: Request) -> Any:
    body = request.body
    kind = "PRO_SERVICE" if body["type"] == "PROFESSIONAL_SERVICE" else body["type"]
    fields.check_keys(world, "contract_product", body.get("custom_fields"))
    _check_state(world, kind, body)
    state = {name: body[name] for name in STATE_FIELDS if body.get(name) is not None}
    state |= {"created_at": request.now, "created_by": CREATED_BY}
    product = Product(
        id=world.new_id(),
        type=kind,
        initial=state,
        current=state,
        created_at=request.now,
        custom_fields=body.get("custom_fields") or {},
    )
    world.store.products.put(product)
    return {"data": {"id": product.id}}


def _check_state(world: World, kind: str, body: dict[str, Any]) -> None:
    metric = None
    if kind == "USAGE":
        if not body.get("billable_metric_id"):
            raise invalid("billable_metric_id is required for a USAGE product")
        metric = _metric(world, body["billable_metric_id"])
    keys = [*(body.get("pricing_group_key") or []), *(body.get("presentation_group_key") or [])]
    if keys and (metric is None or not any(set(keys) <= set(group) for group in metric.group_keys)):
        raise invalid(
            "Pricing and presentation group keys must be "
            "together in one group key of the billable metric"
        )
    _check_quantity(kind, body)


def _check_quantity(kind: str, body: dict[str, Any]) -> None:
    for name in ("quantity_conversion", "quantity_rounding"):
        if body.get(name) and kind != "USAGE":
            raise invalid(f"{name} is only possible for a USAGE product")
    if (body.get("quantity_conversion") or {}).get("conversion_factor") == 0:
        raise invalid("quantity_conversion.conversion_factor must not be 0")
    places = (body.get("quantity_rounding") or {}).get("decimal_places", 0)
    if places < 0 or places != int(places) or places > MOST_PLACES:
        raise invalid(f"decimal_places must be a whole number from 0 to {MOST_PLACES}")


def retrieve_product(world: World, request: Request) -> Any:
    return {"data": _show_product(_product(world, request.body["id"]))}


def list_products(world: World, request: Request) -> Any:
    wanted = str(request.body.get("archive_filter") or "NOT_ARCHIVED").upper()
    rows = [
        row
        for row in world.store.products
        if wanted == "ALL" or (row.archived_at is not None) == (wanted == "ARCHIVED")
    ]
    return page(request, rows, show=_show_product, cap=world.settings.page_size)


def update_product(world: World, request: Request) -> Any:
    product = _product(world, request.body["product_id"])
    starting_at = on_the_hour(request.body["starting_at"], "Product update effective at")
    update = {
        name: request.body[name]
        for name in STATE_FIELDS
        if name in request.body and (request.body[name] is not None or name in REMOVABLE)
    }
    _check_state(world, product.type, {**product.current, **update})
    update |= {"starting_at": starting_at, "created_at": request.now, "created_by": CREATED_BY}
    product.updates = [*product.updates, update]
    world.store.products.put(product)
    world.schedule(max(starting_at, request.now), "product", product.id, str(len(product.updates)))
    return {"data": {"id": product.id}}


def apply_updates(world: World, product_id: str, at: datetime) -> None:
    """Bring a product's current state to the moment `at`."""
    product = world.store.products[product_id]
    product.current = product.at(at)
    world.store.products.put(product)
    world.ratings.clear()


def archive_product(world: World, request: Request) -> Any:
    product = _product(world, request.body["product_id"])
    product.archived_at = product.archived_at or request.now
    world.store.products.put(product)
    return {"data": {"id": product.id}}


def _product(world: World, product_id: Any) -> Product:
    return find(world.store.products, product_id, "Product")


def fixed_product(world: World, product_id: Any) -> Product:
    """Commits, credits and charges are sold as FIXED products. Raises ApiError 400 or 404."""
    product = _product(world, product_id)
    if product.type != "FIXED":
        raise invalid(f"Product {product_id} must be of type FIXED, it is {product.type}")
    if product.archived_at:
        raise invalid(f"Product {product_id} is archived")
    return product


def _show_product(product: Product) -> dict[str, Any]:
    return {
        "id": product.id,
        "type": product.type,
        "initial": product.initial,
        "current": product.current,
        "updates": product.updates,
        "custom_fields": product.custom_fields,
        "archived_at": product.archived_at,
    }
