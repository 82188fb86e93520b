"""Sessions of the customer portal. The page is in `pages/`."""

from typing import Any

from stripe_sandbox.find import customer
from stripe_sandbox.records import Resource
from stripe_sandbox.wire import ApiError, Request, unchecked, unix
from stripe_sandbox.world import World

CONFIGURATION = "bpc_sandbox"


def create(world: World, request: Request) -> Resource:
    given = request.given
    owner_id = given.get("customer")
    if owner_id is None:
        raise unchecked("Missing required param: customer.", "parameter_missing", "customer")
    customer(world.store.customers, owner_id, request, "customer")
    new_id = world.new_id("bps")
    secret = world.letters(40)
    live = "live" if request.livemode else "test"
    body = {
        "id": new_id,
        "object": "billing_portal.session",
        "configuration": CONFIGURATION,
        "created": unix(request.now),
        "customer": owner_id,
        "customer_account": None,
        "flow": _flow(given.get("flow_data")),
        "livemode": request.livemode,
        "locale": given.get("locale"),
        "on_behalf_of": None,
        "return_url": given.get("return_url"),
        "url": world.page_url(f"/p/session/{live}_{secret}"),
    }
    row = Resource(id=new_id, body=body, hidden={"secret": f"{live}_{secret}"})
    return world.store.portal_sessions.put(row)


def _flow(data: dict[str, Any] | None) -> dict[str, Any] | None:
    if data is None:
        return None
    if data["type"] != "payment_method_update":
        raise ApiError(
            501, "The sandbox's portal has the flow payment_method_update only.", "not_emulated"
        )
    after = data.get("after_completion") or {"type": "portal_homepage"}
    if after["type"] == "redirect" and "redirect" not in after:
        raise unchecked(
            "Missing required param: flow_data[after_completion][redirect].",
            "parameter_missing",
            "flow_data[after_completion][redirect]",
        )
    return {
        "after_completion": {
            "hosted_confirmation": None,
            "redirect": after.get("redirect"),
            "type": after["type"],
        },
        "subscription_cancel": None,
        "subscription_update": None,
        "subscription_update_confirm": None,
        "type": data["type"],
    }
