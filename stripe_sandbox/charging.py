"""What happens when an intent is confirmed: the bank's wish to ask, its no, or the money."""

import copy
from typing import Any

from stripe_sandbox import charges, declining, payment_methods
from stripe_sandbox.cards import LIVE, Decline, TestCard, decline_of
from stripe_sandbox.records import Resource
from stripe_sandbox.wire import ApiError
from stripe_sandbox.world import World

NOT_AUTHENTICATED = (
    "We are unable to authenticate your payment method. "
    "Please choose a different payment method and try again."
)


def wants_authentication(card: TestCard, method: Resource, *, off_session: bool) -> bool:
    if card.auth == "never":
        return False
    if card.auth == "always" or not off_session:
        return True
    return card.auth == "unless_set_up" and not method.hidden.get("set_up")


def confirm(
    world: World,
    intent: Resource,
    method: Resource,
    *,
    off_session: bool = False,
    must_not_ask: bool = False,
    return_url: str | None = None,
) -> None:
    """Raises ApiError 402 for a decline, which the intent then remembers."""
    intent.body["payment_method"] = method.id
    intent.hidden["off_session"] = off_session
    card = payment_methods.card_of(method)
    ordered = declining.take(world, method, intent["customer"])
    if ordered is not None:
        decline(world, intent, method, ordered)
    if wants_authentication(card, method, off_session=off_session):
        if off_session or must_not_ask:
            decline(world, intent, method, decline_of("authentication_required"))
        ask(world, intent, return_url)
        return
    charge(world, intent, method)


def ask(world: World, intent: Resource, return_url: str | None) -> None:
    """The customer is to confirm at the bank, on a page of ours."""
    intent.hidden["return_url"] = return_url
    secret = world.letters(24)
    intent.hidden["asked"] = secret
    url = world.page_url(f"/bank/{intent.id}/{secret}")
    action: dict[str, Any] = {
        "type": "redirect_to_url",
        "redirect_to_url": {"return_url": return_url, "url": url},
    }
    if return_url is None:
        action = {
            "type": "use_stripe_sdk",
            "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": url},
        }
    is_payment = intent.object == "payment_intent"
    error = "last_payment_error" if is_payment else "last_setup_error"
    intent.body |= {"status": "requires_action", "next_action": action, error: None}
    table = world.store.payment_intents if is_payment else world.store.setup_intents
    table.put(intent)
    world.emit(f"{intent.object}.requires_action", intent)


def charge(world: World, intent: Resource, method: Resource, *, was_3ds: bool = False) -> Resource:
    """Take the money. Raises ApiError 402 for a decline."""
    card = payment_methods.card_of(method)
    no = card.saving or card.charging or (LIVE if intent["livemode"] else None)
    if no is not None:
        decline(world, intent, method, no, was_3ds=was_3ds)
    row = charges.make(world, intent, method, None, was_3ds=was_3ds)
    intent.body |= {
        "status": "succeeded",
        "amount_received": intent["amount"],
        "latest_charge": row.id,
        "next_action": None,
        "last_payment_error": None,
    }
    world.store.payment_intents.put(intent)
    world.emit("payment_intent.succeeded", intent)
    if method["customer"] is None:
        if intent["setup_future_usage"] and intent["customer"]:
            method.hidden["set_up"] = True
            payment_methods.tie(world, method, intent["customer"])
        else:
            method.hidden["spent"] = True  # it was not kept for anybody
            world.store.payment_methods.put(method)
    elif intent["setup_future_usage"]:
        method.hidden["set_up"] = True
        world.store.payment_methods.put(method)
    return row


def decline(
    world: World, intent: Resource, method: Resource, no: Decline, *, was_3ds: bool = False
) -> None:
    """The intent goes back to wanting a card. Always raises ApiError 402."""
    row = charges.make(world, intent, method, no, was_3ds=was_3ds)
    error = no.error()
    error.error |= {"charge": row.id, "payment_method": copy.deepcopy(method.body)}
    intent.body["latest_charge"] = row.id
    fail(world, intent, error)
    raise error


def fail(world: World, intent: Resource, error: ApiError) -> None:
    """Note the error on the intent, and the intent in the error."""
    is_payment = intent.object == "payment_intent"
    field = "last_payment_error" if is_payment else "last_setup_error"
    intent.body |= {
        "status": "requires_payment_method",
        "payment_method": None,
        "next_action": None,
        field: copy.deepcopy(error.error),
    }
    table = world.store.payment_intents if is_payment else world.store.setup_intents
    table.put(intent)
    error.error[intent.object] = copy.deepcopy(intent.body)
    world.emit(
        "payment_intent.payment_failed" if is_payment else "setup_intent.setup_failed", intent
    )


def authenticated(world: World, intent: Resource, *, passed: bool) -> None:
    """The customer was at the bank. A decline is noted on the intent, not raised."""
    method = world.store.payment_methods[intent["payment_method"]]
    intent.hidden["asked"] = None
    if not passed:
        error = ApiError(
            402,
            NOT_AUTHENTICATED,
            f"{intent.object}_authentication_failure",
            payment_method=copy.deepcopy(method.body),
        )
        fail(world, intent, error)
        return
    try:
        if intent.object == "payment_intent":
            charge(world, intent, method, was_3ds=True)
        else:
            save(world, intent, method)
    except ApiError as error:
        if error.status != 402:
            raise


def set_up(world: World, intent: Resource, method: Resource, *, return_url: str | None) -> None:
    """Confirm a SetupIntent. Raises ApiError 402 if the card cannot be saved."""
    intent.body["payment_method"] = method.id
    card = payment_methods.card_of(method)
    no = card.saving or (LIVE if intent["livemode"] else None)
    if no is not None:
        error = no.error()
        error.error["payment_method"] = copy.deepcopy(method.body)
        fail(world, intent, error)
        raise error
    if card.auth in ("unless_set_up", "always"):
        ask(world, intent, return_url)
        return
    save(world, intent, method)


def save(world: World, intent: Resource, method: Resource) -> None:
    method.hidden["set_up"] = True
    world.store.payment_methods.put(method)
    intent.body |= {
        "status": "succeeded",
        "next_action": None,
        "last_setup_error": None,
        "latest_attempt": world.new_id("setatt"),
    }
    world.store.setup_intents.put(intent)
    if intent["customer"]:
        payment_methods.tie(world, method, intent["customer"])
    world.emit("setup_intent.succeeded", intent)
