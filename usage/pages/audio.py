"""The audio of a generation, to its owner only: in a format, whole, or the range a player asks for
when someone seeks in it.

We send it ourselves and hand out no signed address of a storage. Such an address works for
everybody who has it until it ends, also after a log-out; it shows where we store; and formats that
are encoded here have none.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import BinaryIO

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.utils.cache import get_conditional_response
from django.utils.http import http_date, parse_http_date_safe
from django.views.decorators.http import require_safe

from accounts.access import CustomerRequest, customer_required
from usage.audio import FORMATS
from usage.models import Generation
from usage.speech import encoded, filenames, problems

from . import answers

# An address without `format` means what it has always meant.
FORMAT = "wav"
PIECE_BYTES = 64 * 1024
# They read local files for all open responses, a piece at a time.
_readers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="audio")


@require_safe
@customer_required
def page(request: CustomerRequest, generation_id: uuid.UUID) -> HttpResponseBase:
    rows = Generation.objects.defer("words")
    generation = get_object_or_404(
        rows, id=generation_id, customer=request.customer, state=Generation.State.DONE
    )
    modified_at = generation.finished_at or generation.created_at
    try:
        name = encoded.check_format(request.GET.get("format", FORMAT))
        # An attempt writes its file once, so its name tells one content from another.
        etag = f'"{PurePosixPath(generation.audio).stem}-{name}"'
        seconds = int(modified_at.timestamp())
        known = get_conditional_response(request, etag=etag, last_modified=seconds)
        response = known or _read(request, generation, name, etag, modified_at)
    except problems.AudioLost as error:  # not 410: the file may come back from a backup
        return answers.as_page(request, problems.problem_of(error), status=HTTPStatus.NOT_FOUND)
    except (problems.AudioUnreachable, problems.Refused) as error:
        return answers.as_page(request, problems.problem_of(error))
    response["ETag"] = etag
    response["Last-Modified"] = http_date(modified_at.timestamp())
    response["Cache-Control"] = "private, max-age=3600"
    return response


class Pieces(StreamingHttpResponse):
    """Bytes `start` to `stop` of a file. One piece is in memory at a time.

    Under ASGI a piece is read in a thread when the one before it was sent.
    """

    def __init__(self, file: BinaryIO, start: int, stop: int, *, content_type: str) -> None:
        self._part = _Part(file, start, stop)
        super().__init__(self._part, content_type=content_type)
        self["Content-Length"] = str(stop - start)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        while piece := await loop.run_in_executor(_readers, next, self._part, b""):
            yield piece


class _Part:
    """Part of a file, piece by piece, by a descriptor of its own.

    Django closes it with the response; one that nobody sends is closed when it is collected.
    """

    def __init__(self, file: BinaryIO, start: int, stop: int) -> None:
        self._at, self._stop = start, stop
        self._lock = threading.Lock()  # a client may go while a piece is read
        self._descriptor: int | None = os.dup(file.fileno())

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with self._lock:
            if self._descriptor is None:
                raise StopIteration
            count = min(PIECE_BYTES, self._stop - self._at)
            piece = os.pread(self._descriptor, count, self._at)
        if not piece:
            raise StopIteration
        self._at += len(piece)
        return piece

    def close(self) -> None:
        with self._lock:
            descriptor, self._descriptor = self._descriptor, None
            if descriptor is not None:
                os.close(descriptor)

    __del__ = close


def _read(
    request: HttpRequest, generation: Generation, name: str, etag: str, modified_at: datetime
) -> HttpResponseBase:
    wanted = request.headers.get("Range", "") if _is_current(request, etag, modified_at) else ""
    found = FORMATS[name]
    response: HttpResponseBase
    with encoded.open_encoded(generation, name) as file:
        size = os.fstat(file.fileno()).st_size
        start, stop = _range(wanted, size)
        if start >= size or request.method == "HEAD":
            response = HttpResponse(content_type=found.content_type)
            response["Content-Length"] = str(max(0, stop - start))
        else:
            response = Pieces(file, start, stop, content_type=found.content_type)
    if start >= size:
        response.status_code = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
        response["Content-Range"] = f"bytes */{size}"
    elif stop - start < size:
        response.status_code = HTTPStatus.PARTIAL_CONTENT
        response["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    response["Content-Disposition"] = filenames.disposition(
        filenames.of(generation, found.extension), is_attachment="download" in request.GET
    )
    response["Accept-Ranges"] = "bytes"
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _is_current(request: HttpRequest, etag: str, modified_at: datetime) -> bool:
    """Whether a range of what we have fits to the part the client has: RFC 9110, section 13.1.5.

    A weak tag never does, and a date only if it is exactly ours. Then the client needs the whole.
    """
    if "If-Range" not in request.headers:
        return True
    validator = request.headers["If-Range"].strip()
    if validator.startswith(('"', "W/")):
        return validator == etag
    return parse_http_date_safe(validator) == int(modified_at.timestamp())


def _range(header: str, size: int) -> tuple[int, int]:
    """First byte and the one after the last.

    All of them for several ranges or nonsense, as the standard allows.
    """
    found = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", header.strip())
    if not found or not (found[1] or found[2]):
        return 0, size
    if not found[1]:
        return max(0, size - int(found[2])) if int(found[2]) else size, size
    start, last = int(found[1]), int(found[2] or size)
    return (start, min(last + 1, size)) if start <= last or not found[2] else (0, size)
