"""Make the samples of the house voices anew: after a voice was added or changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from usage import audio
from usage.engines import EngineFailed, engine
from usage.engines.whole import speak_whole
from usage.speech import voices

SECONDS_MAX = 120  # for one sample, the start of its engine included
KILOBITS = 48


class Command(BaseCommand):
    help = (
        "Speaks a sentence with each house voice into static/voices/, whose files are kept in the "
        "repository: so listening to a voice costs the site nothing."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        for speaker in voices.HOUSE.values():
            path = Path(settings.BASE_DIR, "static", speaker.sample)
            path.parent.mkdir(exist_ok=True)
            try:
                path.write_bytes(_spoken(speaker))
            except EngineFailed as error:
                raise CommandError(f"{speaker.name} does not speak: {error}") from error
            self.stdout.write(f"{path.relative_to(settings.BASE_DIR)}\n")


def _spoken(speaker: voices.Speaker) -> bytes:
    speech = speak_whole(
        engine(speaker.engine),
        f"Hello, I am {speaker.name}. Every morning the harbour wakes before the city does.",
        settings=speaker.settings,
        deadline_seconds=SECONDS_MAX,
        language=speaker.language,
    )
    encoder = audio.encoder("mp3", sample_rate=speech.sample_rate, bit_rate=KILOBITS)
    return encoder.feed(speech.samples) + encoder.finish()
