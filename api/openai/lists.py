"""What there is to choose from: models, and voices. The lists under `/v1/audio` are for everybody:
Open WebUI asks for them without a key."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpResponse, JsonResponse
from django.urls import reverse

from api import auth
from api.access import ApiRequest, endpoint, public
from api.failures import Failure
from usage.speech import voices as ours

from . import errors, voices
from .models import MODELS, listed


@endpoint(errors.answer, "", "GET")
def models(request: ApiRequest) -> HttpResponse:
    return JsonResponse({"object": "list", "data": [listed(model) for model in MODELS]})


@endpoint(errors.answer, "", "GET")
def model(request: ApiRequest, model_id: str) -> HttpResponse:
    if model_id not in MODELS:
        message = f"There is no model {model_id[:60]!r}. Use one of {', '.join(MODELS)}."
        raise Failure(404, "model_not_found", message, errors={"model": [message]})
    return JsonResponse(listed(model_id))


@public(errors.answer, "GET")
def audio_models(request: ApiRequest) -> HttpResponse:
    return JsonResponse({"models": [{"id": model, "name": model} for model in MODELS]})


@public(errors.answer, "GET", "POST")
def audio_voices(request: ApiRequest) -> HttpResponse:
    """The voices of the house, and with a key those of its customer."""
    if request.method == "POST":
        raise _on_the_site()
    own = []
    if auth.secret_of(request.headers):
        own = ours.of(auth.authenticate(request, "", request.now).customer)
    return JsonResponse({"voices": voices.listed(own)})


@public(errors.answer, "GET", "POST", "DELETE")
def own_voices(request: ApiRequest, **names: str) -> HttpResponse:
    """Consents, and the voices made with them, which this dialect neither makes nor deletes."""
    raise _on_the_site()


def _on_the_site() -> Failure:
    """A consent here is to one sentence, read aloud in the sample itself, and a voice costs: both
    are shown to a person first."""
    where = f"{settings.SITE_URL}{reverse('own-voice')}"
    return Failure(
        404, "unknown_url", f"Own voices are set up at {where}. Send the id of one as voice."
    )
