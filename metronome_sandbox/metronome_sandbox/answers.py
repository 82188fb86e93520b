"""What the sandbox answers with, in the API's shapes."""

import json
from typing import Any

from metronome_sandbox.kit.faults import Fault
from metronome_sandbox.kit.http import Answer
from metronome_sandbox.wire import ApiError, dump


def json_answer(result: Any) -> Answer:
    return Answer(b"" if result is None else dump(result).encode(), "application/json")


def error_answer(error: ApiError, path: str) -> Answer:
    body: dict[str, Any] = {"message": error.message, **error.extra}
    if path.startswith("/v2/"):
        names = {
            400: "BadRequest",
            401: "Unauthorized",
            404: "NotFound",
            405: "MethodNotAllowed",
            409: "Conflict",
            501: "NotImplemented",
        }
        body = {"code": error.code or names.get(error.status, "InternalServerError"), **body}
    # Clients retry a conflict by themselves; a key that is taken stays taken.
    headers = [("x-should-retry", "false")] if error.status in (409, 501) else []
    if error.allow is not None:
        headers.append(("Allow", error.allow))
    return Answer(dump(body).encode(), "application/json", error.status, headers)


def fault_answer(fault: Fault) -> Answer:
    body = (
        {"message": f"A fault was asked for: {fault.status}"} if fault.body is None else fault.body
    )
    headers = [("X-Metronome-Rate-Limit-Type", "client")] if fault.status == 429 else []
    return Answer(json.dumps(body).encode(), "application/json", fault.status, headers)
