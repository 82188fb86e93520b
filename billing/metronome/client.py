"""The SDK's client, and what all calls share: time-outs, errors, pages, ids."""

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
from metronome._base_client import BaseSyncPage  # has no public name

from jobs.errors import Rejected, Unavailable

from .network import http_client
from .redaction import without_secrets

# Also for ingest. The lease of a batch of events (120 s) outlives ten of these.
READ_TIMEOUT_SECONDS = 10
WRITE_TIMEOUT_SECONDS = 30
# A refused API key fails every row alike, so the job is paused and no row counts an attempt.
REFUSED_PAUSE_SECONDS = 60
RETRY_AFTER_MAX_SECONDS = 300
NOT_FOUND_PAUSE_SECONDS = 10

T = TypeVar("T")


class MetronomeUnavailable(Unavailable):
    """Try again: no connection, a time-out, a rate limit, a server error, an unreadable answer."""


class NotFound(MetronomeUnavailable):
    """Part of the set-up is missing at Metronome. Jobs wait until bootstrap_metronome makes it."""


class MetronomeRejected(Rejected):
    """Metronome refused the call. `status` is the HTTP status, `text` Metronome's message."""

    def __init__(self, message: str, *, status: int = 400, text: str = "") -> None:
        super().__init__(message)
        self.status, self.text = status, text


class AlreadyDone(MetronomeRejected):
    """The uniqueness key of this write was used before, by us.

    Metronome's answer does not name what was created, so callers find it by name or description.
    """


_timeout_seconds: ContextVar[float | None] = ContextVar("timeout_seconds", default=None)
# Per client: values that never change, such as ids.
_cache: WeakKeyDictionary[Metronome, dict[str, Any]] = WeakKeyDictionary()


@functools.cache
def client() -> Metronome:
    """The process's one client, created on first use. Threads may share it."""
    if not settings.METRONOME_API_KEY:
        raise MetronomeUnavailable(
            "METRONOME_API_KEY is not set", pause_seconds=REFUSED_PAUSE_SECONDS
        )
    return Metronome(
        bearer_token=settings.METRONOME_API_KEY,
        base_url=settings.METRONOME_API_URL,
        http_client=http_client(settings.METRONOME_API_URL),
        timeout=httpx.Timeout(READ_TIMEOUT_SECONDS, connect=5),
        # The SDK would sleep for as long as Metronome asks. A row retries later instead, and the
        # worker goes on with other rows.
        max_retries=0,
    )


@contextmanager
def call_timeout(seconds: float) -> Iterator[None]:
    """Calls of this thread in the block take `seconds` at most. For pages that call Metronome."""
    token = _timeout_seconds.set(seconds)
    try:
        yield
    finally:
        _timeout_seconds.reset(token)


def reader() -> Metronome:
    """The client for reads, with the time-out of `call_timeout` where that applies."""
    seconds = _timeout_seconds.get()
    return client() if seconds is None else client().with_options(timeout=seconds)


def writer() -> Metronome:
    """The client for writes, which take longer."""
    return cached("writer", lambda: client().with_options(timeout=WRITE_TIMEOUT_SECONDS))


def cached(name: str, find: Callable[[], T]) -> T:
    """The result of `find`, kept under `name` for as long as the client lives."""
    cache = _cache.setdefault(client(), {})
    if name not in cache:
        cache[name] = find()
    found: T = cache[name]
    return found


@contextmanager
def translate_errors(
    what: str, *, conflict: type[MetronomeRejected] | None = None
) -> Iterator[None]:
    """Raise any failure within the block as MetronomeUnavailable or MetronomeRejected.

    `what` names the call in the message. `conflict` is the exception for status 409; without it a
    409 means try again, unless its message is about a uniqueness key (AlreadyDone).
    """
    try:
        yield
    except metronome.APIStatusError as error:
        raise _error_of_status(what, error, conflict) from error
    except (metronome.MetronomeError, httpx.HTTPError) as error:
        raise MetronomeUnavailable(f"{what}: {without_secrets(str(error))}") from error
    except (
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
        ArithmeticError,
        RecursionError,
    ) as error:
        # The SDK does not validate answers: a page of HTML is returned as a str, a missing field is
        # a missing attribute.
        message = f"{what}: Metronome's answer cannot be read ({error})"
        raise MetronomeUnavailable(message) from error


def _error_of_status(
    what: str, error: metronome.APIStatusError, conflict: type[MetronomeRejected] | None
) -> MetronomeUnavailable | MetronomeRejected:
    status, body = error.status_code, error.body
    text = str(body.get("message") or body) if isinstance(body, dict) else error.message
    text = without_secrets(text)
    message = f"{what}: {status} {text[:500]}"
    if status in (401, 403):
        return MetronomeUnavailable(message, pause_seconds=REFUSED_PAUSE_SECONDS)
    if status == 409 and (conflict or "uniqueness key" in text.lower()):
        return (conflict or AlreadyDone)(message, status=status, text=text)
    if status in (408, 409, 429) or status >= 500:
        seconds = _retry_after(error.response)
        return MetronomeUnavailable(message, retry_after_seconds=seconds)
    return MetronomeRejected(message, status=status, text=text)


def _retry_after(response: httpx.Response) -> float:
    try:
        seconds = float(response.headers.get("retry-after", 0))
        return min(max(seconds, 0), RETRY_AFTER_MAX_SECONDS)
    except ValueError:  # a date, which is not worth parsing: the usual back-off applies
        return 0


def all_pages(page: Any) -> list[Any]:
    """The items of all pages of a list. TypeError if an answer has no list."""
    if not isinstance(page, BaseSyncPage):
        raise TypeError(f"expected a list, got {type(page).__name__}")
    items: list[Any] = []
    for each in cast(Any, page).iter_pages():
        if not isinstance(each.data, list):
            raise TypeError("a page without data")
        items += each.data
    return items


def require_empty(response: Any) -> None:
    """Check the answer of a call that returns no content. TypeError unless empty or JSON.

    A proxy's login page, which has status 200, must not count as success.
    """
    answer: httpx.Response = getattr(response, "http_response", response)
    if answer.content.strip() and "json" not in answer.headers.get("content-type", ""):
        content_type = answer.headers.get("content-type")
        raise TypeError(f"expected no content, got {content_type}")


def require_id(found: Any) -> str:
    """The id of an object in an answer. TypeError if it has none."""
    if not isinstance(found.id, str) or not found.id:
        raise TypeError("expected an id")
    return found.id


def to_decimal(number: Any) -> Decimal:
    return Decimal(str(number))


def find_id_by_name(what: str, name: str, pages: Callable[[], Any]) -> str:
    """Id of the oldest object with this name that is not archived. Raises NotFound.

    `pages` calls the list, `what` names its kind in messages.
    """
    with translate_errors(f"find the {what}"):
        for item in oldest_first(all_pages(pages())):
            is_archived = getattr(item, "archived_at", None)
            if getattr(item, "current", item).name == name and not is_archived:
                return require_id(item)
    raise NotFound(
        f"no {what} named “{name}”: run bootstrap_metronome",
        pause_seconds=NOT_FOUND_PAUSE_SECONDS,
    )


def oldest_first(items: list[Any]) -> list[Any]:
    """Sorted by creation.

    Several objects may share a name, if created by hand or by concurrent set-ups. All code must
    then pick the same one.
    """

    def created_at(item: Any) -> str:
        return str(getattr(getattr(item, "initial", item), "created_at", ""))

    return sorted(items, key=created_at)


def idempotency_header(*parts: str) -> dict[str, str]:
    """Header for creates without a uniqueness key, so that concurrent set-ups create one object.

    Metronome repeats its answer to a key for a day, even an error. The key contains the minute, so
    that an error is not repeated for long.
    """
    minute = f"{datetime.now(UTC):%Y%m%d%H%M}"
    return {"Idempotency-Key": "-".join(("vocalis", *parts, minute))}
