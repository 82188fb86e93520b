"""`Idempotency-Key` of requests that make something with a secret: sent again they make no other.

The secret is in the answer of the first minute, however often the request is sent. Later the answer
says what was made, and that its secret is not shown twice.
"""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID

from ninja.params.functions import Header

from api.failures import Failure

DESCRIPTION = (
    "With an `Idempotency-Key` the same request again makes no second one: within a minute it is"
    " answered alike and says `Idempotent-Replayed: true`, later it is refused with 409"
    " `already_made` and the id. A request that was refused leaves nothing under its key."
)
HEADER: Any = Header(
    None, alias="Idempotency-Key", min_length=1, max_length=128, pattern="^[!-~]+$"
)


def named(request: Any, idempotency_key: str) -> str:
    """The name of a request: each API key has idempotency keys of its own."""
    return hashlib.sha256(f"{request.api_key.pk} {idempotency_key}".encode()).hexdigest()


def already_made(what: str, id: UUID, message: str) -> Failure:
    return Failure(409, "already_made", message.format(id=id), details={what: str(id)})


def reused(what: str, id: UUID) -> Failure:
    return Failure(
        422,
        "key_reused",
        f"This Idempotency-Key has made {id}, by another request. Use a new one.",
        details={what: str(id)},
    )
