"""What the sandbox answers with, in the API's shapes."""

import json
from typing import Any

from metronome_sandbox.kit.faults import Fault
from metronome_sandbox.kit.http import Answer
from stripe_sandbox.wire import API, API_VERSION, ApiError, Request, dump

_FAULTS: dict[int, dict[str, Any]] = {
    401: {"message": "Invalid API Key provided: sk_test_****", "type": "invalid_request_error"},
    409: {
        "code": "lock_timeout",
        "message": "This object cannot be accessed right now because another API request or Stripe "
        "process is currently accessing it. If you see this error intermittently, retry the "
        "request.",
        "type": "invalid_request_error",
    },
    429: {
        "code": "rate_limit",
        "message": "Request rate limit exceeded. Learn more about rate limits here "
        "https://docs.stripe.com/rate-limits.",
        "type": "invalid_request_error",
    },
}


def json_answer(result: Any, status: int = 200) -> Answer:
    return Answer(dump(result).encode(), "application/json", status)


def error_answer(error: ApiError) -> Answer:
    return json_answer({"error": error.error}, error.status)


def fault_answer(fault: Fault) -> Answer:
    """What was asked for: a body as text goes out as HTML, as from a proxy in between."""
    if isinstance(fault.body, str):
        return Answer(fault.body.encode(), "text/html", fault.status)
    standing = {"message": f"A fault was asked for: {fault.status}", "type": API}
    body = fault.body or {"error": _FAULTS.get(fault.status, standing)}
    return Answer(json.dumps(body).encode(), "application/json", fault.status)


def mark(answer: Answer, request: Request) -> Answer:
    """The headers that every answer of the API has."""
    answer.headers += [("Request-Id", request.id), ("Stripe-Version", API_VERSION)]
    if request.idempotency_key is not None:
        answer.headers.append(("Idempotency-Key", request.idempotency_key))
    return answer
