"""How far a text is that a worker speaks, and the button that stops it: to its owner only."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts import unsent
from accounts.access import CustomerRequest, customer_required, wants_json
from usage.models import Generation
from usage.speech import long, progress

from . import answers, parts


@require_safe
@customer_required
def page(request: CustomerRequest, generation_id: uuid.UUID) -> HttpResponse:
    return _as_json(_generation(request, generation_id))


@unsent.form_only("studio")
@unsent.kept(page="studio")
@customer_required
def stop(request: CustomerRequest, generation_id: uuid.UUID) -> HttpResponse:
    """Have what is spoken, and pay for no more; of what is made again, free, have nothing.

    Asked for too late, it changes nothing.
    """
    generation = _generation(request, generation_id)
    if generation.is_queued:
        long.stop(generation, timezone.now())
    if wants_json(request):
        return _as_json(generation)
    return redirect(f"{reverse('studio')}?done={generation.id}")


def _generation(request: CustomerRequest, generation_id: uuid.UUID) -> Generation:
    rows = Generation.objects.defer("words")
    return get_object_or_404(rows, id=generation_id, customer=request.customer)


def _as_json(generation: Generation) -> HttpResponse:
    found = progress.of(generation)
    is_again = generation.again_at is not None
    answer: dict[str, Any] = {
        "state": found.state,
        "characters": found.characters,
        "characters_spoken": found.characters_spoken,
        "credits": 0 if is_again else generation.credits,
    }
    if shown := parts.as_objects(generation) if generation.is_with_worker else []:
        answer["parts"] = shown
    if found.state == Generation.State.DONE:
        if (back := generation.credits_given_back) and not is_again:
            answer["credits_given_back"] = back
            answer["characters_left_out"] = generation.characters_left_out
        answer |= answers.of_again(generation) if is_again else answers.of_done(generation)
    if found.state == Generation.State.FAILED:
        answer["failure"] = f"{found.failure} Nothing was charged."
    response = JsonResponse(answer)
    response["Cache-Control"] = "no-store"
    return response
