"""Recorded consents on the page of own voices: listen to one again, withdraw it."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_safe

from accounts import unsent
from accounts.access import CustomerRequest, View, customer_required
from usage.speech import consents, problems, withdrawal

from . import answers

PAGE = "own-voice"


@require_safe
@customer_required
def recording(request: CustomerRequest, consent_id: uuid.UUID) -> HttpResponse:
    """What was recorded, as a file."""
    try:
        given = consents.of(request.customer, str(consent_id))
        data = consents.recording_of(given)
    except problems.EXPECTED as error:
        return answers.as_page(request, problems.problem_of(error))
    return answers.as_download(data, f"vocalis-consent.{given.recording.rpartition('.')[2]}")


@unsent.kept(page=PAGE)
@customer_required
@csrf_protect
def _withdraw(request: CustomerRequest, consent_id: uuid.UUID) -> HttpResponse:
    try:
        given = consents.of(request.customer, str(consent_id))
        withdrawal.revoke_consent(given, timezone.now())
    except problems.EXPECTED as error:
        return answers.as_page(request, problems.problem_of(error))
    except OSError:
        failed = "The recording could not be deleted just now. Try again in a moment."
        messages.error(request, failed)
    else:
        messages.success(request, "The consent is withdrawn, and its recording is deleted.")
    return redirect(PAGE)


withdraw: View = csrf_exempt(unsent.form_only(PAGE)(_withdraw))
