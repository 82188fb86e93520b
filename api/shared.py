"""Addresses that two dialects share. The header that brings the key says whose client asks."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.urls import resolve
from django.views.decorators.csrf import csrf_exempt

from . import dialects
from .access import ApiRequest, endpoint
from .auth import XI_HEADER
from .elevenlabs import catalogue
from .elevenlabs import errors as elevenlabs
from .elevenlabs.models import listed
from .openai import lists as openai
from .own import errors as own


@csrf_exempt  # as both are
def models(request: HttpRequest) -> HttpResponseBase:
    """`GET /v1/models`."""
    view: Any = _elevenlabs_models if request.headers.get(XI_HEADER) else openai.models
    answer: HttpResponseBase = view(request)
    return answer


@csrf_exempt  # as both are
def voices(request: HttpRequest) -> HttpResponseBase:
    """`/v1/voices`: the list is both dialects', making one by `POST` is ours."""
    is_ours = request.method == "POST" or _is_own(request)
    return _own(request) if is_ours else catalogue.all_voices(request)


@csrf_exempt  # as both are
def voice(request: HttpRequest, voice_id: str) -> HttpResponseBase:
    """`/v1/voices/{id}`."""
    return _own(request) if _is_own(request) else catalogue.voice(request, voice_id)


def _is_own(request: HttpRequest) -> bool:
    return dialects.failing(request.path, request.headers) is own.answer


def _own(request: HttpRequest) -> HttpResponseBase:
    """What our own dialect answers at this address."""
    found = resolve(request.path_info, urlconf="api.own.urls")
    answer: HttpResponseBase = found.func(request, *found.args, **found.kwargs)
    return answer


@endpoint(elevenlabs.answer, "", "GET")
def _elevenlabs_models(request: ApiRequest) -> HttpResponse:
    return JsonResponse(listed(), safe=False)
