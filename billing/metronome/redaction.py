from __future__ import annotations

from django.conf import settings


def without_secrets(text: str) -> str:
    """Others' words without our secrets, which they may quote when they refuse them: for logs, rows and pages."""
    for secret in (settings.METRONOME_API_KEY, settings.SECRET_KEY, *settings.METRONOME_WEBHOOK_SECRETS):
        if secret and secret != "sandbox":  # the sandbox's key is a word, and no secret
            text = text.replace(secret, "***")
    return text
