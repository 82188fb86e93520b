from django.urls import path

from .pages import (
    again,
    audio,
    history,
    listen,
    match,
    own_voice,
    progress,
    pronunciations,
    receipt,
    studio,
    voices,
    words,
)

urlpatterns = [
    path("studio/", studio.page, name="studio"),
    path("studio/<uuid:generation_id>/again/", again.page, name="again"),
    path("studio/<uuid:generation_id>/audio/", audio.page, name="audio"),
    path("studio/<uuid:generation_id>/words/", words.page, name="words"),
    path("studio/<uuid:generation_id>/progress/", progress.page, name="progress"),
    path("studio/<uuid:generation_id>/receipt/", receipt.page, name="receipt"),
    path("studio/<uuid:generation_id>/stop/", progress.stop, name="stop"),
    path("studio/listen/", listen.page, name="listen"),
    path("studio/voice/", own_voice.page, name="own-voice"),
    path("studio/voice/preview/", own_voice.preview, name="own-voice-preview"),
    path("voices/", voices.page, name="voices"),
    path("studio/pronunciations/", pronunciations.page, name="pronunciations"),
    path("studio/pronunciations/preview/", pronunciations.preview, name="pronunciations-preview"),
    path("studio/voice/match/", match.begin, name="voice-match"),
    path("studio/voice/match/<uuid:match_id>/keep/", match.keep, name="voice-match-keep"),
    path("studio/voice/match/<uuid:match_id>/forget/", match.forget, name="voice-match-forget"),
    path(
        "studio/voice/match/<uuid:match_id>/recording/",
        match.recording,
        name="voice-match-recording",
    ),
    path(
        "studio/voice/match/<uuid:match_id>/<int:number>/",
        match.sample,
        name="voice-match-sample",
    ),
    path("usage/", history.page, name="usage"),
]
