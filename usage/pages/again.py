"""The audio of a generation made again, free: a button for people, an address for programs."""

from __future__ import annotations

import uuid

from django.http import HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from accounts import unsent
from accounts.access import CustomerRequest, customer_required, wants_json
from usage.models import Generation
from usage.speech import problems, retention

from . import answers


# Exempt here, and checked below: whoever is not logged in should hear that, not of a token.
@csrf_exempt
@unsent.form_only("usage")
@customer_required
@csrf_protect
def page(request: CustomerRequest, generation_id: uuid.UUID) -> HttpResponseBase:
    rows = Generation.objects.select_related("customer")
    generation = get_object_or_404(
        rows, id=generation_id, customer=request.customer, state=Generation.State.DONE
    )
    done = f"{reverse('studio')}?done={generation.id}"
    is_program = wants_json(request)
    try:
        generation = retention.make_again(generation=generation, now=timezone.now())
        if not is_program:
            return redirect(done)
        later = answers.of_worker(request, generation)
    except problems.EXPECTED as error:
        # A double click: the page shows when the audio of the first click is there.
        if isinstance(error, problems.StillRunning) and not is_program:
            return redirect(done)
        return answers.as_page(request, problems.problem_of(error))
    return later or JsonResponse(answers.of_again(generation))
