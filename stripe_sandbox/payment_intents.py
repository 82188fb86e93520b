"""PaymentIntents: create, confirm, cancel, list, search."""

from typing import Any

from stripe_sandbox import charging, lists, payment_methods, search
from stripe_sandbox.find import customer, find
from stripe_sandbox.metadata import merged
from stripe_sandbox.records import Resource
from stripe_sandbox.wire import ApiError, Request, money, refused, unchecked, unix
from stripe_sandbox.world import World

LEAST, MOST = 50, 99_999_999
LEAST_OF = {"gbp": 30, "jpy": 50, "dkk": 250, "nok": 300, "sek": 300, "pln": 200, "huf": 17500}
CURRENCIES = frozenset(
    [
        "usd",
        "aed",
        "aud",
        "brl",
        "cad",
        "chf",
        "cop",
        "czk",
        "dkk",
        "eur",
        "gbp",
        "hkd",
        "huf",
        "idr",
        "ils",
        "inr",
        "jpy",
        "krw",
        "mxn",
        "myr",
        "nok",
        "nzd",
        "php",
        "pln",
        "ron",
        "sek",
        "sgd",
        "thb",
        "try",
        "twd",
        "zar",
    ]
)


def check_amount(amount: int, currency: str) -> None:
    if currency not in CURRENCIES:
        raise refused(
            f"Invalid currency: {currency}. Stripe currently supports these currencies: "
            f"{', '.join(sorted(CURRENCIES))}",
            param="currency",
        )
    least = LEAST_OF.get(currency, LEAST)
    if amount < 1:
        raise refused("Invalid positive integer", "parameter_invalid_integer", "amount")
    if amount < least:
        raise refused(
            f"Amount must be at least {money(least, currency)} {currency}",
            "amount_too_small",
            "amount",
        )
    if amount > MOST:
        raise refused(
            f"Amount must be no more than {money(MOST, currency)}", "amount_too_large", "amount"
        )


def make(world: World, *, livemode: bool, amount: int, currency: str, **fields: Any) -> Resource:
    """An intent that waits for a card; `fields` are of its body."""
    new_id = world.new_id("pi")
    body = {
        "id": new_id,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": f"{new_id}_secret_{world.letters(25)}",
        "confirmation_method": "automatic",
        "created": unix(world.clock.now()),
        "currency": currency,
        "customer": None,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": livemode,
        "managed_payments": {"enabled": False},
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
        **fields,
    }
    row = Resource(id=new_id, body=body)
    world.store.payment_intents.put(row)
    world.emit("payment_intent.created", row)
    return row


def check_types(given: dict[str, Any]) -> None:
    allowed = given.get("allowed_payment_method_types")
    if allowed is not None and "card" not in allowed:
        raise refused(
            "None of the allowed payment method types can be used: the sandbox takes cards.",
            param="allowed_payment_method_types",
        )


def create(world: World, request: Request) -> Resource:
    given = request.given
    _check_together(given)
    check_amount(given["amount"], given["currency"].lower())
    check_types(given)
    owner_id = given.get("customer")
    if owner_id is not None:
        customer(world.store.customers, owner_id, request, "customer")
    fields = _fields(given)
    _check_tax(world, given, request, given["amount"])
    method = _method(world, given, request, owner_id)
    if given.get("confirm") and method is None:
        raise refused(
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can "
            "either update the PaymentIntent with a payment method and then confirm it again, or "
            "confirm it again directly with a payment method or ConfirmationToken.",
            "payment_intent_unexpected_state",
            "payment_method",
        )
    automatic = {"enabled": True} if not given.get("allowed_payment_method_types") else None
    row = make(
        world,
        livemode=request.livemode,
        amount=given["amount"],
        currency=given["currency"].lower(),
        customer=owner_id,
        automatic_payment_methods=given.get("automatic_payment_methods", automatic),
        metadata=merged({}, given.get("metadata")),
        **fields,
    )
    if method is not None:
        row.body |= {"payment_method": method.id, "status": "requires_confirmation"}
        world.store.payment_intents.put(row)
    if given.get("confirm") and method is not None:
        _confirm(world, row, method, given)
    return row


def _check_together(given: dict[str, Any]) -> None:
    """What only makes sense with something else."""
    for name in ("off_session", "return_url", "error_on_requires_action"):
        if name in given and not given.get("confirm"):
            raise unchecked(
                f"You can only pass `{name}` when `confirm` is `true`.",
                "parameter_missing",
                name,
            )
    if given.get("off_session") and "return_url" in given:
        raise unchecked("`return_url` cannot be passed with `off_session`.", None, "return_url")
    card = (given.get("payment_method_options") or {}).get("card") or {}
    if card.get("stored_credential_usage") and given.get("setup_future_usage"):
        raise unchecked(
            "`payment_method_options[card][stored_credential_usage]` cannot be used together with "
            "`setup_future_usage`.",
            None,
            "payment_method_options[card][stored_credential_usage]",
        )


def _fields(given: dict[str, Any]) -> dict[str, Any]:
    names = (
        "allowed_payment_method_types",
        "capture_method",
        "description",
        "hooks",
        "receipt_email",
        "setup_future_usage",
        "shipping",
        "statement_descriptor_suffix",
    )
    fields = {name: given[name] or None for name in names if name in given}
    if "capture_method" in fields and fields["capture_method"] == "manual":
        raise ApiError(501, "The sandbox does not emulate capture_method=manual.", "not_emulated")
    suffix = fields.get("statement_descriptor_suffix")
    if suffix is not None and (len(suffix) > 22 or set(suffix) & set("<>\\'\"*")):
        raise refused(
            "The statement descriptor suffix must have at most 22 characters and none of "
            "< > \\ ' \" *.",
            param="statement_descriptor_suffix",
        )
    if given.get("payment_method_options"):
        card = given["payment_method_options"].get("card") or {}
        fields["payment_method_options"] = {"card": {"request_three_d_secure": "automatic", **card}}
    return fields


def _check_tax(world: World, given: dict[str, Any], request: Request, amount: int) -> None:
    tax = ((given.get("hooks") or {}).get("inputs") or {}).get("tax") or {}
    calculation_id = tax.get("calculation")
    if calculation_id:
        param = "hooks[inputs][tax][calculation]"
        row = find(
            world.store.calculations, calculation_id, "tax calculation", request, param=param
        )
        if unix(request.now) >= row["expires_at"]:
            raise refused(f"The tax calculation {row.id} has expired.", None, param)
        if row["amount_total"] != amount:
            raise refused(
                f"The amount {amount} is not the amount_total of the tax calculation "
                f"({row['amount_total']}).",
                None,
                param,
            )


def _method(
    world: World, given: dict[str, Any], request: Request, owner_id: str | None
) -> Resource | None:
    if "payment_method" not in given:
        return None
    row = payment_methods.resolve(world, given["payment_method"], request, "payment_method")
    payment_methods.check_usable(row, owner_id, "PaymentIntent")
    return row


def _confirm(world: World, row: Resource, method: Resource, given: dict[str, Any]) -> None:
    charging.confirm(
        world,
        row,
        method,
        off_session=bool(given.get("off_session")),
        must_not_ask=bool(given.get("error_on_requires_action")),
        return_url=given.get("return_url"),
    )


def unexpected(row: Resource, verb: str, why: str) -> ApiError:
    noun = "PaymentIntent" if row.object == "payment_intent" else "SetupIntent"
    extra: dict[str, Any] = {row.object: row.body}
    return ApiError(
        400,
        f"You cannot {verb} this {noun} because {why}.",
        f"{row.object}_unexpected_state",
        **extra,
    )


def confirm(world: World, request: Request) -> Resource:
    row = find(world.store.payment_intents, request.names["id"], "payment_intent", request)
    given = request.given
    if row["status"] == "succeeded":
        raise unexpected(
            row, "confirm", "it has already succeeded after being previously confirmed"
        )
    if row["status"] == "canceled":
        raise unexpected(row, "confirm", "it has a status of canceled")
    check_types(given)
    _check_tax(world, given, request, row["amount"])
    method = _method(world, given, request, row["customer"])
    if method is None:
        if row["payment_method"] is None:
            raise unexpected(
                row,
                "confirm",
                "it's missing a payment method. You can either update the PaymentIntent with a "
                "payment method and then confirm it again, or confirm it again directly with a "
                "payment method or ConfirmationToken",
            )
        method = world.store.payment_methods[row["payment_method"]]
        payment_methods.check_usable(method, row["customer"], "PaymentIntent")
    row.body |= _fields(given)
    _confirm(world, row, method, given)
    return row


def retrieve(world: World, request: Request) -> Resource:
    return find(world.store.payment_intents, request.names["id"], "payment_intent", request)


def update(world: World, request: Request) -> Resource:
    row = find(world.store.payment_intents, request.names["id"], "payment_intent", request)
    given = request.given
    if "amount" in given:
        if row["status"] not in ("requires_payment_method", "requires_confirmation"):
            raise unexpected(row, "change the amount of", f"it has a status of {row['status']}")
        check_amount(given["amount"], row["currency"])
    changes = _fields(given) | {"amount": given.get("amount", row["amount"])}
    if "metadata" in given:
        changes["metadata"] = merged(row["metadata"], given["metadata"])
    row.body |= changes
    world.store.payment_intents.put(row)
    return row


def cancel(world: World, request: Request) -> Resource:
    row = find(world.store.payment_intents, request.names["id"], "payment_intent", request)
    if row["status"] in ("succeeded", "canceled", "processing"):
        raise unexpected(row, "cancel", f"it has a status of {row['status']}")
    call_off(world, row, request.given.get("cancellation_reason"))
    return row


def call_off(world: World, row: Resource, reason: str | None) -> None:
    row.hidden["asked"] = None
    row.body |= {
        "status": "canceled",
        "cancellation_reason": reason,
        "next_action": None,
    }
    if row.object == "payment_intent":
        row.body["canceled_at"] = unix(world.clock.now())
        world.store.payment_intents.put(row)
    else:
        world.store.setup_intents.put(row)
    world.emit(f"{row.object}.canceled", row)


def list_(world: World, request: Request) -> dict[str, Any]:
    owner_id = request.given.get("customer")
    rows = [row for row in world.store.payment_intents if owner_id in (None, row["customer"])]
    return lists.page(world, request, rows)


def search_(world: World, request: Request) -> dict[str, Any]:
    return search.page(world, request, world.store.payment_intents, search.PAYMENT_INTENTS)
