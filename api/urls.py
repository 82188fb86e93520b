"""The addresses of the API. A dialect's own are in its folder; here are those that two share."""

from __future__ import annotations

from django.urls import include, path

from . import reference, shared

urlpatterns = [
    path("docs/api/", reference.page, name="api_reference"),
    path("docs/api/problems/", reference.problems, name="api_problems"),
    path("v1/models", shared.models, name="api-models"),
    path("v1/voices", shared.voices, name="api-voices"),
    path("", include("api.openai.urls")),
    path("", include("api.elevenlabs.urls")),
    path("v1/voices/<str:voice_id>", shared.voice, name="api-voice"),
    path("", include("api.own.urls")),
]
