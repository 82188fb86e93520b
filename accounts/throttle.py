"""Rate limits for login, signup, password reset and for entering the current password.

Attempts are counted per account and per network address in fixed windows, successful ones too. A
new window allows new attempts, so nobody is locked out permanently. Attempts are counted for
accounts that do not exist as well, so that a refusal does not reveal whether there is an account.
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

# Attempts per window, as (per account, per address). Many people may share one address, for example
# in an office or a school.
RATES = {
    "login": ("10/10m", "100/10m"),
    "signup": ("10/10m", "100/h"),
    "password reset": ("5/10m", "50/10m"),
    "confirmation": ("5/10m", ""),
    "current password": ("10/10m", "100/10m"),
    "second step": ("10/10m", "100/10m"),
    "passkey": ("", "100/10m"),
    "export": ("3/h", "100/h"),
    "unsent form": ("", "30/10m"),
    "preview": ("60/10m", ""),
    "draft": ("600/10m", ""),  # one a second, from all tabs and devices
    "upload": ("30/10m", ""),  # a document, to be read
    "archive": ("20/10m", ""),  # a folder as a file
    "webhook": ("60/10m", ""),  # tests and resends
    "free sentence": ("", "20/d"),  # on the front page
}


def throttled(action: str, *, account: str = "email") -> Callable[[View], View]:
    """Refuse POSTs of a view with 429 after too many attempts at `action`, a key of RATES.

    `account` is the form field that names the account.
    """

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
    """Refuse POSTs with 429 after too many attempts at entering the current password in `field`.

    Applies to logged-in users, because somebody else may be using their session.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def counted(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            has_password = (
                request.method == "POST"
                and request.user.is_authenticated
                and request.POST.get(field)
            )
            if has_password and (
                refusal := _count(request, "current password", f"id {request.user.pk}")
            ):
                return refusal
            return view(request, *args, **kwargs)

        return counted

    return decorate


def refusal(request: HttpRequest, action: str, *, account: str) -> HttpResponse | None:
    """Count one more `action` of the account and of the visitor's address.

    Returns the 429 response if that is over a limit, else None.
    """
    return _count(request, action, account)


def is_allowed(request: HttpRequest, action: str, *, account: str = "") -> bool:
    """Count one more `action` of the account, or else of the visitor's address.

    Returns whether it is within the limit.
    """
    account_rate, address_rate = RATES[action]
    if account:
        return not _wait_seconds(request, action, account_rate, f"account {account}")
    return not _wait_seconds(request, action, address_rate, f"address {address(request)}")


def is_allowed_in_all(request: HttpRequest, action: str, *, rate: str) -> bool:
    """Count one more `action` of everybody. Returns whether all together are within the rate."""
    return not _wait_seconds(request, f"{action} in all", rate, "everybody")


def address(request: HttpRequest) -> str:
    """The visitor's network address; an IPv6 address is cut to its /64 network.

    One person usually has a whole /64. Only the last TRUSTED_PROXIES entries of X-Forwarded-For are
    used, because our own proxies wrote those. A visitor can forge the entries before them.
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
    """Count one more attempt for the address, and for `account` unless it is empty.

    Returns the 429 response if that is over a limit, else None.
    """
    account_rate, address_rate = RATES[action]
    waits = [_wait_seconds(request, action, address_rate, f"address {address(request)}")]
    if name := typed.email(account):
        waits.append(_wait_seconds(request, action, account_rate, f"account {name}"))
    return _too_many(request, max(waits)) if any(waits) else None


def _wait_seconds(request: HttpRequest, action: str, rate: str, key: str) -> int:
    """Count one more attempt. Returns the seconds to wait if it is over the limit, else 0."""
    try:
        usage = get_usage(request, group=action, key=lambda *_: key, rate=rate, increment=True)
    except RedisError as error:
        # Without Redis, logging in without a limit is better than not logging in at all.
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
