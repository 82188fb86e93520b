"""Charges: one for each attempt to take money from a card, successful or not."""

from datetime import timedelta
from typing import Any

from stripe_sandbox import lists, payment_methods
from stripe_sandbox.cards import Decline, TestCard
from stripe_sandbox.find import find
from stripe_sandbox.records import Resource
from stripe_sandbox.wire import Request, unix
from stripe_sandbox.world import World

FEE_PERCENT, FEE_CENTS = 0.029, 30
PAID_OUT_AFTER = timedelta(days=2)
# Keys of what the sandbox does not have, or not yet.
ABSENT = (
    "application",
    "application_fee",
    "application_fee_amount",
    "balance_transaction",
    "failure_balance_transaction",
    "on_behalf_of",
    "receipt_number",
    "review",
    "source",
    "source_transfer",
    "statement_descriptor",
    "transfer_data",
    "transfer_group",
)


def make(
    world: World, intent: Resource, method: Resource, decline: Decline | None, *, was_3ds: bool
) -> Resource:
    """The charge of an attempt, with its money booked if it succeeded."""
    now = world.clock.now()
    is_paid = decline is None
    card = payment_methods.card_of(method)
    new_id = world.new_id("ch")
    suffix = intent["statement_descriptor_suffix"]
    body = {
        "id": new_id,
        "object": "charge",
        **dict.fromkeys(ABSENT),
        "amount": intent["amount"],
        "amount_captured": intent["amount"] if is_paid else 0,
        "amount_refunded": 0,
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": f"SANDBOX* {suffix}" if suffix else "SANDBOX",
        "captured": is_paid,
        "created": unix(now),
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_code": decline.code if decline else None,
        "failure_message": decline.message if decline else None,
        "fraud_details": {},
        "livemode": intent["livemode"],
        "metadata": dict(intent["metadata"]),
        "outcome": _outcome(decline),
        "paid": is_paid,
        "payment_intent": intent.id,
        "payment_method": method.id,
        "payment_method_details": {"card": _card_details(method, was_3ds), "type": "card"},
        "receipt_email": intent["receipt_email"],
        "receipt_url": world.page_url(f"/receipts/{new_id}") if is_paid else None,
        "refunded": False,
        "shipping": intent["shipping"],
        "statement_descriptor_suffix": suffix,
        "status": "succeeded" if is_paid else "failed",
    }
    row = Resource(id=new_id, body=body)
    if is_paid:
        fee = round(intent["amount"] * FEE_PERCENT) + FEE_CENTS
        row.body["balance_transaction"] = book(world, row, intent["amount"], "charge", fee=fee)
    world.store.charges.put(row)
    world.emit("charge.succeeded" if is_paid else "charge.failed", row)
    if is_paid:
        _plan_what_follows(world, row, card)
    return row


def _outcome(decline: Decline | None) -> dict[str, Any]:
    if decline is None:
        return {
            "advice_code": None,
            "network_advice_code": None,
            "network_decline_code": None,
            "network_status": "approved_by_network",
            "reason": None,
            "risk_level": "normal",
            "seller_message": "Payment complete.",
            "type": "authorized",
        }
    is_blocked = decline.outcome == "blocked"
    return {
        "advice_code": decline.advice_code,
        "network_advice_code": None,
        "network_decline_code": None if is_blocked else decline.network_decline_code,
        "network_status": "not_sent_to_network" if is_blocked else "declined_by_network",
        "reason": decline.reason or decline.decline_code,
        "risk_level": "highest" if is_blocked else "normal",
        "seller_message": (
            "Stripe blocked this payment as too risky."
            if is_blocked
            else f"The bank returned the decline code `{decline.decline_code}`."
        ),
        "type": decline.outcome,
    }


def _card_details(method: Resource, was_3ds: bool) -> dict[str, Any]:
    card = method["card"]
    copied = ("brand", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4")
    secured = {
        "authentication_flow": "challenge",
        "electronic_commerce_indicator": "05",
        "exemption_indicator": None,
        "result": "authenticated",
        "result_reason": None,
        "transaction_id": None,
        "version": "2.2.0",
    }
    return {
        **{name: card[name] for name in copied},
        "amount_authorized": None,
        "authorization_code": None,
        "checks": dict(card["checks"], cvc_check="pass"),
        "extended_authorization": {"status": "disabled"},
        "incremental_authorization": {"status": "unavailable"},
        "installments": None,
        "mandate": None,
        "multicapture": {"status": "unavailable"},
        "network": card["brand"],
        "network_token": {"used": False},
        "network_transaction_id": None,
        "overcapture": {"maximum_amount_capturable": 0, "status": "unavailable"},
        "regulated_status": card["regulated_status"],
        "three_d_secure": secured if was_3ds else None,
        "transaction_link_id": None,
        "wallet": None,
    }


def _plan_what_follows(world: World, row: Resource, card: TestCard) -> None:
    kind, _, reason = card.after.partition(":")
    now, settings = world.clock.now(), world.settings
    if kind in ("dispute", "inquiry"):
        at = now + timedelta(seconds=settings.dispute_seconds)
        world.schedule(at, kind, row.id, reason)
    elif kind == "warning":
        world.schedule(now + timedelta(seconds=settings.warning_seconds), "warning", row.id)


def book(world: World, row: Resource, net: int, kind: str, *, fee: int = 0) -> str:
    """A line of the account's balance; `net` is before the fee. Returns its id."""
    now = world.clock.now()
    fees = {
        "amount": fee,
        "application": None,
        "currency": row["currency"],
        "description": "Stripe processing fees",
        "type": "stripe_fee",
    }
    body = {
        "id": world.new_id("txn"),
        "object": "balance_transaction",
        "amount": net,
        "available_on": unix(now + PAID_OUT_AFTER),
        "balance_type": "payments",
        "created": unix(now),
        "currency": row["currency"],
        "description": row.body.get("description"),
        "exchange_rate": None,
        "fee": fee,
        "fee_details": [fees] if fee else [],
        "net": net - fee,
        "reporting_category": kind,
        "source": row.id,
        "status": "pending",
        "type": kind,
    }
    line = Resource(id=str(body["id"]), body=body, hidden={"livemode": row.body.get("livemode")})
    line.hidden["livemode"] = bool(line.hidden["livemode"])
    world.store.balance_transactions.put(line)
    return line.id


def retrieve(world: World, request: Request) -> Resource:
    return find(world.store.charges, request.names["id"], "charge", request)


def list_(world: World, request: Request) -> dict[str, Any]:
    given = request.given
    rows = [
        row
        for row in world.store.charges
        if all(given.get(name) in (None, row[name]) for name in ("customer", "payment_intent"))
    ]
    return lists.page(world, request, rows)
