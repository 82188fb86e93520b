"""What the hosted pages do: a card typed into Checkout or the portal becomes saved, or charged."""

from dataclasses import dataclass, field
from typing import Any

from stripe_sandbox import charging, customers, payment_intents, payment_methods, setup_intents
from stripe_sandbox.cards import check_expiry, decline_of
from stripe_sandbox.metadata import merged
from stripe_sandbox.records import Resource
from stripe_sandbox.wire import ApiError
from stripe_sandbox.world import World

INCOMPLETE = {
    "number": "Your card number is incomplete.",
    "expiry": "Your card's expiration date is incomplete: write MM / YY.",
    "cvc": "Your card's security code is incomplete.",
    "name": "Enter the name on the card.",
    "email": "Enter an email address.",
    "line1": "Enter your address.",
    "city": "Enter your city.",
    "postal_code": "Enter your postal code.",
    "country": "Enter the two letters of your country, such as US or DE.",
    "consent": "Accept the terms of service to continue.",
}
ADDRESS = ("line1", "line2", "city", "postal_code", "state", "country")


@dataclass
class Typed:
    """What a person typed into a form, trimmed."""

    fields: dict[str, str]
    problems: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        return self.fields.get(name, "").strip()

    def require(self, *names: str) -> None:
        for name in names:
            if not self[name]:
                self.problems[name] = INCOMPLETE[name]

    @property
    def address(self) -> dict[str, str | None]:
        parts = {name: self[name] or None for name in ADDRESS}
        country = parts["country"]
        return {**parts, "country": country.upper() if country else None}


def method_of(world: World, typed: Typed, *, livemode: bool) -> Resource | None:
    """The card that was typed, or None with the problems noted.

    Raises ApiError 402 for a number that is no test card."""
    typed.require("number", "expiry", "cvc", "name")
    digits = [part.strip() for part in typed["expiry"].replace("-", "/").split("/")]
    if len(digits) == 1 and len(digits[0]) == 4:
        digits = [digits[0][:2], digits[0][2:]]
    if len(digits) != 2 or not all(part.isdecimal() and part.isascii() for part in digits):
        typed.problems["expiry"] = INCOMPLETE["expiry"]
    cvc = typed["cvc"]
    if not (cvc.isdecimal() and len(cvc) in (3, 4)):
        typed.problems["cvc"] = INCOMPLETE["cvc"]
    country = typed["country"]
    if country and not (len(country) == 2 and country.isalpha()):
        typed.problems["country"] = INCOMPLETE["country"]
    if typed.problems:
        return None
    month, year = int(digits[0]), int(digits[1])
    year += 2000 if year < 100 else 0
    card = payment_methods.of_number(typed["number"])
    try:
        check_expiry(month, year, world.clock.now())
    except ApiError as error:
        typed.problems["expiry"] = error.error["message"]
        return None
    return payment_methods.make(
        world,
        card,
        livemode=livemode,
        exp_month=month,
        exp_year=year,
        billing_details={
            "address": typed.address,
            "email": typed["email"] or None,
            "name": typed["name"],
        },
    )


# Checkout


def wants_address(session: Resource) -> bool:
    collects = session["billing_address_collection"] == "required"
    return collects or bool(session["tax_id_collection"].get("enabled"))


def wants_email(world: World, session: Resource) -> bool:
    owner = world.store.customers.get(session["customer"] or "")
    if owner is not None and owner.body.get("deleted"):
        return False
    known = owner["email"] if owner else session["customer_email"]
    return not known


def wants_consent(session: Resource) -> bool:
    return (session["consent_collection"] or {}).get("terms_of_service") == "required"


def pay(world: World, session: Resource, typed: Typed) -> str | None:
    """Where the customer goes next, or None if something typed has to be corrected.

    Raises ApiError 402 with what to tell them."""
    if wants_email(world, session):
        typed.require("email")
    if wants_address(session):
        typed.require("line1", "city", "postal_code", "country")
    if wants_consent(session):
        typed.require("consent")
    method = method_of(world, typed, livemode=session["livemode"])
    if method is None:
        return None
    session.hidden["typed"] = {
        name: typed[name] for name in (*ADDRESS, "email", "name", "tax_id", "business_name")
    }
    intent = _intent(world, session)
    intent.hidden["session"] = session.id
    back = world.page_url(f"/c/pay/{session.id}")
    if session["mode"] == "setup":
        charging.set_up(world, intent, method, return_url=back)
    else:
        charging.confirm(world, intent, method, return_url=back)
    return after(world, intent)


def _intent(world: World, session: Resource) -> Resource:
    if session["mode"] == "setup":
        return world.store.setup_intents[session["setup_intent"]]
    if session["payment_intent"] is not None:
        return world.store.payment_intents[session["payment_intent"]]
    data = session.hidden["payment_intent_data"]
    names = ("description", "receipt_email", "setup_future_usage", "statement_descriptor_suffix")
    intent = payment_intents.make(
        world,
        livemode=session["livemode"],
        amount=session["amount_total"],
        currency=session["currency"],
        customer=session["customer"],
        metadata=merged({}, data.get("metadata")),
        **{name: data[name] for name in names if name in data},
    )
    session.body["payment_intent"] = intent.id
    world.store.sessions.put(session)
    return intent


def after(world: World, intent: Resource) -> str:
    """What follows for the page an intent belongs to. Where the customer goes next."""
    if intent["status"] == "requires_action":
        action = intent["next_action"]["redirect_to_url"]
        return str(action["url"])
    session = world.store.sessions.get(intent.hidden.get("session", ""))
    if session is not None:
        if intent["status"] == "succeeded" and session["status"] == "open":
            return complete(world, session, intent)
        return world.page_url(f"/c/pay/{session.id}")
    portal = world.store.portal_sessions.get(intent.hidden.get("portal", ""))
    if portal is not None:
        return _after_portal(world, portal, intent)
    return _back(intent)


def _back(intent: Resource) -> str:
    url = intent.hidden.get("return_url") or ""
    if not url:
        return ""
    status = "succeeded" if intent["status"] == "succeeded" else "failed"
    more = (
        f"{intent.object}={intent.id}&{intent.object}_client_secret={intent['client_secret']}"
        f"&redirect_status={status}&source_type=card"
    )
    return f"{url}{'&' if '?' in url else '?'}{more}"


def complete(world: World, session: Resource, intent: Resource) -> str:
    """Close the session as done. Returns where the customer goes."""
    typed = Typed(session.hidden["typed"])
    owner = _owner(world, session, typed)
    if owner is not None:
        _update_customer(world, session, owner, typed)
    email = typed["email"] or (owner["email"] if owner else session["customer_email"])
    tax_ids = []
    if typed["tax_id"]:
        tax_ids.append({"type": _kind_of_tax_id(typed["tax_id"]), "value": typed["tax_id"]})
    shows = session["tax_id_collection"].get("enabled")
    session.body |= {
        "status": "complete",
        "payment_status": "no_payment_required" if session["mode"] == "setup" else "paid",
        "url": None,
        "customer": owner.id if owner else None,
        "customer_details": {
            "address": typed.address,
            "business_name": typed["business_name"] or None,
            "email": email,
            "individual_name": None,
            "name": typed["business_name"] or typed["name"],
            "phone": None,
            "tax_exempt": "none",
            "tax_ids": tax_ids if shows else [],
        },
    }
    if wants_consent(session):
        session.body["consent"] = {"promotions": None, "terms_of_service": "accepted"}
    world.store.sessions.put(session)
    world.emit("checkout.session.completed", session)
    return success_url(session)


def success_url(session: Resource) -> str:
    return str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", session.id)


def _kind_of_tax_id(value: str) -> str:
    return "us_ein" if value[:1].isdecimal() else "eu_vat"


def _owner(world: World, session: Resource, typed: Typed) -> Resource | None:
    """The session's customer; a new one if it is to make one."""
    if session["customer"] is not None:
        row = world.store.customers[session["customer"]]
        return None if row.body.get("deleted") else row
    if session["customer_creation"] != "always":
        return None
    request = world.request
    assert request is not None
    request.given = {
        "email": typed["email"] or session["customer_email"] or "",
        "name": typed["name"],
    }
    return customers.create(world, request)


def _update_customer(world: World, session: Resource, owner: Resource, typed: Typed) -> None:
    wanted = session.hidden["customer_update"]
    changes: dict[str, Any] = {}
    if wanted.get("address") == "auto" and typed["line1"]:
        changes["address"] = typed.address
    if wanted.get("name") == "auto":
        changes["name"] = typed["business_name"] or typed["name"]
    if not owner["email"] and typed["email"]:
        changes["email"] = typed["email"]
    world.change(world.store.customers, owner, "customer.updated", **changes)
    if typed["tax_id"] and session["tax_id_collection"].get("enabled"):
        customers.add_tax_id(world, owner, _kind_of_tax_id(typed["tax_id"]), typed["tax_id"])


# The customer portal


def add_card(world: World, portal: Resource, typed: Typed) -> str | None:
    """Save a card and make it the default. As `pay`."""
    method = method_of(world, typed, livemode=portal["livemode"])
    if method is None:
        return None
    intent = setup_intents.make(world, livemode=portal["livemode"], customer=portal["customer"])
    intent.hidden["portal"] = portal.id
    back = world.page_url(f"/p/session/{portal.hidden['secret']}")
    charging.set_up(world, intent, method, return_url=back)
    return after(world, intent)


def _after_portal(world: World, portal: Resource, intent: Resource) -> str:
    page = world.page_url(f"/p/session/{portal.hidden['secret']}")
    if intent["status"] != "succeeded":
        error = intent["last_setup_error"] or decline_of("generic_decline").error().error
        portal.hidden["problem"] = error["message"]
        world.store.portal_sessions.put(portal)
        return page
    make_default(world, portal["customer"], intent["payment_method"])
    portal.hidden["is_done"] = True
    world.store.portal_sessions.put(portal)
    after_completion = (portal["flow"] or {}).get("after_completion") or {}
    if after_completion.get("type") == "redirect":
        return str(after_completion["redirect"]["return_url"])
    return page


def make_default(world: World, customer_id: str, method_id: str) -> None:
    owner = world.store.customers[customer_id]
    settings = owner["invoice_settings"] | {"default_payment_method": method_id}
    world.change(world.store.customers, owner, "customer.updated", invoice_settings=settings)
