from django.urls import path

from . import history, own_voice_views, studio

urlpatterns = [
    path("studio/", studio.page, name="studio"),
    path("studio/<uuid:generation_id>/audio/", studio.audio, name="audio"),
    path("studio/voice/", own_voice_views.page, name="own-voice"),
    path("studio/voice/preview/", own_voice_views.preview, name="own-voice-preview"),
    path("usage/", history.page, name="usage"),
]
