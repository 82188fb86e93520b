"""Where a user is logged in: a row beside each session, with the browser, its address and times.

The middleware writes it: when a session is first seen, and later at most once in some minutes. It
asks nothing of a session that no view has read, so requests without a login cost nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.models import Session
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from . import browsers
from .models import BrowserSession, User
from .throttle import address

logger = logging.getLogger(__name__)

SEEN_SECONDS = 300
KNOWN_MAX = 10_000
USER_AGENT_CHARACTERS_MAX = 300

# When this process last wrote a session. Another process may write once more; that is all.
_written: dict[str, datetime] = {}


@dataclass(frozen=True, slots=True)
class Place:
    """A browser that is logged in, as its user reads of it."""

    id: int
    browser: str
    address: str
    began_at: datetime
    seen_at: datetime
    is_here: bool


def seen(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware that keeps the rows."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if response.status_code < 500 and request.session.accessed:
            try:
                note(request, timezone.now())
            except (OperationalError, InterfaceError) as error:
                logger.warning("the session was not noted: %s", error)  # the page is there
        return response

    return middleware


def of(user: User, *, here: str | None, now: datetime) -> list[Place]:
    """The sessions of the user that have not ended: the one `here` first, then by last use."""
    rows = list(BrowserSession.objects.filter(user=user).order_by("-seen_at"))
    alive = set(
        Session.objects.filter(
            session_key__in=[row.session_key for row in rows], expire_date__gt=now
        ).values_list("session_key", flat=True)
    )
    places = [
        Place(
            id=row.pk,
            browser=browsers.in_words(row.user_agent),
            address=row.address,
            began_at=row.began_at,
            seen_at=row.seen_at,
            is_here=row.session_key == here,
        )
        for row in rows
        if row.session_key in alive
    ]
    return sorted(places, key=lambda place: not place.is_here)


def end(*, user: User, session_id: int) -> bool:
    """End one session of the user. Returns whether there was one."""
    keys = BrowserSession.objects.filter(user=user, pk=session_id)
    return _end(keys.values_list("session_key", flat=True)) > 0


def end_others(*, user: User, here: str | None) -> int:
    """End all sessions of the user but the one `here`. Returns how many."""
    others = BrowserSession.objects.filter(user=user).exclude(session_key=here or "")
    return _end(others.values_list("session_key", flat=True))


def moved(former: str | None, new: str | None) -> None:
    """A session has got another key, as with a new password."""
    if former and new and former != new:
        BrowserSession.objects.filter(session_key=former).update(session_key=new)


def _end(found: Iterable[str]) -> int:
    keys = list(found)
    Session.objects.filter(session_key__in=keys).delete()
    count, _ = BrowserSession.objects.filter(session_key__in=keys).delete()
    return count


def note(request: HttpRequest, now: datetime) -> None:
    """Note that the session of a user was seen, unless this process has done so just now."""
    key = request.session.session_key
    if key is None or SESSION_KEY not in request.session or not _is_due(key, now):
        return
    fields = {
        "user_id": int(request.session[SESSION_KEY]),
        "user_agent": request.headers.get("User-Agent", "")[:USER_AGENT_CHARACTERS_MAX],
        "address": address(request),
        "seen_at": now,
    }
    if not BrowserSession.objects.filter(session_key=key).update(**fields):
        row = BrowserSession(session_key=key, began_at=now, **fields)
        BrowserSession.objects.bulk_create([row], ignore_conflicts=True)


def _is_due(key: str, now: datetime) -> bool:
    last = _written.get(key)
    if last is not None and now - last < timedelta(seconds=SEEN_SECONDS):
        return False
    if len(_written) >= KNOWN_MAX:
        _written.clear()
    _written[key] = now
    return True
