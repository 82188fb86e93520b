"""Usage as CSV, streamed: by day as the page and the API sum it, or every generation.

Rows are read when those before them were sent, so the length of a file costs no memory. What
customers wrote never begins a cell as a formula does.
"""

from __future__ import annotations

import asyncio
import csv
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import islice
from typing import Any

from django.db import close_old_connections
from django.db.models import Q
from django.http import Http404, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.access import CustomerRequest, customer_required
from accounts.models import Customer
from usage import statistics
from usage.models import SITE, Generation

from . import ranges

CHUNK = 500  # rows read and sent at once
# What a spreadsheet takes for the begin of a formula, in both widths, also behind white space.
FORMULA = tuple("=+-@\t\r\n＝＋－＠")
DAYS = (
    *("day", "voice", "voice_id", "api_key", "tier", "kind"),
    *("characters", "credits", "generations", "audio_seconds"),
)
GENERATIONS = (
    *("created_at", "id", "state", "voice", "voice_id", "api_key", "tier"),
    *("characters", "credits", "audio_seconds", "text"),
)
# They read for all exports, a piece at a time.
_readers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="csv")


@require_safe
@customer_required
def page(request: CustomerRequest, what: str) -> HttpResponseBase:
    if what not in ROWS:
        raise Http404
    shown = ranges.shown(request.GET, timezone.now())
    if shown.wrong:
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        return HttpResponse(f"{shown.wrong}\n", content_type="text/plain", status=status)
    head, rows = ROWS[what]
    name = f"vocalis-{what}-{shown.span.start}-{shown.span.last}.csv"
    return File(head, rows(request.customer, shown.span), name)


class File(StreamingHttpResponse):
    """Rows of values as a file to download; a piece is made when the one before it was sent."""

    def __init__(self, head: tuple[str, ...], rows: Iterator[tuple[Any, ...]], name: str) -> None:
        self._pieces = _pieces(head, rows)
        super().__init__(self._pieces, content_type="text/csv; charset=utf-8")
        self["Content-Disposition"] = f'attachment; filename="{name}"'
        self["Cache-Control"] = "no-store"

    async def __aiter__(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        while piece := await loop.run_in_executor(_readers, _next, self._pieces):
            yield piece


def _next(pieces: Iterator[bytes]) -> bytes:
    """In a thread whose connection to the database is no request's."""
    close_old_connections()
    try:
        return next(pieces, b"")
    finally:
        close_old_connections()


class _Echo:
    """A file that gives back what is written to it."""

    def write(self, line: str) -> str:
        return line


def _pieces(head: tuple[str, ...], rows: Iterator[tuple[Any, ...]]) -> Iterator[bytes]:
    write: Any = csv.writer(_Echo()).writerow
    yield f"\ufeff{write(head)}".encode()  # with the mark by which spreadsheets know UTF-8
    while chunk := [tuple(map(_safe, row)) for row in islice(rows, CHUNK)]:
        yield "".join(map(write, chunk)).encode()


def _safe(value: Any) -> Any:
    """Text that a spreadsheet would calculate is marked as text."""
    if isinstance(value, str) and (value.startswith(FORMULA) or value.lstrip().startswith(FORMULA)):
        return f"'{value}"
    return value


def _days(customer: Customer, span: statistics.Span) -> Iterator[tuple[Any, ...]]:
    names = statistics.Names(customer)
    rows = statistics.of(customer, span).filter(generations__gt=0).order_by("day", "id")
    chunk = list(rows[:CHUNK])
    while chunk:
        for row in chunk:
            yield (
                row.day.isoformat(),
                names.voice(row.voice, row.voice_name),
                row.voice,
                names.key(row.api_key),
                row.voice_type,
                row.kind,
                row.characters,
                row.credits,
                row.generations,
                f"{row.audio_ms / 1_000:.3f}",
            )
        if len(chunk) < CHUNK:
            return
        last = chunk[-1]
        later = Q(day__gt=last.day) | Q(day=last.day, id__gt=last.id)
        chunk = list(rows.filter(later, day__gte=last.day)[:CHUNK])


def _generations(customer: Customer, span: statistics.Span) -> Iterator[tuple[Any, ...]]:
    names = statistics.Names(customer)
    begins, ends = statistics.midnight(span.start), statistics.midnight(span.end)
    rows = Generation.objects.filter(customer=customer, created_at__gte=begins, created_at__lt=ends)
    rows = rows.defer("words", "manner").order_by("created_at", "id")
    chunk = list(rows[:CHUNK])
    while chunk:
        for row in chunk:
            yield _written(row, names)
        if len(chunk) < CHUNK:
            return
        last = chunk[-1]
        later = Q(created_at__gt=last.created_at) | Q(id__gt=last.id)
        # The second bound lets the index find the place.
        chunk = list(rows.filter(later, created_at__gte=last.created_at)[:CHUNK])


def _written(row: Generation, names: statistics.Names) -> tuple[Any, ...]:
    is_done = row.state == Generation.State.DONE
    return (
        _moment(row.created_at),
        str(row.id),
        row.state,
        row.voice_name,
        row.voice,
        names.key(row.api_key_id or SITE),
        row.voice_type,
        row.characters_charged if is_done else 0,
        row.credits if is_done else 0,
        "" if row.duration_seconds is None else f"{row.duration_seconds:.3f}",
        row.text,
    )


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


ROWS = {"days": (DAYS, _days), "generations": (GENERATIONS, _generations)}
