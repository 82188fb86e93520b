"""Sends webhooks: signed, at least once, in order to each destination, with back-off.

Each attempt is signed anew. Anything but a status up to 299 is tried again, at growing intervals.
"""

import http.client
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any, Protocol
from urllib.parse import urlsplit

from metronome_sandbox.kit.clock import Clock
from metronome_sandbox.kit.faults import Faults
from metronome_sandbox.kit.records import Delivery
from metronome_sandbox.kit.store import Store, Table

Sender = Callable[[str, bytes, dict[str, str]], int]
Signer = Callable[[str, datetime, bytes], dict[str, str]]  # secret, moment, body → headers

TIMEOUT_SECONDS = 10.0
STALE_BY = timedelta(minutes=10)
PATIENCE_SECONDS = 1.0  # how long a tick waits for its deliveries; slower receivers go on beside it


@dataclass(frozen=True)
class Retries:
    first: timedelta
    longest: timedelta
    give_up_after: timedelta

    def after(self, attempts: int) -> timedelta:
        doublings = min(attempts - 1, 20)
        return min(self.first * (1 << doublings), self.longest)


class World(Protocol):
    """What the postman needs to know of the sandbox it works for."""

    clock: Clock
    webhooks: list[tuple[str, str]]  # addresses and their secrets
    outbox: dict[str, Delivery]  # what is still to be sent

    @property
    def deliveries(self) -> Table[Delivery]: ...

    @property
    def store(self) -> Store: ...


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        return None


_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)


def _opener(url: str) -> urllib.request.OpenerDirector:
    """To this machine goes no proxy, to elsewhere the one of HTTP_PROXY and its kin,
    if there is one."""
    host = urlsplit(url).hostname or ""
    try:
        local = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        local = False
    return _direct if local else urllib.request.build_opener(_NoRedirect)


def send_over_http(url: str, body: bytes, headers: dict[str, str]) -> int:
    """Raises OSError when there is no connection or no answer."""
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")
    try:
        with _opener(url).open(request, timeout=TIMEOUT_SECONDS) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except http.client.HTTPException as error:
        raise OSError(str(error)) from error


class Postman:
    """Works under the lock of its sandbox, which is not held while a receiver thinks."""

    def __init__(
        self,
        world: World,
        faults: Faults,
        lock: threading.RLock,
        *,
        signer: Signer,
        retries: Retries,
        sender: Sender | None = None,
    ) -> None:
        self._world = world
        self._faults = faults
        self._lock = lock
        self._signer = signer
        self._retries = retries
        self._sender = sender or send_over_http
        self._served: set[str] = set()  # destinations that are being sent to

    def deliver(self) -> None:
        """Send what is due, to each destination in order.

        Over HTTP none waits for another: one that is still being served is left to it.
        """
        with self._lock:
            batches: dict[str, list[Delivery]] = {}
            for row in self._due():
                batches.setdefault(row.url, []).append(row)
            self._served |= batches.keys()
        if self._sender is not send_over_http:
            # In process: one after the other, so that a run can be repeated.
            try:
                for url, batch in batches.items():
                    self._serve(url, batch)
            finally:
                self._served -= batches.keys()
            return
        senders = [
            threading.Thread(target=self._serve, args=batch, daemon=True)
            for batch in batches.items()
        ]
        for sender in senders:
            sender.start()
        until = time.monotonic() + PATIENCE_SECONDS
        for sender in senders:
            sender.join(max(0, until - time.monotonic()))

    def _serve(self, url: str, batch: list[Delivery]) -> None:
        try:
            for row in batch:
                status, reason = self._attempt(row)
                with self._lock:
                    self._settle(row, status, reason)
                    self._world.store.flush()
        finally:
            with self._lock:
                self._served.discard(url)

    def _due(self) -> list[Delivery]:
        """The deliveries to attempt now, oldest first unless a fault says otherwise."""
        now = self._world.clock.now()
        ready: list[Delivery] = []
        for row in sorted(self._world.outbox.values(), key=lambda row: row.seq):
            if row.next_attempt_at is None or row.next_attempt_at > now or row.url in self._served:
                continue
            is_first = not (row.attempts or row.note)
            rule = self._faults.take("webhook", ("drop", "delay")) if is_first else None
            if rule is None:
                ready.append(row)
            elif rule.kind == "drop":
                self._close(row, "dropped by a fault")
            else:
                row.next_attempt_at = now + timedelta(seconds=rule.seconds)
                row.note = "delayed by a fault"
                self._world.deliveries.put(row)
        if len(ready) > 1 and self._faults.take("webhook", ("reorder",)):
            ready.reverse()
        return ready

    def _attempt(self, delivery: Delivery) -> tuple[int | None, str]:
        """One attempt: (status, reason). The status is None when nobody answered."""
        secrets = dict(reversed(self._world.webhooks))
        secret = secrets.get(delivery.url, "")
        body = delivery.body.encode()
        # A receiver beyond HTTP judges freshness by its own clock, where this one may stand still.
        over_http = self._sender is send_over_http
        at = datetime.now(UTC) if over_http else self._world.clock.wall()
        if self._faults.take("webhook", ("stale",)):
            at -= STALE_BY
        if self._faults.take("webhook", ("bad_signature",)):
            secret += " but wrong"
        try:
            status = self._sender(delivery.url, body, self._signer(secret, at, body))
            if self._faults.take("webhook", ("duplicate",)):
                status = self._sender(delivery.url, body, self._signer(secret, at, body))
        except OSError as error:
            return None, str(error) or type(error).__name__
        return status, ""

    def _settle(self, delivery: Delivery, status: int | None, reason: str) -> None:
        """Note an attempt and plan the next."""
        if delivery.id not in self._world.deliveries:
            return  # the sandbox was reset meanwhile
        now = self._world.clock.now()
        delivery.attempts += 1
        delivery.status = status
        delivery.sent_at = now
        if status is not None and status <= 299:
            self._close(delivery, "")
        elif now - delivery.created_at >= self._retries.give_up_after:
            self._close(delivery, f"given up: {reason or status}")
        else:
            delivery.note = reason
            delivery.next_attempt_at = now + self._retries.after(delivery.attempts)
            self._world.deliveries.put(delivery)

    def _close(self, delivery: Delivery, note: str) -> None:
        delivery.next_attempt_at = None
        delivery.note = note
        self._world.outbox.pop(delivery.id, None)
        self._world.deliveries.put(delivery)


def replay(world: World, delivery: Delivery) -> None:
    """Send it again as if new; its record is kept. Call under the lock."""
    delivery.created_at = delivery.next_attempt_at = world.clock.now()
    delivery.note = "replayed by hand"
    world.outbox[delivery.id] = world.deliveries.put(delivery)


def show(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "url": delivery.url,
        "status": delivery.status,
        "attempts": delivery.attempts,
        "sent_at": delivery.sent_at,
        "next_attempt_at": delivery.next_attempt_at,
        "note": delivery.note,
        "body": delivery.body,
    }
