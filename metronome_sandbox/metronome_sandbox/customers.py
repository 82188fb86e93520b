"""Customers and their ingest aliases."""

from typing import Any

from metronome_sandbox import billing_providers, fields
from metronome_sandbox.endings import archive_contract
from metronome_sandbox.invoices import void_invoice
from metronome_sandbox.records import Customer
from metronome_sandbox.wire import ApiError, Request, find, invalid, page, truth
from metronome_sandbox.world import World

MOST_ALIASES = 2000
LONGEST_ALIAS = 128
LONGEST_NAME = 160


def create(world: World, request: Request) -> Any:
    body = request.body
    aliases = body.get("ingest_aliases") or (
        [body["external_id"]] if body.get("external_id") else []
    )
    _check_aliases(aliases)
    if any(alias in world.customer_by_alias for alias in aliases):
        raise ApiError(409, "A customer with this ID already exists")
    fields.check_keys(world, "customer", body.get("custom_fields"))
    customer = Customer(
        id=world.new_id(),
        name=body["name"][:LONGEST_NAME],
        created_at=request.now,
        updated_at=request.now,
        custom_fields=body.get("custom_fields") or {},
    )
    world.store.customers.put(customer)
    world.set_aliases(customer, aliases)
    for item in body.get("customer_billing_provider_configurations") or []:
        billing_providers.add(world, customer, item)
    world.schedule_evaluation(customer.id, request.now)
    shown = _show(customer)
    return {
        "data": {
            key: shown[key]
            for key in ("id", "external_id", "ingest_aliases", "name", "custom_fields")
        }
    }


def retrieve(world: World, request: Request) -> Any:
    return {"data": _show(_find(world, request.params["customer_id"]))}


def list_(world: World, request: Request) -> Any:
    query = request.query
    rows = list(world.store.customers)
    if query.get("ingest_alias"):
        owner = world.customer_by_alias.get(query["ingest_alias"])
        rows = [row for row in rows if row.id == owner]
    if query.get("customer_ids"):
        wanted = set(query["customer_ids"].split(","))
        rows = [row for row in rows if row.id in wanted]
    if query.get("salesforce_account_ids"):
        accounts = set(query["salesforce_account_ids"].split(","))
        rows = [row for row in rows if row.salesforce_account_id in accounts]
    archived = truth(query.get("only_archived"))
    rows = [row for row in rows if (row.archived_at is not None) == archived]
    return page(request, rows, show=_show, cap=world.settings.page_size)


def set_ingest_aliases(world: World, request: Request) -> Any:
    """Replaces the set. An alias another customer has moves here with its usage."""
    customer = _find(world, request.params["customer_id"])
    aliases = request.body["ingest_aliases"]
    _check_aliases(aliases)
    losers = {
        world.customer_by_alias[alias] for alias in aliases if alias in world.customer_by_alias
    } - {customer.id}
    for loser_id in losers:
        loser = world.store.customers[loser_id]
        world.set_aliases(loser, [alias for alias in loser.ingest_aliases if alias not in aliases])
        _touched(world, loser, request)
    world.set_aliases(customer, aliases)
    _touched(world, customer, request)
    return None


def set_name(world: World, request: Request) -> Any:
    customer = _find(world, request.params["customer_id"])
    customer.name = request.body["name"][:LONGEST_NAME]
    _touched(world, customer, request)
    return {"data": _show(customer)}


def update_config(world: World, request: Request) -> Any:
    customer = _find(world, request.params["customer_id"])
    if "salesforce_account_id" in request.body:
        customer.salesforce_account_id = request.body["salesforce_account_id"]
    _touched(world, customer, request)
    return None


def archive(world: World, request: Request) -> Any:
    """Contracts are archived and invoices voided; the aliases stay taken."""
    customer = _find(world, request.body["id"])
    if customer.archived_at is not None:
        raise invalid("Customer is already archived")
    for contract in world.store.contracts.of_customer(customer.id):
        if contract.archived_at is None:
            archive_contract(world, contract, request.now, void_invoices=True)
    for invoice in world.store.invoices.of_customer(customer.id):
        if invoice.status != "VOID":
            void_invoice(world, invoice, request.now)
    customer.archived_at = request.now
    _touched(world, customer, request)
    return {"data": {"id": customer.id}}


def list_metrics(world: World, request: Request) -> Any:
    _find(world, request.params["customer_id"])
    archived = truth(request.query.get("include_archived"))
    from_catalog = [row for row in world.store.metrics if archived or row.archived_at is None]
    return page(
        request,
        from_catalog,
        show=lambda row: {"id": row.id, "name": row.name},
        cap=world.settings.page_size,
    )


def _touched(world: World, customer: Customer, request: Request) -> None:
    customer.updated_at = request.now
    world.store.customers.put(customer)
    world.changed(customer.id)
    world.schedule_evaluation(customer.id, request.now)


def _find(world: World, customer_id: str) -> Customer:
    return find(world.store.customers, customer_id, "Customer")


def _check_aliases(aliases: list[str]) -> None:
    if len(aliases) > MOST_ALIASES:
        raise invalid(f"A customer can have at most {MOST_ALIASES} ingest aliases")
    if any(not 1 <= len(alias) <= LONGEST_ALIAS for alias in aliases):
        raise invalid(f"An ingest alias must have 1 to {LONGEST_ALIAS} characters")


def _show(customer: Customer) -> dict[str, Any]:
    aliases = customer.ingest_aliases
    return {
        "id": customer.id,
        "external_id": aliases[0] if aliases else customer.id,
        "ingest_aliases": aliases,
        "name": customer.name,
        "custom_fields": customer.custom_fields,
        "customer_config": {"salesforce_account_id": customer.salesforce_account_id},
        "created_at": customer.created_at,
        "updated_at": customer.updated_at,
        "archived_at": customer.archived_at,
        "current_billable_status": {"value": "billable", "effective_at": None},
    }
