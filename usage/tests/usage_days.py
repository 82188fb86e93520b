"""Days of usage as rows, for tests of what is read from them."""

from __future__ import annotations

from usage.models import SITE, UsageDay


def used(customer, day, credits=100, **fields):
    """A row of `UsageDay`: by default speech of Ava on the site."""
    usual = {
        "kind": "speech",
        "voice": "standard-ava",
        "voice_type": "standard",
        "voice_name": "Ava",
        "api_key": SITE,
        "characters": credits,
        "generations": 1,
        "audio_ms": 1_000,
    }
    return UsageDay.objects.create(customer=customer, day=day, credits=credits, **usual | fields)
