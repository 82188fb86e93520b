"""The edge to Metronome: its SDK's client, and what everything said to it has in common."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

import httpx
import metronome
from django.conf import settings
from metronome import Metronome
from metronome._base_client import BaseSyncPage  # no public name; a page must be told from a page of HTML

from jobs.errors import Rejected, Unavailable

from .network import http_client
from .redaction import without_secrets

READ_TIMEOUT_SECONDS = 10  # also of ingest; the lease of a batch of events (120 s) outlives ten of them
WRITE_TIMEOUT_SECONDS = 30
REFUSED_PAUSE_SECONDS = 60  # a refused key refuses every row: the job pauses, no row counts an attempt
RETRY_AFTER_MAX_SECONDS = 300
NOT_FOUND_PAUSE_SECONDS = 10

T = TypeVar("T")


class MetronomeUnavailable(Unavailable):
    """Try again: no connection, no answer in time, too many calls, their fault, or an answer nobody can read."""


class NotFound(MetronomeUnavailable):
    """Something every contract stands on is missing: everything waits until bootstrap_metronome has made it."""


class MetronomeRejected(Rejected):
    """Understood and refused. `status` is the HTTP status, `text` Metronome's own words."""

    def __init__(self, message: str, *, status: int = 400, text: str = "") -> None:
        super().__init__(message)
        self.status, self.text = status, text


class AlreadyDone(MetronomeRejected):
    """The key of this write was used before, by us. The answer does not say for what: find it by the same text."""


_hurry_seconds: ContextVar[float | None] = ContextVar("hurry_seconds", default=None)
_known: WeakKeyDictionary[Metronome, dict[str, Any]] = WeakKeyDictionary()  # per client: ids that do not change


@functools.cache
def client() -> Metronome:
    """The process's one client. Nothing is made at import; threads may share it."""
    if not settings.METRONOME_API_KEY:
        raise MetronomeUnavailable("METRONOME_API_KEY is not set", pause_seconds=REFUSED_PAUSE_SECONDS)
    return Metronome(
        bearer_token=settings.METRONOME_API_KEY,
        base_url=settings.METRONOME_API_URL,
        http_client=http_client(settings.METRONOME_API_URL),
        timeout=httpx.Timeout(READ_TIMEOUT_SECONDS, connect=5),
        max_retries=0,  # the SDK sleeps as long as Metronome asks for; a row waits without keeping a worker from the others
    )


@contextmanager
def hurry(seconds: float) -> Iterator[None]:
    """Inside, calls of this thread wait `seconds` at most: for the health page."""
    token = _hurry_seconds.set(seconds)
    try:
        yield
    finally:
        _hurry_seconds.reset(token)


def reader() -> Metronome:
    seconds = _hurry_seconds.get()
    return client() if seconds is None else client().with_options(timeout=seconds)


def writer() -> Metronome:
    return remember("writer", lambda: client().with_options(timeout=WRITE_TIMEOUT_SECONDS))


def remember(name: str, find: Callable[[], T]) -> T:
    known = _known.setdefault(client(), {})
    if name not in known:
        known[name] = find()
    return known[name]


@contextmanager
def talk(what: str, *, conflict: type[MetronomeRejected] | None = None) -> Iterator[None]:
    """Turn whatever the SDK or an unreadable answer raises into our two kinds. `conflict` is what a 409 means here."""
    try:
        yield
    except metronome.APIStatusError as error:
        raise _of_status(what, error, conflict) from error
    except (metronome.MetronomeError, httpx.HTTPError) as error:
        raise MetronomeUnavailable(f"{what}: {without_secrets(str(error))}") from error
    except (AttributeError, LookupError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        # The SDK hands an answer that breaks its schema on as it is: HTML as a str, a missing field as no attribute.
        raise MetronomeUnavailable(f"{what}: Metronome's answer cannot be read ({error})") from error


def _of_status(
    what: str, error: metronome.APIStatusError, conflict: type[MetronomeRejected] | None
) -> MetronomeUnavailable | MetronomeRejected:
    status, body = error.status_code, error.body
    text = without_secrets(str(body.get("message") or body) if isinstance(body, dict) else error.message)
    message = f"{what}: {status} {text[:500]}"
    if status in (401, 403):
        return MetronomeUnavailable(message, pause_seconds=REFUSED_PAUSE_SECONDS)
    if status == 409 and (conflict or "uniqueness key" in text.lower()):
        return (conflict or AlreadyDone)(message, status=status, text=text)
    if status in (408, 409, 429) or status >= 500:
        return MetronomeUnavailable(message, retry_after_seconds=_retry_after(error.response))
    return MetronomeRejected(message, status=status, text=text)


def _retry_after(response: httpx.Response) -> float:
    try:
        return min(max(float(response.headers.get("retry-after", 0)), 0), RETRY_AFTER_MAX_SECONDS)
    except ValueError:  # a date: the back-off does
        return 0


def all_pages(page: Any) -> list[Any]:
    """The items of all pages of a list. An answer without its list is no empty list."""
    if not isinstance(page, BaseSyncPage):
        raise TypeError(f"a list was expected, not {type(page).__name__}")
    items: list[Any] = []
    for each in cast(Any, page).iter_pages():
        if not isinstance(each.data, list):
            raise TypeError("a page without data")
        items += each.data
    return items


def nothing(response: Any) -> None:
    """Check the answer of a call that answers nothing: a proxy's login page with status 200 must not count as done."""
    answer: httpx.Response = getattr(response, "http_response", response)
    if answer.content.strip() and "json" not in answer.headers.get("content-type", ""):
        raise TypeError(f"no content was expected, not {answer.headers.get('content-type')}")


def an_id(found: Any) -> str:
    if not isinstance(found.id, str) or not found.id:
        raise TypeError("an id was expected")
    return found.id


def to_decimal(number: Any) -> Decimal:
    return Decimal(str(number))


def named(what: str, name: str, pages: Callable[[], Any]) -> str:
    with talk(f"find the {what}"):
        for item in oldest_first(all_pages(pages())):
            if getattr(item, "current", item).name == name and not getattr(item, "archived_at", None):
                return an_id(item)
    raise NotFound(f"no {what} named “{name}”: run bootstrap_metronome", pause_seconds=NOT_FOUND_PAUSE_SECONDS)


def oldest_first(items: list[Any]) -> list[Any]:
    """Two things of one name (made by hand, or by two set-ups at once) must resolve alike everywhere."""
    return sorted(items, key=lambda item: str(getattr(getattr(item, "initial", item), "created_at", "")))


def once_a_minute(*parts: str) -> dict[str, str]:
    """Header that makes two set-ups at once make one thing, for creates without a uniqueness key.

    Metronome keeps the answer for a day, errors too: with the minute in the key an error is not kept for long.
    """
    return {"Idempotency-Key": "-".join(("vocalis", *parts, f"{datetime.now(UTC):%Y%m%d%H%M}"))}
