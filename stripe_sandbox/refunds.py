"""Refunds: several until the charge is paid back, and some that fail days later."""

from datetime import timedelta
from typing import Any

from stripe_sandbox import charges, lists, warnings
from stripe_sandbox.find import find
from stripe_sandbox.metadata import merged
from stripe_sandbox.payment_methods import card_of
from stripe_sandbox.records import Due, Resource
from stripe_sandbox.wire import Request, money, refused, unchecked, unix
from stripe_sandbox.world import World

FAILURES = ("expired_or_canceled_card", "lost_or_stolen_card", "insufficient_funds", "unknown")


def create(world: World, request: Request) -> Resource:
    given = request.given
    charge = _charge(world, request)
    left = charge["amount"] - charge["amount_refunded"]
    amount = given.get("amount", left)
    if charge["disputed"] and not _is_refundable(world, charge):
        raise refused(
            f"Charge {charge.id} has been charged back; cannot issue a refund.",
            "charge_disputed",
        )
    if left == 0:
        raise refused(f"Charge {charge.id} has already been refunded.", "charge_already_refunded")
    if amount < 1:
        raise refused("Invalid positive integer", "parameter_invalid_integer", "amount")
    if amount > left:
        currency = charge["currency"]
        raise refused(
            f"Refund amount ({money(amount, currency)}) is greater than unrefunded amount on "
            f"charge ({money(left, currency)})",
            None,
            "amount",
        )
    return make(
        world,
        charge,
        amount,
        reason=given.get("reason"),
        metadata=merged({}, given.get("metadata")),
    )


def _charge(world: World, request: Request) -> Resource:
    given = request.given
    if ("charge" in given) == ("payment_intent" in given):
        raise unchecked(
            "One of the following params should be provided for this request: "
            "payment_intent or charge.",
            "parameter_missing",
        )
    if "charge" in given:
        charge = find(world.store.charges, given["charge"], "charge", request, param="charge")
        if charge["status"] != "succeeded":
            raise refused(f"Charge {charge.id} failed and cannot be refunded.", None, "charge")
        return charge
    intent = find(
        world.store.payment_intents,
        given["payment_intent"],
        "payment_intent",
        request,
        param="payment_intent",
    )
    if intent["status"] != "succeeded":
        raise refused(
            f"This PaymentIntent ({intent.id}) does not have a successful charge to refund.",
            None,
            "payment_intent",
        )
    return world.store.charges[intent["latest_charge"]]


def _is_refundable(world: World, charge: Resource) -> bool:
    return all(
        row["is_charge_refundable"] for row in world.store.disputes if row["charge"] == charge.id
    )


def make(
    world: World,
    charge: Resource,
    amount: int,
    *,
    reason: str | None,
    metadata: dict[str, str],
) -> Resource:
    now = world.clock.now()
    fate = card_of(world.store.payment_methods[charge["payment_method"]]).after
    body = {
        "id": world.new_id("re"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge.id,
        "created": unix(now),
        "currency": charge["currency"],
        "customer": charge["customer"],
        "customer_account": None,
        "destination_details": {
            "card": {
                "reference_status": "pending",
                "reference_type": "acquirer_reference_number",
                "type": "refund",
            },
            "type": "card",
        },
        "metadata": metadata,
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "pending" if fate == "refund_pends" else "succeeded",
        "transfer_reversal": None,
    }
    row = Resource(id=str(body["id"]), body=body, hidden={"livemode": charge["livemode"]})
    row.body["balance_transaction"] = charges.book(world, row, -amount, "refund")
    world.store.refunds.put(row)
    refunded = charge["amount_refunded"] + amount
    charge.body |= {"amount_refunded": refunded, "refunded": refunded == charge["amount"]}
    world.store.charges.put(charge)
    world.emit("refund.created", row)
    world.emit("charge.refunded", charge)
    warnings.no_longer_actionable(world, charge)
    at = now + timedelta(seconds=world.settings.refund_seconds)
    if fate == "refund_pends":
        world.schedule(at, "refund_succeeds", row.id)
    elif fate == "refund_fails":
        world.schedule(at, "refund_fails", row.id, "expired_or_canceled_card")
    return row


def succeed(world: World, due: Due) -> None:
    row = world.store.refunds[due.ref]
    if row["status"] == "pending":
        _announce(world, row, "refund.updated", status="succeeded")


def fail_later(world: World, due: Due) -> None:
    row = world.store.refunds[due.ref]
    if row["status"] in ("pending", "succeeded"):
        fail(world, row, due.detail)


def fail(world: World, row: Resource, reason: str) -> None:
    """The bank gave it back: the money is ours again, and the charge no longer refunded.

    Raises ValueError if it has failed already."""
    if row["status"] == "failed":
        raise ValueError(f"{row.id} has failed already")
    charge = world.store.charges[row["charge"]]
    row.body.setdefault("failure_reason", None)
    row.body.setdefault("failure_balance_transaction", None)
    back = charges.book(world, row, row["amount"], "refund_failure")
    refunded = charge["amount_refunded"] - row["amount"]
    world.change(world.store.charges, charge, amount_refunded=refunded, refunded=False)
    _announce(
        world,
        row,
        "refund.updated",
        status="failed",
        failure_reason=reason,
        failure_balance_transaction=back,
    )
    world.emit("refund.failed", row)


def _announce(world: World, row: Resource, kind: str, **changes: Any) -> None:
    world.change(world.store.refunds, row, kind, **changes)
    world.emit("charge.refund.updated", row)


def retrieve(world: World, request: Request) -> Resource:
    return find(world.store.refunds, request.names["id"], "refund", request)


def update(world: World, request: Request) -> Resource:
    row = find(world.store.refunds, request.names["id"], "refund", request)
    changed = merged(row["metadata"], request.given.get("metadata"))
    world.change(world.store.refunds, row, "refund.updated", metadata=changed)
    return row


def list_(world: World, request: Request) -> dict[str, Any]:
    given = request.given
    rows = [
        row
        for row in world.store.refunds
        if all(given.get(name) in (None, row[name]) for name in ("charge", "payment_intent"))
    ]
    return lists.page(world, request, rows)
