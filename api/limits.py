"""How many requests a key and an account may make: in a minute, and at once.

The plan decides (`billing.plans.Rate`); an account has twice what one of its keys has, so that one
program leaves room for another. The counters are in the cache, which all web processes share when
it is Redis. Each is changed by one atomic step, so requests in parallel are no way around it.

A request at once holds a place of its key and one of its account until its answer is sent. A place
is let for LEASE_SECONDS and extended while an answer is streamed: what a process that died had
taken is free again by itself. Without the cache nobody is refused.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
import weakref
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.http import HttpResponseBase
from redis import RedisError

from accounts.models import ApiKey
from billing import plans
from billing.subscriptions.choose import current_plan

from .failures import Failure

logger = logging.getLogger(__name__)

WINDOW_SECONDS = 60
LEASE_SECONDS = 120  # longer than any answer that is not streamed takes
EXTEND_SECONDS = 30  # how often it is extended
BUSY_SECONDS = 2  # after which a place may be free
COMPLAIN_SECONDS = 60

_complained_at = -float(COMPLAIN_SECONDS)
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Usage:
    """What a key or an account has used of its limit in this minute, this request included."""

    name: str
    limit: int
    used: int

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.used)


@dataclass(eq=False)
class Admission:
    """A request that may be made. `leave` it when its answer is sent; twice is as once."""

    usages: list[Usage] = field(default_factory=list)
    resets_seconds: int = WINDOW_SECONDS
    at_once: int = 0  # requests of the key, with this one
    at_once_max: int = 0
    _places: list[str] = field(default_factory=list)
    _token: str = field(default_factory=lambda: secrets.token_hex(8))
    _extended_at: float = field(default_factory=time.monotonic)

    @property
    def headers(self) -> dict[str, str]:
        """As the draft of the RateLimit fields has them."""
        return {
            "RateLimit-Policy": ", ".join(
                f'"{usage.name}";q={usage.limit};w={WINDOW_SECONDS}' for usage in self.usages
            ),
            "RateLimit": ", ".join(
                f'"{usage.name}";r={usage.remaining};t={self.resets_seconds}'
                for usage in self.usages
            ),
        }

    def take(self, name: str, places: int) -> int | None:
        """Take one of so many places. Returns how many are taken with it, None if all were."""
        names = [f"api:at-once:{name}:{number}" for number in range(places)]
        taken = cache.get_many(names)
        for number, place in enumerate(place for place in names if place not in taken):
            if cache.add(place, self._token, LEASE_SECONDS):
                self._places.append(place)
                return len(taken) + number + 1
        return None

    @property
    def is_to_be_extended(self) -> bool:
        return time.monotonic() - self._extended_at >= EXTEND_SECONDS

    def extend(self) -> None:
        """Keep the places while the answer takes longer."""
        self._extended_at = time.monotonic()
        with suppress(RedisError):
            for place in self._places:
                cache.touch(place, LEASE_SECONDS)

    def leave(self) -> None:
        """Give the places back."""
        places, self._places = self._places, []
        with suppress(RedisError):  # they are free by themselves soon
            for place in places:
                if cache.get(place) == self._token:
                    cache.delete(place)


def enter(key: ApiKey, now: datetime) -> Admission:
    """Count a request of a key, and take its places. Raises Failure, 429, over a limit."""
    admission = Admission()
    if not settings.RATELIMIT_ENABLE:
        return admission
    rate = rate_of(key)
    try:
        _count(admission, key, rate, now)
        _take_places(admission, key, rate)
    except RedisError as error:
        # Without Redis, speaking without a limit is better than not speaking at all.
        admission.leave()
        _complain(error)
        return Admission()
    except Failure:
        admission.leave()
        raise
    return admission


def rate_of(key: ApiKey) -> plans.Rate:
    """What a key may do on its customer's plan."""
    subscription = current_plan(key.customer)
    return plans.rate(subscription.plan if subscription else None)


def attach(admission: Admission, response: HttpResponseBase) -> None:
    """Have the places given back when the response is sent, or will never be."""
    closers: list[Any] = response._resource_closers  # type: ignore[attr-defined]
    closers.append(admission.leave)
    # Of an answer that nobody waits for any more Django forgets to close it.
    weakref.finalize(response, admission.leave).atexit = False
    if getattr(response, "is_async", False):
        content = response._iterator  # type: ignore[attr-defined]
        response.streaming_content = _held(content, admission)  # type: ignore[attr-defined]


async def _held(
    content: AsyncIterator[bytes] | AsyncGenerator[bytes, None], admission: Admission
) -> AsyncGenerator[bytes, None]:
    async def pieces() -> AsyncGenerator[bytes, None]:
        async for piece in content:
            yield piece

    whole = content if isinstance(content, AsyncGenerator) else pieces()
    try:
        async with aclosing(whole):
            async for piece in whole:
                yield piece
                if admission.is_to_be_extended:
                    await asyncio.to_thread(admission.extend)
    finally:
        await asyncio.shield(asyncio.to_thread(admission.leave))


def _count(admission: Admission, key: ApiKey, rate: plans.Rate, now: datetime) -> None:
    """Count the request for its key, and if that has one left, for its account."""
    minute, second = divmod(int(now.timestamp()), WINDOW_SECONDS)
    admission.resets_seconds = WINDOW_SECONDS - second
    over = None
    for name, owner, limit in (
        ("key", key.pk, rate.requests_a_minute),
        ("account", key.customer_id, rate.of_account.requests_a_minute),
    ):
        counter = f"api:minute:{name}:{owner}:{minute}"
        # What a key is refused is no loss of the account's other keys.
        used = cache.get(counter, 0) if over else _counted(counter)
        usage = Usage(name, limit, used)
        admission.usages.append(usage)
        if not over and used > limit:
            over = usage
    if over:
        raise _too_many(
            f"{_whose(over.name)} has made {over.limit:,} requests in this minute, as many as "
            f"your plan allows. Try again in {admission.resets_seconds} s.",
            admission.resets_seconds,
            admission,
        )


def _counted(name: str) -> int:
    """Count one more, and say how many it are."""
    with suppress(ValueError):  # the first of its minute
        return cache.incr(name)
    if cache.add(name, 1, 2 * WINDOW_SECONDS):
        return 1
    return cache.incr(name)


def _take_places(admission: Admission, key: ApiKey, rate: plans.Rate) -> None:
    for name, owner, places in (
        ("key", key.pk, rate.requests_at_once),
        ("account", key.customer_id, rate.of_account.requests_at_once),
    ):
        taken = admission.take(f"{name}:{owner}", places)
        admission.at_once_max = admission.at_once_max or places
        if taken is None:
            raise _too_many(
                f"{_whose(name)} makes {places:,} requests at once, as many as your plan allows. "
                "Wait until one is answered.",
                BUSY_SECONDS,
                admission,
            )
        admission.at_once = admission.at_once or taken


def _whose(name: str) -> str:
    return "This API key" if name == "key" else "Your account"


def _too_many(message: str, seconds: int, admission: Admission) -> Failure:
    return Failure(
        429, "rate_limit_exceeded", message, headers=admission.headers, retry_after_seconds=seconds
    )


def _complain(error: RedisError) -> None:
    global _complained_at
    with _lock:
        if time.monotonic() - _complained_at < COMPLAIN_SECONDS:
            return
        _complained_at = time.monotonic()
    logger.warning("requests of the API are not limited: %s", error)
