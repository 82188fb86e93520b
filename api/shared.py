"""Addresses that two dialects share. The header that brings the key says whose client asks."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from .access import ApiRequest, endpoint
from .auth import XI_HEADER
from .elevenlabs import errors as elevenlabs
from .elevenlabs.models import listed
from .openai import lists as openai


@csrf_exempt  # as both are
def models(request: HttpRequest) -> HttpResponseBase:
    """`GET /v1/models`."""
    view: Any = _elevenlabs_models if request.headers.get(XI_HEADER) else openai.models
    answer: HttpResponseBase = view(request)
    return answer


@endpoint(elevenlabs.answer, "", "GET")
def _elevenlabs_models(request: ApiRequest) -> HttpResponse:
    return JsonResponse(listed(), safe=False)
