"""Keeping our secrets out of logs, rows and pages."""

from __future__ import annotations

from django.conf import settings


def without_secrets(text: str) -> str:
    """`text` with our secrets replaced by ***. Error messages of other services may quote them."""
    secrets = (
        settings.METRONOME_API_KEY,
        settings.SECRET_KEY,
        *settings.METRONOME_WEBHOOK_SECRETS,
    )
    for secret in secrets:
        if secret and secret != "sandbox":  # the sandbox's key is an ordinary word
            text = text.replace(secret, "***")
    return text
