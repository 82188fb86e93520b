"""Customers' own programs that are told of events: they answer, fail, fall silent, or want no more.

The calls of a delivery are made in this thread, so that a seed is one run.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import random
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import Any, Self
from unittest.mock import patch
from uuid import UUID

from notifications import delivery, endpoints, network, signature
from notifications.endpoints import EndpointRefused
from notifications.kinds import KINDS
from notifications.models import OutboundWebhook, WebhookEndpoint
from notifications.network import Answer

from .operators import Operators
from .stage import _unforeseen

SILENCE = Answer(failure="There was no answer.", seconds=network.TOTAL_SECONDS)
ANSWERS = {
    "fine": Answer(200),
    "slow": Answer(204, seconds=6),
    "broken": Answer(500, b"broken"),
    "busy": Answer(503, retry_after="5400"),
    "silent": SILENCE,
    "gone": Answer(410),
}
# How a receiver answers, by chance. When bad luck is over, all but the dead ones are fine.
DEAD = "dead"
MOODS = {
    "good": {"fine": 90, "broken": 5, "silent": 5},
    "troubled": {"fine": 35, "slow": 15, "broken": 20, "busy": 10, "silent": 20},
    "leaving": {"fine": 85, "gone": 15},
    DEAD: {"broken": 50, "silent": 50},
}
SETTLE_HOURS, SETTLE_TRIES = 6, 13  # more than three days


class InThisThread(Executor):
    """Calls at once what it is given. The death of the process ends all of it."""

    def __init__(self, max_workers: int) -> None:
        pass

    def submit(self, act: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(act(*args, **options))
        except Exception as error:
            future.set_exception(error)
        return future


@dataclass
class Receiver:
    """A customer's program, and what it knows by itself."""

    mood: str
    since: datetime | None = None  # from when on its endpoint was there for certain
    wants_all: bool = True  # always has
    was_off: bool = False
    got: dict[str, bytes] = field(default_factory=dict)
    accepted: set[str] = field(default_factory=set)


class Hooks(Operators):
    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.receivers: dict[str, Receiver] = {}  # by address

    @contextmanager
    def running(self) -> Iterator[Self]:
        secrets = random.Random(self.seed)
        named = SimpleNamespace(token_bytes=secrets.randbytes)
        with super().running(), ExitStack() as stack:
            for holder, name, replacement in (
                (signature, "secrets", named),
                (delivery, "ThreadPoolExecutor", InThisThread),
                (delivery.network, "post", self._post),
                (delivery.logger, "error", _unforeseen),
            ):
                stack.enter_context(patch.object(holder, name, replacement))
            yield self

    # --- What customers do

    def add_endpoint(self) -> None:
        """A form is sent once or twice."""
        if customer := self.anyone():
            key, kinds = self.key("hook"), list(KINDS)
            receiver = Receiver(self.dice.choices(list(MOODS), [55, 25, 10, 10])[0])
            if self.dice.random() < 0.2:
                receiver.wants_all, kinds = False, self.dice.sample(kinds, 3)
            url = f"https://{key}.example.com/"
            self.receivers[url] = receiver
            for _ in range(self.dice.choice([1, 1, 2])):
                with suppress(EndpointRefused):
                    endpoints.create(customer, url, kinds, self.now(), key=key)
                    receiver.since = receiver.since or self.now()

    def change_endpoint(self) -> None:
        """Another address, other events, another secret; off, on, or away. Also while something is
        sent to it."""
        kept = WebhookEndpoint.objects.kept().filter(customer__user__is_active=True)
        found = list(kept.order_by("created_at", "key"))
        if found:
            endpoint, now = self.dice.choice(found), self.now()
            receiver = self.receivers[endpoint.url]
            match self.dice.choice(["move", "wants", "rotate", "off", "on", "on", "delete"]):
                case "move":
                    url = f"https://{self.key('hook')}.example.com/"
                    self.receivers[url] = receiver
                    endpoints.change(endpoint, now, url=url)
                case "wants":
                    receiver.wants_all = False
                    endpoints.change(endpoint, now, events=self.dice.sample(list(KINDS), 4))
                case "rotate":
                    with suppress(EndpointRefused):
                        endpoints.rotate(endpoint, now)
                case "off":
                    receiver.was_off = True
                    endpoints.change(endpoint, now, enabled=False)
                case "on":
                    endpoints.change(endpoint, now, enabled=True)
                case "delete":
                    endpoints.delete(endpoint, now)

    def send_again(self) -> None:
        rows = list(OutboundWebhook.objects.order_by("created_at", "kind", "key", "endpoint__key"))
        if rows:
            with suppress(EndpointRefused):
                endpoints.resend(self.dice.choice(rows), self.now())

    # --- What receivers do

    def _post(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        def broken_off() -> Answer:
            return SILENCE

        return self.chaos.call(
            f"POST {url}",
            lambda: self._take_event(url, body, headers),
            {"refused": broken_off, "lost": broken_off},
        )

    def _take_event(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        receiver, id = self.receivers[url], headers["webhook-id"]
        row = OutboundWebhook.objects.filter(pk=UUID(id.removeprefix("msg_"))).first()
        # Deleted in this moment, nothing is left of it.
        assert row or not WebhookEndpoint.objects.filter(url=url).exists(), f"of no event: {id}"
        if row:
            assert row.body.encode() == body, f"{row} says something else now"
            assert _is_signed(row.endpoint, id, body, headers), f"{row} is signed by nobody"
        assert receiver.got.setdefault(id, body) == body, f"{id} came with two contents"
        mood = MOODS[receiver.mood]
        how = self.dice.choices(list(mood), list(mood.values()))[0]
        if self.chaos.calm and receiver.mood != DEAD:
            how = "fine"
        if how == "gone":
            receiver.was_off = True
        if how in ("fine", "slow"):
            receiver.accepted.add(id)
        return ANSWERS[how]

    # --- The end

    def settle_deliveries(self) -> None:
        """No more happens, and what waits is sent, or given up after its three days."""
        for _ in range(SETTLE_TRIES):
            while delivery.deliver(self.now()):
                self.advance(minutes=2)  # a slow receiver rests
            if not OutboundWebhook.objects.filter(state="pending").exists():
                break
            self.advance(hours=SETTLE_HOURS)


def _is_signed(endpoint: WebhookEndpoint, id: str, body: bytes, headers: dict[str, str]) -> bool:
    """By a secret that its customer knows, the present one or the one before it."""
    signed = f"{id}.{headers['webhook-timestamp']}.".encode() + body
    known = [secret for secret in (endpoint.secret, endpoint.former_secret) if secret]
    return any(
        hmac.compare_digest(given.removeprefix("v1,"), _signature(secret, signed))
        for given in headers["webhook-signature"].split(" ")
        for secret in known
    )


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
