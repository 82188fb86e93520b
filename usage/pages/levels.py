"""How loud each part of a generation's audio is, for the picture in the player: to its owner only.
Made of the stored audio once."""

from __future__ import annotations

import uuid

from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from accounts.access import CustomerRequest, customer_required
from usage.models import Generation
from usage.speech import encoded, problems

from . import answers


@require_safe
@customer_required
def page(request: CustomerRequest, generation_id: uuid.UUID) -> HttpResponseBase:
    rows = Generation.objects.defer("text", "words")
    generation = get_object_or_404(
        rows, id=generation_id, customer=request.customer, state=Generation.State.DONE
    )
    try:
        with encoded.open_levels(generation) as file:
            response = HttpResponse(file.read(), content_type="application/json")
    except (problems.AudioLost, problems.AudioUnreachable) as error:
        return answers.as_page(request, problems.problem_of(error))
    response["Cache-Control"] = "private, max-age=3600"
    return response
