"""When the words of a generation are heard, to its owner only: as JSON, or as subtitles."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable

from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.cache import get_conditional_response
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_safe

from accounts.access import CustomerRequest, customer_required
from usage.models import Generation
from usage.speech import filenames, problems, subtitles, words

from . import answers

FORMAT = "json"  # of an address without `format`


@require_safe
@gzip_page  # a tenth of the size: a book has more than a megabyte of them
@customer_required
def page(request: CustomerRequest, generation_id: uuid.UUID) -> HttpResponseBase:
    generation = get_object_or_404(
        Generation, id=generation_id, customer=request.customer, state=Generation.State.DONE
    )
    try:
        name = _check_format(request.GET.get("format", FORMAT))
        if generation.words is None:
            raise problems.WordsUnknown
    except (problems.WordsUnknown, problems.Refused) as error:
        return answers.as_page(request, problems.problem_of(error))
    content_type, made = FORMATS[name]
    content = made(generation, words.unpacked(generation.words)).encode()
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    response = get_conditional_response(request, etag=etag)
    if response is None:
        response = HttpResponse(content, content_type=content_type)
        response["Content-Disposition"] = filenames.disposition(
            filenames.of(generation, name), is_attachment="download" in request.GET
        )
        response["Content-Length"] = str(len(content))
        response["X-Content-Type-Options"] = "nosniff"
    response["ETag"] = etag
    response["Cache-Control"] = "private, max-age=3600"
    return response


def _check_format(name: str) -> str:
    if name not in FORMATS:
        raise problems.Refused({"format": [f"Choose one of the formats {', '.join(FORMATS)}."]})
    return name


def _json(generation: Generation, times: list[words.Timed]) -> str:
    return json.dumps(words.as_objects(generation.text, times), ensure_ascii=False)


def _srt(generation: Generation, times: list[words.Timed]) -> str:
    return subtitles.srt(_cues(generation, times))


def _vtt(generation: Generation, times: list[words.Timed]) -> str:
    return subtitles.vtt(_cues(generation, times))


def _cues(generation: Generation, times: list[words.Timed]) -> list[subtitles.Cue]:
    return subtitles.cues(generation.text, times, int((generation.duration_seconds or 0) * 1_000))


FORMATS: dict[str, tuple[str, Callable[[Generation, list[words.Timed]], str]]] = {
    "json": ("application/json", _json),
    "srt": ("application/x-subrip", _srt),
    "vtt": ("text/vtt; charset=utf-8", _vtt),
}
