"""Sends notifications: signed, at least once, with back-off.

The signature is the hex HMAC-SHA256 of the date header, one line feed and the exact body
(https://docs.metronome.com/guides/platform-configuration/setup-webhooks). Each attempt has a fresh
date. Anything but a status up to 299 is tried again, at growing intervals up to 15 minutes, for two
days.
"""

import hashlib
import hmac
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable, Container
from datetime import datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from sandbox.faults import Faults
from sandbox.records import Delivery
from sandbox.world import World

Sender = Callable[[str, bytes, dict[str, str]], int]

FIRST_RETRY = timedelta(seconds=1)
LONGEST_RETRY = timedelta(minutes=15)
GIVE_UP_AFTER = timedelta(days=2)
TIMEOUT_SECONDS = 10.0
STALE_BY = timedelta(minutes=10)


def sign(secret: str, date: str, body: bytes) -> str:
    return hmac.new(secret.encode(), date.encode() + b"\n" + body, hashlib.sha256).hexdigest()


def headers(secret: str, at: datetime, body: bytes) -> dict[str, str]:
    date = format_datetime(at, usegmt=True)
    return {
        "Content-Type": "application/json",
        "User-Agent": "Metronome",
        "Date": date,
        "X-Metronome-Date": date,
        "Metronome-Webhook-Signature": sign(secret, date, body),
    }


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


def due(world: World, faults: Faults, served: Container[str] = ()) -> list[Delivery]:
    """The deliveries to attempt now, oldest first unless a fault says otherwise.

    Destinations in `served` get none.

    Call under the lock.
    """
    now = world.clock.now()
    ready: list[Delivery] = []
    for row in sorted(world.outbox.values(), key=lambda row: row.seq):
        if row.next_attempt_at is None or row.next_attempt_at > now or row.url in served:
            continue
        rule = None if row.attempts or row.note else faults.take("webhook", ("drop", "delay"))
        if rule is None:
            ready.append(row)
        elif rule.kind == "drop":
            _close(world, row, "dropped by a fault")
        else:
            row.next_attempt_at = now + timedelta(seconds=rule.seconds)
            row.note = "delayed by a fault"
            world.store.deliveries.put(row)
    if len(ready) > 1 and faults.take("webhook", ("reorder",)):
        ready.reverse()
    return ready


def attempt(
    world: World, faults: Faults, delivery: Delivery, sender: Sender
) -> tuple[int | None, str]:
    """One attempt, outside the lock: (status, reason). The status is None when nobody answered."""
    secret = next((secret for url, secret in world.webhooks if url == delivery.url), "")
    body = delivery.body.encode()
    at = world.clock.wall()
    if faults.take("webhook", ("stale",)):
        at -= STALE_BY
    if faults.take("webhook", ("bad_signature",)):
        secret += " but wrong"
    try:
        status = sender(delivery.url, body, headers(secret, at, body))
        if faults.take("webhook", ("duplicate",)):
            status = sender(delivery.url, body, headers(secret, at, body))
    except OSError as error:
        return None, str(error) or type(error).__name__
    return status, ""


def settle(world: World, delivery: Delivery, status: int | None, reason: str) -> None:
    """Note an attempt and plan the next. Call under the lock."""
    if delivery.id not in world.store.deliveries:
        return  # the sandbox was reset meanwhile
    now = world.clock.now()
    delivery.attempts += 1
    delivery.status = status
    delivery.sent_at = now
    if status is not None and status <= 299:
        _close(world, delivery, "")
    elif now - delivery.created_at >= GIVE_UP_AFTER:
        _close(world, delivery, f"given up: {reason or status}")
    else:
        delivery.note = reason
        wait = min(FIRST_RETRY * 2 ** min(delivery.attempts - 1, 20), LONGEST_RETRY)
        delivery.next_attempt_at = now + wait
        world.store.deliveries.put(delivery)


def replay(world: World, delivery: Delivery) -> None:
    """Send it again as if new; its record is kept."""
    delivery.created_at = delivery.next_attempt_at = world.clock.now()
    delivery.note = "replayed by hand"
    world.outbox[delivery.id] = world.store.deliveries.put(delivery)


def _close(world: World, delivery: Delivery, note: str) -> None:
    delivery.next_attempt_at = None
    delivery.note = note
    world.outbox.pop(delivery.id, None)
    world.store.deliveries.put(delivery)


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
