from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from . import speech

SPEECH = "v1/text-to-speech/<str:voice_id>"

urlpatterns: list[URLPattern | URLResolver] = [
    path(SPEECH, speech.speak, name="elevenlabs_speech"),
    path(f"{SPEECH}/stream", speech.speak, name="elevenlabs_stream"),
    path(f"{SPEECH}/with-timestamps", speech.with_timestamps, name="elevenlabs_timestamps"),
    path(
        f"{SPEECH}/stream/with-timestamps",
        speech.stream_with_timestamps,
        name="elevenlabs_stream_timestamps",
    ),
]
