from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from . import account, catalogue, history, speech

SPEECH, VOICE = "v1/text-to-speech/<str:voice_id>", "v1/voices/<str:voice_id>"
ITEM = "v1/history/<str:item_id>"


urlpatterns: list[URLPattern | URLResolver] = [
    path(SPEECH, speech.speak, name="elevenlabs_speech"),
    path(f"{SPEECH}/stream", speech.speak, name="elevenlabs_stream"),
    path(f"{SPEECH}/with-timestamps", speech.with_timestamps, name="elevenlabs_timestamps"),
    path(
        f"{SPEECH}/stream/with-timestamps",
        speech.stream_with_timestamps,
        name="elevenlabs_stream_timestamps",
    ),
    path("v2/voices", catalogue.search, name="elevenlabs_voice_search"),
    path("v1/voices/settings/default", catalogue.default_settings, name="elevenlabs_settings"),
    path("v1/voices/add", catalogue.add, name="elevenlabs_voice_add"),
    path(f"{VOICE}/edit", catalogue.edit, name="elevenlabs_voice_edit"),
    path(f"{VOICE}/settings", catalogue.settings_of, name="elevenlabs_voice_settings"),
    path(f"{VOICE}/settings/edit", catalogue.edit_settings, name="elevenlabs_settings_edit"),
    path("v1/user", account.user, name="elevenlabs_user"),
    path("v1/user/subscription", account.subscription, name="elevenlabs_subscription"),
    path("v1/usage/character-stats", account.character_stats, name="elevenlabs_usage"),
    path("v1/history", history.listed, name="elevenlabs_history"),
    path("v1/history/download", history.download, name="elevenlabs_download"),
    path(ITEM, history.item, name="elevenlabs_item"),
    path(f"{ITEM}/audio", history.item_audio, name="elevenlabs_item_audio"),
]
