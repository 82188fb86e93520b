"""The SDK's client, and what all calls share: time-outs, errors, the types of answers."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from ipaddress import ip_address
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
import stripe
from django.conf import settings
from requests.adapters import HTTPAdapter

from billing.payments.gateways import GatewayUnavailable

from .errors import REFUSED_PAUSE_SECONDS, translated

# Written out, because the SDK's own default moves with each of its minor releases.
API_VERSION = "2026-10-28.endive"
TIMEOUT_SECONDS = (5, 25)  # to connect, and for each read
PAGE_TIMEOUT_SECONDS = (2, 4)  # for what a customer waits for
PAGE_SECONDS = 8  # after which no further call is begun for a page
WHOLE_SECONDS = 30  # for the body of an answer: the time-out of a read begins anew with each byte
CHUNK_BYTES = 65_536
PAGE = 100  # objects of a list; Stripe has no larger ones

# Otherwise the SDK sends figures about itself, and writes a file to the home of the process.
stripe.enable_telemetry = False

T = TypeVar("T")

_timeout: ContextVar[tuple[float, float]] = ContextVar("timeout", default=TIMEOUT_SECONDS)
_until: ContextVar[float | None] = ContextVar("until", default=None)


def client() -> stripe.StripeClient:
    """The process's one client for the time-out in force. Threads may share it."""
    return _client(_timeout.get())


@contextmanager
def for_page() -> Iterator[None]:
    """Calls in the block give up after seconds, because a customer waits for the page."""
    timeout = _timeout.set(PAGE_TIMEOUT_SECONDS)
    until = _until.set(time.monotonic() + PAGE_SECONDS)
    try:
        yield
    finally:
        _timeout.reset(timeout)
        _until.reset(until)


def call(ask: Callable[[], T]) -> T:
    """The answer of one call. Raises one of our errors, Unavailable or Rejected."""
    until = _until.get()
    if until is not None and time.monotonic() > until:
        raise GatewayUnavailable("Stripe is slow")
    try:
        answer = ask()
    except stripe.StripeError as error:
        raise translated(error) from error
    if not isinstance(answer, stripe.StripeObject):  # an answer of `null` or a list raises nothing
        raise GatewayUnavailable("Stripe's answer was no object", is_doubtful=True)
    return answer


def pages(listing: Callable[[Any], stripe.StripeObject], **fields: Any) -> Iterator[dict[str, Any]]:
    """All objects of a list, a page at a time."""
    asked: Any = {"limit": PAGE, **fields}
    while True:
        page = plain(call(partial(listing, asked)))
        yield from page["data"]
        if not page["has_more"] or not page["data"]:
            return
        asked = asked | {"starting_after": page["data"][-1]["id"]}


def plain(answer: stripe.StripeObject) -> dict[str, Any]:
    """The answer as a dict of plain values; a StripeObject itself has no `get`."""
    found: dict[str, Any] = answer.to_dict(for_json=True)
    return found


@functools.cache
def _client(timeout: tuple[float, float]) -> stripe.StripeClient:
    if not settings.STRIPE_SECRET_KEY:
        raise GatewayUnavailable(
            "STRIPE_SECRET_KEY is not set", pause_seconds=REFUSED_PAUSE_SECONDS
        )
    return stripe.StripeClient(
        settings.STRIPE_SECRET_KEY,
        stripe_version=API_VERSION,
        max_network_retries=0,  # a row tries again later, and the worker goes on with other rows
        http_client=stripe.RequestsClient(timeout=timeout, session=_session()),
        base_addresses={"api": settings.STRIPE_API_URL},
    )


def _session() -> requests.Session:
    session = requests.Session()
    if _is_local(settings.STRIPE_API_URL):
        session.trust_env = False  # no proxy of the environment stands between us and this machine
    for scheme in ("https://", "http://"):
        session.mount(scheme, _WholeAnswer())
    return session


class _WholeAnswer(HTTPAdapter):
    """Gives up on an answer whose bytes drip in, each within its time-out."""

    def send(self, request: Any, stream: bool = False, *args: Any, **rest: Any) -> Any:
        response = super().send(request, True, *args, **rest)
        until = time.monotonic() + WHOLE_SECONDS
        body = bytearray()
        try:
            while chunk := response.raw.read1(CHUNK_BYTES, decode_content=True):
                body += chunk
                if time.monotonic() > until:
                    raise requests.ReadTimeout("the answer took too long", request=request)
        except BaseException:
            response.close()
            raise
        response._content = bytes(body)
        return response


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
