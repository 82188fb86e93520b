"""Payment methods: cards, attached to a customer or not."""

from typing import Any

from stripe_sandbox import lists
from stripe_sandbox.cards import CARDS, NAMES, TestCard, check_expiry, decline_of, passes_luhn
from stripe_sandbox.find import customer, find
from stripe_sandbox.metadata import merged
from stripe_sandbox.records import Resource
from stripe_sandbox.wire import Request, missing, refused, unix
from stripe_sandbox.world import World

NO_ADDRESS = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
SPENT = (
    "The provided PaymentMethod was previously used with a PaymentIntent without Customer "
    "attachment, shared with a connected account without Customer attachment, or was detached "
    "from a Customer. It may not be used again. To use a PaymentMethod multiple times, you must "
    "attach it to a Customer first."
)


def of_number(number: str) -> TestCard:
    """Raises ApiError 402 for a number that is wrong or no test card."""
    digits = "".join(number.split()).replace("-", "")
    card = CARDS.get(digits)
    if card is not None:
        return card
    if not digits.isdecimal() or not 12 <= len(digits) <= 19 or not passes_luhn(digits):
        raise decline_of("incorrect_number").error()
    error = decline_of("generic_decline").error()
    error.error["message"] = (
        "Your card was declined. Your request was in test mode, but used a non test card. "
        "For a list of valid test cards, visit: https://docs.stripe.com/testing."
    )
    error.error["decline_code"] = "test_mode_live_card"
    raise error


def make(
    world: World,
    card: TestCard,
    *,
    livemode: bool,
    exp_month: int = 12,
    exp_year: int | None = None,
    billing_details: dict[str, Any] | None = None,
    metadata: dict[str, str] | None = None,
) -> Resource:
    now = world.clock.now()
    billing = {"address": dict(NO_ADDRESS), "email": None, "name": None, "phone": None}
    billing["tax_id"] = None
    for name, value in (billing_details or {}).items():
        if name == "address" and isinstance(value, dict):
            billing["address"] = dict(NO_ADDRESS) | value
        else:
            billing[name] = value or None
    body = {
        "id": world.new_id("pm"),
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": billing,
        "card": {
            "brand": card.brand,
            "checks": {
                "address_line1_check": None,
                "address_postal_code_check": None,
                "cvc_check": "unchecked",
            },
            "country": card.country,
            "display_brand": card.brand,
            "exp_month": exp_month,
            "exp_year": exp_year or now.year + 1,
            "fingerprint": card.fingerprint,
            "funding": card.funding,
            "generated_from": None,
            "last4": card.last4,
            "networks": {"available": [card.brand], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        },
        "created": unix(now),
        "customer": None,
        "customer_account": None,
        "livemode": livemode,
        "metadata": metadata or {},
        "type": "card",
    }
    row = Resource(id=str(body["id"]), body=body, hidden={"number": card.number})
    return world.store.payment_methods.put(row)


def card_of(row: Resource) -> TestCard:
    return CARDS[row.hidden["number"]]


def resolve(world: World, row_id: str, request: Request, param: str | None = None) -> Resource:
    """The payment method of an id, or a new one for a name `pm_card_…`."""
    if row_id in NAMES and not request.livemode:
        return make(world, CARDS[NAMES[row_id]], livemode=False)
    return find(world.store.payment_methods, row_id, "PaymentMethod", request, param=param)


def check_usable(row: Resource, customer_id: str | None, noun: str) -> None:
    """Refuse one that is spent, or of another customer than the intent's."""
    if row.hidden.get("spent"):
        raise refused(SPENT, param="payment_method")
    owner = row["customer"]
    if owner is not None and customer_id is None:
        raise refused(
            f"The `payment_method` parameter supplied {row.id} belongs to the Customer {owner}. "
            f"Please include the Customer in the `customer` parameter on the {noun}.",
            param="payment_method",
        )
    if owner is not None and owner != customer_id:
        raise refused(
            f"The customer does not have a payment method with the ID {row.id}. "
            "The payment method must be attached to the customer.",
            "resource_missing",
            "payment_method",
        )


def tie(world: World, row: Resource, customer_id: str) -> None:
    """Attach it to the customer, unless it is."""
    if row["customer"] != customer_id:
        world.change(world.store.payment_methods, row, customer=customer_id)
        world.emit("payment_method.attached", row)


def create(world: World, request: Request) -> Resource:
    given = request.given
    details = given.get("card")
    if given.get("type") != "card" or not details:
        raise refused("The sandbox makes payment methods of type card only.", param="type")
    if "token" in details:
        name = "pm_card_" + details["token"].removeprefix("tok_")
        if name not in NAMES:
            raise missing("token", details["token"], param="card[token]", status=400)
        card, month, year = CARDS[NAMES[name]], 12, None
    else:
        card = of_number(details.get("number", ""))
        month, year = details.get("exp_month", 0), details.get("exp_year", 0)
        year += 2000 if year < 100 else 0
        check_expiry(month, year, request.now)
    return make(
        world,
        card,
        livemode=request.livemode,
        exp_month=month,
        exp_year=year,
        billing_details=given.get("billing_details"),
        metadata=merged({}, given.get("metadata")),
    )


def retrieve(world: World, request: Request) -> Resource:
    return resolve(world, request.names["id"], request)


def update(world: World, request: Request) -> Resource:
    row = find(world.store.payment_methods, request.names["id"], "PaymentMethod", request)
    if row["customer"] is None:
        raise refused("You must save this PaymentMethod to a customer before you can update it.")
    given = request.given
    card = dict(row["card"])
    changed = given.get("card") or {}
    if changed:
        card |= changed
        check_expiry(card["exp_month"], card["exp_year"], request.now)
    billing = dict(row["billing_details"])
    for name, value in (given.get("billing_details") or {}).items():
        billing[name] = dict(NO_ADDRESS) | value if isinstance(value, dict) else value or None
    world.change(
        world.store.payment_methods,
        row,
        "payment_method.updated",
        card=card,
        billing_details=billing,
        metadata=merged(row["metadata"], given.get("metadata")),
    )
    return row


def attach(world: World, request: Request) -> Resource:
    """A card that refuses to be saved refuses here too."""
    owner_id = request.given.get("customer")
    if owner_id is None:
        raise refused("Missing required param: customer.", "parameter_missing", "customer")
    owner = customer(world.store.customers, owner_id, request, "customer")
    row = resolve(world, request.names["id"], request)
    if row.hidden.get("spent"):
        raise refused(
            "This PaymentMethod was previously used without being attached to a Customer or was "
            "detached from a Customer, and may not be used again."
        )
    if row["customer"] not in (None, owner.id):
        raise refused(
            "The payment method you provided has already been attached to a customer.",
            "payment_method_unexpected_state",
        )
    saving = card_of(row).saving
    if saving is not None:
        raise saving.error()
    tie(world, row, owner.id)
    return row


def detach(world: World, request: Request) -> Resource:
    row = find(world.store.payment_methods, request.names["id"], "PaymentMethod", request)
    if row["customer"] is None:
        raise refused(
            "The payment method you provided is not attached to a customer so detachment is "
            "impossible."
        )
    let_go(world, row)
    return row


def let_go(world: World, row: Resource) -> None:
    """Detach for good, and forget it as anybody's default."""
    owner = world.store.customers.get(row["customer"])
    row.hidden["spent"] = True
    world.change(world.store.payment_methods, row, "payment_method.detached", customer=None)
    if owner is not None and not owner.body.get("deleted"):
        settings = owner["invoice_settings"]
        if settings["default_payment_method"] == row.id:
            changed = settings | {"default_payment_method": None}
            world.change(world.store.customers, owner, "customer.updated", invoice_settings=changed)


def list_(world: World, request: Request) -> dict[str, Any]:
    """Of one customer: without it there are none."""
    owner_id = request.given.get("customer")
    if owner_id is not None:
        customer(world.store.customers, owner_id, request, "customer")
    return _of(world, request, owner_id)


def list_of_customer(world: World, request: Request) -> dict[str, Any]:
    owner = customer(world.store.customers, request.names["customer"], request, None)
    return _of(world, request, owner.id)


def _of(world: World, request: Request, owner_id: str | None) -> dict[str, Any]:
    rows = [
        row
        for row in world.store.payment_methods
        if owner_id is not None
        and row["customer"] == owner_id
        and request.given.get("type", "card") == "card"
    ]
    return lists.page(world, request, rows)


def retrieve_of_customer(world: World, request: Request) -> Resource:
    owner = customer(world.store.customers, request.names["customer"], request, None)
    row = find(world.store.payment_methods, request.names["id"], "PaymentMethod", request)
    if row["customer"] != owner.id:
        raise missing("PaymentMethod", row.id)
    return row
