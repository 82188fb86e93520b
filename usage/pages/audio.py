"""The audio of a generation, to its owner only: whole, or the range a player asks for."""

from __future__ import annotations

import re
import uuid
from datetime import datetime
from http import HTTPStatus
from pathlib import PurePosixPath

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.cache import get_conditional_response
from django.utils.http import http_date, parse_http_date_safe
from django.views.decorators.http import require_safe

from accounts.access import CustomerRequest, customer_required
from usage.models import Generation
from usage.speech import audio, problems

from . import answers


@require_safe
@customer_required
def page(request: CustomerRequest, generation_id: uuid.UUID) -> HttpResponseBase:
    rows = Generation.objects.defer("text")
    generation = get_object_or_404(
        rows, id=generation_id, customer=request.customer, state=Generation.State.DONE
    )
    # An attempt writes its file once, so its name tells one content from another.
    etag = f'"{PurePosixPath(generation.audio).stem}"'
    modified_at = generation.finished_at or generation.created_at
    known = get_conditional_response(request, etag=etag, last_modified=int(modified_at.timestamp()))
    try:
        response = known or _read(request, generation, etag, modified_at)
    except problems.AudioLost as error:  # not 410: the file may come back from a backup
        return answers.as_page(request, problems.problem_of(error), status=HTTPStatus.NOT_FOUND)
    except problems.AudioUnreachable as error:
        return answers.as_page(request, problems.problem_of(error))
    response["ETag"] = etag
    response["Last-Modified"] = http_date(modified_at.timestamp())
    response["Cache-Control"] = "private, max-age=3600"
    return response


def _read(
    request: HttpRequest, generation: Generation, etag: str, modified_at: datetime
) -> HttpResponse:
    wanted = request.headers.get("Range", "") if _is_current(request, etag, modified_at) else ""
    try:
        with audio.open_audio(generation) as file:
            size = file.size
            start, stop = _range(wanted, size)
            file.seek(start)
            body = file.read(max(0, stop - start))
    except OSError as error:
        raise problems.AudioUnreachable from error
    response = HttpResponse(body, content_type=generation.content_type)
    if start >= size:
        response = HttpResponse(status=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
        response["Content-Range"] = f"bytes */{size}"
    elif stop - start < size:
        response.status_code = HTTPStatus.PARTIAL_CONTENT
        response["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    disposition = "attachment" if "download" in request.GET else "inline"
    response["Content-Disposition"] = f'{disposition}; filename="{audio.download_name(generation)}"'
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
