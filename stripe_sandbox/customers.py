"""Customers."""

from typing import Any

from stripe_sandbox import lists, payment_methods, search
from stripe_sandbox.find import customer, find
from stripe_sandbox.metadata import merged
from stripe_sandbox.records import Resource
from stripe_sandbox.wire import Request, refused, unix
from stripe_sandbox.world import World

PLAIN = ("description", "email", "name", "phone", "business_name", "individual_name")


def create(world: World, request: Request) -> Resource:
    given = request.given
    new_id = world.new_id("cus", 14)
    body: dict[str, Any] = {
        "id": new_id,
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": unix(request.now),
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": world.letters(8).upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": request.livemode,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }
    row = Resource(id=new_id, body=body, hidden={"tax_ids": []})
    row.body |= _changes(world, row, given, request)
    method = None
    if "payment_method" in given:
        method = payment_methods.resolve(world, given["payment_method"], request, "payment_method")
        payment_methods.check_usable(method, new_id, "Customer")
        saving = payment_methods.card_of(method).saving
        if saving is not None:
            raise saving.error()
    world.store.customers.put(row)
    for item in given.get("tax_id_data") or []:
        add_tax_id(world, row, item["type"], item["value"])
    world.emit("customer.created", row)
    if method is not None:
        payment_methods.tie(world, method, new_id)
    return row


def add_tax_id(world: World, row: Resource, kind: str, value: str) -> None:
    """Kept with the customer, shown as its `tax_ids` where that is expanded."""
    country = value[:2].upper() if kind == "eu_vat" else kind[:2].upper()
    row.hidden["tax_ids"].append(
        {
            "id": world.new_id("txi"),
            "object": "tax_id",
            "country": country,
            "created": unix(world.clock.now()),
            "customer": row.id,
            "customer_account": None,
            "livemode": row["livemode"],
            "owner": {"customer": row.id, "customer_account": None, "type": "customer"},
            "type": kind,
            "value": value,
            "verification": {
                "status": "verified",
                "verified_address": None,
                "verified_name": None,
            },
        }
    )
    world.store.customers.put(row)


def _changes(
    world: World, row: Resource, given: dict[str, Any], request: Request
) -> dict[str, Any]:
    """The fields of the body that the parameters change."""
    changes: dict[str, Any] = {name: given[name] or None for name in PLAIN if name in given}
    email = changes.get("email")
    if email is not None and "@" not in email[1:-1]:
        raise refused(f"Invalid email address: {email}", "email_invalid", "email")
    if "address" in given:
        address = given["address"]
        changes["address"] = (
            payment_methods.NO_ADDRESS | {name: part or None for name, part in address.items()}
            if address
            else None
        )
    for name in ("preferred_locales", "tax_exempt", "shipping"):
        if name in given:
            changes[name] = given[name] or ("none" if name == "tax_exempt" else None)
    if "metadata" in given:
        changes["metadata"] = merged(row["metadata"], given["metadata"])
    if "invoice_settings" in given:
        settings = dict(row["invoice_settings"])
        default = given["invoice_settings"].get("default_payment_method")
        if default is not None:
            settings["default_payment_method"] = _default(world, row, default, request)
        changes["invoice_settings"] = settings
    return changes


def _default(world: World, row: Resource, method_id: str, request: Request) -> str | None:
    if method_id == "":
        return None
    param = "invoice_settings[default_payment_method]"
    method = find(world.store.payment_methods, method_id, "PaymentMethod", request, param=param)
    if method["customer"] != row.id:
        raise refused(
            f"The customer does not have a payment method with the ID {method_id}. "
            "The payment method must be attached to the customer.",
            "resource_missing",
            param,
        )
    return method_id


def retrieve(world: World, request: Request) -> Resource:
    """Deleted ones are still there, as `deleted`."""
    return find(world.store.customers, request.names["id"], "customer", request)


def update(world: World, request: Request) -> Resource:
    row = customer(world.store.customers, request.names["id"], request, None)
    changes = _changes(world, row, request.given, request)
    for name in changes:
        row.body.setdefault(name, None)  # those only shown once they are set
    world.change(world.store.customers, row, "customer.updated", **changes)
    return row


def delete(world: World, request: Request) -> Resource:
    """Its cards are detached with it."""
    row = customer(world.store.customers, request.names["id"], request, None)
    for method in world.store.payment_methods:
        if method["customer"] == row.id:
            payment_methods.let_go(world, method)
    world.emit("customer.deleted", row)
    row.hidden["livemode"] = row["livemode"]
    row.body = {"id": row.id, "object": "customer", "deleted": True}
    world.store.customers.put(row)
    return row


def list_(world: World, request: Request) -> dict[str, Any]:
    email = request.given.get("email")
    rows = [
        row
        for row in world.store.customers
        if not row.body.get("deleted") and (email is None or row["email"] == email)
    ]
    return lists.page(world, request, rows)


def search_(world: World, request: Request) -> dict[str, Any]:
    return search.page(world, request, world.store.customers, search.CUSTOMERS)
