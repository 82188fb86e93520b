"""What a call of the API is: method, path, what answers it, its parameters and its right."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from stripe_sandbox.wire import Request
from stripe_sandbox.world import World

Handler = Callable[[World, Request], Any]
UNDATED = "ending_before limit starting_after"
PAGING = f"created {UNDATED}"
# The object of a path, by its beginning; the more special ones first.
KINDS = {
    "checkout/sessions/{id}/line_items": "item",
    "tax/calculations/{id}/line_items": "tax.calculation_line_item",
    "customers/{customer}/payment_methods": "payment_method",
    "customers/{customer}/tax_ids": "tax_id",
    "billing_portal/sessions": "billing_portal.session",
    "charges": "charge",
    "checkout/sessions": "checkout.session",
    "customers": "customer",
    "disputes": "dispute",
    "events": "event",
    "payment_intents": "payment_intent",
    "payment_methods": "payment_method",
    "radar/early_fraud_warnings": "radar.early_fraud_warning",
    "refunds": "refund",
    "reviews": "review",
    "setup_intents": "setup_intent",
    "tax/calculations": "tax.calculation",
}


@dataclass(frozen=True)
class Route:
    """`honours` are the parameters that have an effect; others are refused, not ignored."""

    method: str
    path: str
    handler: Handler
    params: type | None
    right: str
    level: str
    honours: frozenset[str] = field(default_factory=frozenset)

    @property
    def kind(self) -> str:
        """What object it answers with, or a list of."""
        return next(kind for path, kind in KINDS.items() if self.path.startswith(f"/v1/{path}"))

    @property
    def is_list(self) -> bool:
        return self.method == "GET" and not self.path.endswith("}")


def route(
    method: str, path: str, handler: Handler, type_: type | None, right: str, honours: str = ""
) -> Route:
    level = "read" if method == "GET" else "write"
    return Route(
        method, f"/v1/{path}", handler, type_, right, level, frozenset(f"expand {honours}".split())
    )


def get(path: str, handler: Handler, type_: type | None, right: str, honours: str = "") -> Route:
    return route("GET", path, handler, type_, right, honours)


def post(path: str, handler: Handler, type_: type | None, right: str, honours: str = "") -> Route:
    return route("POST", path, handler, type_, right, honours)
