"""The receipt of one generation, for its owner: what was charged, and the proof of it."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.access import CustomerRequest, customer_required
from usage.audio import FORMATS
from usage.models import Generation
from usage.speech import audio, filenames
from usage.speech.receipt import Audio, receipt

REFRESH_SECONDS = 5  # while it is spoken


@require_safe
@customer_required
@never_cache
def page(request: CustomerRequest, generation_id: uuid.UUID) -> HttpResponse:
    rows = Generation.objects.without_words().select_related("reservation", "api_key")
    generation = get_object_or_404(
        rows.select_related("credit_back__grant"), id=generation_id, customer=request.customer
    )
    found = receipt(generation)
    context: dict[str, Any] = {"generation": generation, "receipt": found}
    if found:
        kept = _format(generation)
        context |= {
            "is_kept": found.audio == Audio.KEPT,
            "is_partial": found.characters < generation.characters,
            "is_made_again": _is_made_again(generation),
            "kept_format": kept,
            "file_name": filenames.of(generation, FORMATS[kept].extension),
        }
    response = render(request, "usage/receipt.html", context)
    if generation.is_being_made:
        response["Refresh"] = str(REFRESH_SECONDS)
    return response


def _is_made_again(generation: Generation) -> bool:
    """Whether the sound that is kept is a later one than what was charged for."""
    again_at, finished_at = generation.again_at, generation.finished_at
    is_over = again_at is not None and finished_at is not None and finished_at >= again_at
    return is_over and not generation.is_making_again


def _format(generation: Generation) -> str:
    """The name of the format in which it is stored: what is downloaded in it has its SHA-256."""
    return "flac" if generation.content_type == audio.FLAC else "wav"
