from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from . import consents, custom, lists, speech

urlpatterns: list[URLPattern | URLResolver] = [
    path("v1/audio/speech", speech.speech, name="openai-speech"),
    path("v1/audio/models", lists.audio_models, name="openai-audio-models"),
    path("v1/audio/voices", custom.voices, name="openai-audio-voices"),
    path("v1/audio/voices/<str:voice_id>", custom.voice, name="openai-voice"),
    path("v1/audio/voice_consents", consents.consents, name="openai-consents"),
    path("v1/audio/voice_consents/<str:consent_id>", consents.consent, name="openai-consent"),
    path("v1/models/<str:model_id>", lists.model, name="openai-model"),
]
