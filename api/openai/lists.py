"""The models there are to choose from. The list under `/v1/audio` is for everybody: Open WebUI asks
for it without a key."""

from __future__ import annotations

from django.http import HttpResponse, JsonResponse

from api.access import ApiRequest, endpoint, public
from api.failures import Failure

from . import errors
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
