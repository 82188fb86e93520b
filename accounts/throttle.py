"""How often one may try to log in, to sign up, to ask for a new password, or to say the current
one: for each account and each address.

Every try counts, right or wrong, for a fixed window; then one may go on, so nobody is locked out
for ever. An account's tries are counted whether or not there is such an account, so that a refusal
tells nothing about it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from functools import wraps
from ipaddress import IPv6Address, ip_address
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django_ratelimit.core import get_usage
from redis import RedisError

from . import typed
from .access import View, refuse, wants_json

logger = logging.getLogger(__name__)

# Tries per window, of (account, address). Many people may share one address: an office, a school.
RATES = {
    "login": ("10/10m", "100/10m"),
    "signup": ("10/10m", "100/h"),
    "password reset": ("5/10m", "50/10m"),
    "current password": ("10/10m", "100/10m"),
    "unsent form": ("", "30/10m"),
}


def throttled(action: str, *, account: str = "email") -> Callable[[View], View]:
    """Refuse the POSTs of a view with 429 once there were too many.
    `account` is the form field that names the account."""

    def decorate(view: View) -> View:
        @wraps(view)
        def counted(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method == "POST" and (
                refusal := _count(request, action, request.POST.get(account, ""))
            ):
                return refusal
            return view(request, *args, **kwargs)

        return counted

    return decorate


def throttled_password(field: str) -> Callable[[View], View]:
    """The same for the POSTs of one who is logged in that say the current password in `field`:
    the session may be another's."""

    def decorate(view: View) -> View:
        @wraps(view)
        def counted(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            says_it = (
                request.method == "POST"
                and request.user.is_authenticated
                and request.POST.get(field)
            )
            if says_it and (
                refusal := _count(request, "current password", f"id {request.user.pk}")
            ):
                return refusal
            return view(request, *args, **kwargs)

        return counted

    return decorate


def is_allowed(request: HttpRequest, action: str) -> bool:
    """Count one more of something that is just left undone when it is too much for one address."""
    return not _wait_seconds(request, action, RATES[action][1], f"address {address(request)}")


def address(request: HttpRequest) -> str:
    """The visitor's address, an IPv6 one cut to its /64, of which one person has all.

    X-Forwarded-For is believed only as far as our own proxies wrote it (TRUSTED_PROXIES), counted
    from its end: what stands before that may be the visitor's invention.
    """
    hops = request.headers.get("X-Forwarded-For", "").split(",")
    proxies = settings.TRUSTED_PROXIES
    text = hops[-proxies] if 0 < proxies <= len(hops) else request.META.get("REMOTE_ADDR", "")
    try:
        found = ip_address(text.strip())
    except ValueError:
        return "unknown"
    if not isinstance(found, IPv6Address):
        return str(found)
    return str(found.ipv4_mapped or IPv6Address(int(found) >> 64 << 64))


def _count(request: HttpRequest, action: str, account: str) -> HttpResponse | None:
    """Count one more try, for the address and for the account if there is a name;
    a refusal if that is one too many."""
    account_rate, address_rate = RATES[action]
    waits = [_wait_seconds(request, action, address_rate, f"address {address(request)}")]
    if name := typed.email(account):
        waits.append(_wait_seconds(request, action, account_rate, f"account {name}"))
    return _too_many(request, max(waits)) if any(waits) else None


def _wait_seconds(request: HttpRequest, action: str, rate: str, key: str) -> int:
    """Count one more try; how long to wait if that is one too many, else 0."""
    try:
        usage = get_usage(request, group=action, key=lambda *_: key, rate=rate, increment=True)
    except RedisError as error:
        # Better than that nobody can log in.
        logger.warning("%s is not throttled: %s", action, error)
        return 0
    return max(1, usage["time_left"]) if usage and usage["should_limit"] else 0


def _too_many(request: HttpRequest, seconds: int) -> HttpResponse:
    minutes = math.ceil(seconds / 60)
    if wants_json(request):
        response = refuse(429, "Too many attempts. Wait and try again.")
    else:
        response = render(request, "429.html", {"minutes": minutes}, status=429)
    response["Retry-After"] = str(seconds)
    return response
