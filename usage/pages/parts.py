"""The parts of a text, to its owner only: a list for the script, each to be heard while the rest is
made, all of them as one file."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from itertools import chain
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_safe

from accounts import throttle
from accounts.access import CustomerRequest, customer_required
from usage.audio import FORMATS
from usage.models import Generation
from usage.speech import archive, encoded, filenames, problems, sections

from . import answers
from .archive import TOO_OFTEN, Archive


@require_safe
@customer_required
def page(request: CustomerRequest, generation_id: uuid.UUID) -> HttpResponseBase:
    response = JsonResponse({"parts": as_objects(_generation(request, generation_id))})
    response["Cache-Control"] = "no-store"
    return response


@require_safe
@customer_required
def sound(request: CustomerRequest, generation_id: uuid.UUID, number: int) -> HttpResponseBase:
    """One part, as soon as it is made. It is encoded while it is sent, so its size is not known."""
    generation = _generation(request, generation_id)
    try:
        name = encoded.check_format(request.GET.get("format", encoded.DELIVERED[0]))
        part = sections.part(generation, number)
        if part is None:
            raise Http404("no such part, or not made yet")
        made = sections.encode(generation, part, name)
        response = _streamed(request, made, FORMATS[name].content_type)
    except (problems.AudioLost, problems.AudioUnreachable, problems.Refused) as error:
        return answers.as_page(request, problems.problem_of(error))
    stem = filenames.stem_of(f"{part.number:02} {part.name}")
    response["Content-Disposition"] = filenames.disposition(
        f"{stem}.{FORMATS[name].extension}", is_attachment="download" in request.GET
    )
    return response


@require_safe
@customer_required
def all_sound(request: CustomerRequest, generation_id: uuid.UUID) -> HttpResponseBase:
    """All parts that are made as a ZIP, each named by its number and title."""
    generation = _generation(request, generation_id)
    try:
        name = encoded.check_format(request.GET.get("format", encoded.DELIVERED[0]))
    except problems.Refused as error:
        return answers.as_page(request, problems.problem_of(error))
    if not sections.of(generation):
        raise Http404("a text of one part")
    if request.method != "HEAD" and not throttle.is_allowed(
        request, "archive", account=str(request.customer.pk)
    ):
        messages.warning(request, TOO_OFTEN)
        return redirect("generation", generation.id)
    response = _streamed(request, archive.parts_of(generation, name), "application/zip")
    response["Content-Disposition"] = filenames.disposition(
        f"{filenames.stem(generation)}.zip", is_attachment=True
    )
    return response


def as_objects(generation: Generation) -> list[dict[str, Any]]:
    """The parts as JSON shows them; `seconds` and `audio_url` of those that are made."""
    return [
        {
            "number": part.number,
            "name": part.name,
            "state": part.state,
            "to": part.end,
            "begin_seconds": part.begin_seconds if part.is_made else None,
            "seconds": part.seconds if part.is_made else None,
            "audio_url": reverse("part", args=[generation.id, part.number])
            if part.is_made
            else None,
        }
        for part in sections.of(generation)
    ]


def _generation(request: CustomerRequest, generation_id: uuid.UUID) -> Generation:
    rows = Generation.objects.filter(customer=request.customer, text_deleted_at=None)
    return get_object_or_404(rows, id=generation_id)


def _streamed(
    request: CustomerRequest, made: Iterator[bytes], content_type: str
) -> HttpResponseBase:
    """The bytes as they are made. The first ones are made here, so that a failure has its words."""
    response: HttpResponseBase
    if request.method == "HEAD":
        response = HttpResponse(content_type=content_type)
    else:
        response = Archive(_going_on(next(made, b""), made), content_type=content_type)
    response["Cache-Control"] = "no-store"
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _going_on(first: bytes, made: Iterator[bytes]) -> Iterator[bytes]:
    yield from chain([first], made)
