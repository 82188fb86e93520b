"""How customers are billed: their configurations of Stripe or a marketplace, and a contract's.

Nothing is sent to a provider; the gate STRIPE needs to know that there is one.
"""

from typing import Any

from metronome_sandbox.records import BillingConfiguration, Customer
from metronome_sandbox.wire import ApiError, Request, find, invalid, present
from metronome_sandbox.world import World


def set_configurations(world: World, request: Request) -> Any:
    for item in request.body["data"]:
        _customer(world, item["customer_id"])
    rows = [
        add(world, _customer(world, item["customer_id"]), item) for item in request.body["data"]
    ]
    return {"data": [show(row) for row in rows]}


def get_configurations(world: World, request: Request) -> Any:
    rows = [
        row
        for row in world.store.billing_configurations.of_customer(request.body["customer_id"])
        if request.body.get("include_archived") or row.archived_at is None
    ]
    return {"data": [show(row) for row in rows]}


def archive_configurations(world: World, request: Request) -> Any:
    """Recharges through the provider cannot work without it,
    so the threshold configurations are switched off."""
    customer = _customer(world, request.body["customer_id"])
    wanted = set(request.body["customer_billing_provider_configuration_ids"])
    rows = [
        row
        for row in world.store.billing_configurations.of_customer(customer.id)
        if row.id in wanted
    ]
    if {row.id for row in rows} != wanted:
        raise ApiError(404, "Billing provider configuration not found")
    for row in rows:
        row.archived_at = row.archived_at or request.now
        world.store.billing_configurations.put(row)
    for contract in world.store.contracts.of_customer(customer.id):
        if contract.threshold:
            contract.threshold = {**contract.threshold, "is_enabled": False}
        if contract.spend_threshold:
            contract.spend_threshold = {**contract.spend_threshold, "is_enabled": False}
        world.store.contracts.put(contract)
    return {
        "data": {
            "customer_id": customer.id,
            "customer_billing_provider_configuration_ids": sorted(wanted),
        }
    }


def add(world: World, customer: Customer, item: dict[str, Any]) -> BillingConfiguration:
    detail = {
        "billing_provider": item.get("billing_provider"),
        "configuration": item.get("configuration") or {},
        "delivery_method": item.get("delivery_method") or "direct_to_billing_provider",
        "delivery_method_id": item.get("delivery_method_id") or world.new_id(),
        "delivery_method_configuration": {},
        "tax_provider": item.get("tax_provider"),
    }
    row = BillingConfiguration(id=world.new_id(), customer_id=customer.id, detail=detail)
    return world.store.billing_configurations.put(row)


def show(row: BillingConfiguration) -> dict[str, Any]:
    return {
        **present(row.detail),
        "id": row.id,
        "customer_id": row.customer_id,
        "archived_at": row.archived_at,
    }


def _customer(world: World, customer_id: str) -> Customer:
    return find(world.store.customers, customer_id, "Customer")


def chosen(world: World, customer_id: str, wanted: dict[str, Any] | None) -> str | None:
    """The id of the customer's configuration that a contract names: by its id, or by what only it
    is. Raises ApiError 400."""
    if not wanted:
        return None
    rows = [
        row
        for row in world.store.billing_configurations.of_customer(customer_id)
        if row.archived_at is None
    ]
    row_id = wanted.get("billing_provider_configuration_id")
    if row_id is not None and len(wanted) > 1:
        raise invalid("Give billing_provider_configuration_id, or what it is, not both")
    found = [
        row
        for row in rows
        if (
            row.id == str(row_id).lower()
            if row_id is not None
            else all(row.detail.get(name) == value for name, value in wanted.items())
        )
    ]
    if not found:
        raise invalid("The customer has no such billing provider configuration")
    if len(found) > 1:
        raise invalid(
            "The customer has several such billing provider configurations: "
            "give billing_provider_configuration_id"
        )
    return found[0].id


def of_contract(world: World, configuration_id: str | None) -> dict[str, Any] | None:
    row = world.store.billing_configurations.get(configuration_id or "")
    return show(row) if row is not None else None
