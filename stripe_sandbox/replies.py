"""Idempotency keys: the same key with the same parameters gets the first answer again.

https://docs.stripe.com/api/idempotent_requests. A key is of one mode, and forgotten after 24 hours
by the sandbox's clock."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from metronome_sandbox.kit.http import Answer
from metronome_sandbox.kit.records import Reply
from stripe_sandbox.wire import ApiError, Request
from stripe_sandbox.world import World

KEPT_FOR = timedelta(hours=24)
LONGEST_KEY = 255


def fingerprint(request: Request, form: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps([request.path, form], sort_keys=True).encode()).hexdigest()


def _id(request: Request) -> str:
    return f"{'live' if request.livemode else 'test'} {request.idempotency_key}"


def kept(world: World, request: Request, print_: str) -> Answer | None:
    """The first answer, or None for a key that is new. Raises ApiError 400 for other parameters."""
    if request.idempotency_key is None:
        return None
    if len(request.idempotency_key) > LONGEST_KEY:
        raise ApiError(
            400,
            f"Idempotency keys can have at most {LONGEST_KEY} characters.",
            kind="idempotency_error",
            is_kept=False,
        )
    reply = world.store.replies.get(_id(request))
    if reply is None or request.now - reply.created_at >= KEPT_FOR:
        return None
    if reply.fingerprint != print_:
        raise ApiError(
            400,
            "Keys for idempotent requests can only be used with the same parameters they were "
            f"first used with. Try using a key other than '{request.idempotency_key}' if you "
            "meant to execute a different request.",
            kind="idempotency_error",
            is_kept=False,
        )
    headers = [("Idempotent-Replayed", "true"), ("Original-Request", reply.origin)]
    return Answer(reply.body.encode(), "application/json", reply.status, headers)


def keep(world: World, request: Request, print_: str, answer: Answer) -> None:
    if request.idempotency_key is None:
        return
    row_id = _id(request)
    world.store.replies.remove(row_id)
    reply = Reply(
        id=row_id,
        fingerprint=print_,
        status=answer.status,
        body=answer.body.decode(),
        created_at=request.now,
        origin=request.id,
    )
    world.store.replies.put(reply)


class Running:
    """The keys of requests that are being answered, which a second request must not use."""

    def __init__(self) -> None:
        self._keys: set[str] = set()
        self._lock = threading.Lock()

    @contextmanager
    def hold(self, request: Request) -> Iterator[None]:
        """Raises ApiError 409 while another request has the key."""
        if request.idempotency_key is None or request.method != "POST":
            yield
            return
        row_id = _id(request)
        with self._lock:
            if row_id in self._keys:
                raise ApiError(
                    409,
                    "There is currently another in-progress request using this Idempotent Key "
                    "(that probably means you submitted twice, and the other request is still "
                    f"going through): {request.idempotency_key}. Please try again later.",
                    "idempotency_key_in_use",
                )
            self._keys.add(row_id)
        try:
            yield
        finally:
            with self._lock:
                self._keys.discard(row_id)
