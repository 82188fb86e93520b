"""Disputes and inquiries: opened by test cards or by hand, and decided by hand."""

from datetime import timedelta
from typing import Any

from stripe_sandbox import charges, lists, warnings
from stripe_sandbox.find import find
from stripe_sandbox.records import Due, Resource
from stripe_sandbox.wire import Request, unix
from stripe_sandbox.world import World

FEE_CENTS = 1500
DUE_AFTER = timedelta(days=9)
REASONS = (
    "bank_cannot_process",
    "check_returned",
    "credit_not_processed",
    "customer_initiated",
    "debit_not_authorized",
    "duplicate",
    "fraudulent",
    "general",
    "incorrect_account_details",
    "insufficient_funds",
    "noncompliant",
    "product_not_received",
    "product_unacceptable",
    "subscription_canceled",
    "unrecognized",
)
_FOLLOWING = {
    "needs_response": ("under_review", "won", "lost"),
    "under_review": ("won", "lost"),
    "warning_needs_response": ("warning_under_review", "warning_closed", "needs_response"),
    "warning_under_review": ("warning_closed", "needs_response"),
    "won": ("lost",),  # the bank may take it back
}
_EVIDENCE = [
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
]


def open_(
    world: World, charge: Resource, *, reason: str = "fraudulent", is_inquiry: bool = False
) -> Resource:
    """Raises ValueError if the charge cannot be disputed."""
    if reason not in REASONS:
        raise ValueError(f"reason must be one of {', '.join(REASONS)}")
    if charge["status"] != "succeeded":
        raise ValueError(f"{charge.id} took no money, so nobody disputes it")
    if charge["disputed"]:
        raise ValueError(f"{charge.id} is disputed already")
    now = world.clock.now()
    body = {
        "id": world.new_id("dp"),
        "object": "dispute",
        "amount": charge["amount"] - charge["amount_refunded"] or charge["amount"],
        "balance_transactions": [],
        "charge": charge.id,
        "created": unix(now),
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": dict.fromkeys(_EVIDENCE) | {"enhanced_evidence": {}},
        "evidence_details": {
            "due_by": unix(now + DUE_AFTER),
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": is_inquiry,
        "livemode": charge["livemode"],
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "card": {
                "brand": charge["payment_method_details"]["card"]["brand"],
                "case_type": "inquiry" if is_inquiry else "chargeback",
                "network": charge["payment_method_details"]["card"]["network"],
                "network_reason_code": "10.4" if reason == "fraudulent" else "13.1",
            },
            "type": "card",
        },
        "reason": reason,
        "status": "warning_needs_response" if is_inquiry else "needs_response",
    }
    row = Resource(id=str(body["id"]), body=body)
    world.store.disputes.put(row)
    world.change(world.store.charges, charge, disputed=True)
    if not is_inquiry:
        _move(world, row, -1)
    world.emit("charge.dispute.created", row)
    if not is_inquiry:
        world.emit("charge.dispute.funds_withdrawn", row)
    warnings.no_longer_actionable(world, charge)
    return row


def open_later(world: World, due: Due) -> None:
    charge = world.store.charges[due.ref]
    if not charge["disputed"] and not charge["refunded"]:
        open_(world, charge, reason=due.detail, is_inquiry=due.kind == "inquiry")


def _move(world: World, row: Resource, sign: int) -> None:
    """Take the money for the dispute, with its fee, or give it back."""
    fee = FEE_CENTS if sign < 0 else 0
    line_id = charges.book(world, row, sign * row["amount"], "adjustment", fee=fee)
    line = world.store.balance_transactions[line_id]
    row.body["balance_transactions"] = [*row["balance_transactions"], dict(line.body)]


def following(row: Resource) -> tuple[str, ...]:
    """The statuses that can come next."""
    return _FOLLOWING.get(row["status"], ())


def move_on(world: World, row: Resource, status: str) -> None:
    """Raises ValueError for a status that cannot follow."""
    if status not in following(row):
        known = ", ".join(following(row)) or "nothing"
        raise ValueError(f"after {row['status']} comes {known}")
    before = {"status": row["status"]}
    escalated = status == "needs_response"
    if escalated:
        row.body["is_charge_refundable"] = False
        details = row["payment_method_details"]
        row.body["payment_method_details"] = {
            **details,
            "card": {**details["card"], "case_type": "chargeback"},
        }
        _move(world, row, -1)
    taken_back = row["status"] == "won" and status == "lost"
    if status == "won" or taken_back:
        _move(world, row, 1 if status == "won" else -1)
    row.body["status"] = status
    if status in ("under_review", "warning_under_review"):
        details = {"has_evidence": True, "submission_count": 1}
        row.body["evidence_details"] = {**row["evidence_details"], **details}
    world.store.disputes.put(row)
    if status in ("won", "lost", "warning_closed"):
        world.emit("charge.dispute.closed", row)
        if status == "won":
            world.emit("charge.dispute.funds_reinstated", row)
    else:
        world.emit("charge.dispute.updated", row, before)
    if escalated or taken_back:
        world.emit("charge.dispute.funds_withdrawn", row)


def retrieve(world: World, request: Request) -> Resource:
    return find(world.store.disputes, request.names["id"], "dispute", request)


def list_(world: World, request: Request) -> dict[str, Any]:
    given = request.given
    rows = [
        row
        for row in world.store.disputes
        if all(given.get(name) in (None, row[name]) for name in ("charge", "payment_intent"))
    ]
    return lists.page(world, request, rows)
