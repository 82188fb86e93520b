"""Make the samples of the house voices anew: after a voice was added or changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from usage import audio
from usage.engines import EngineFailed, engine
from usage.engines.whole import speak_whole
from usage.speech import voices

SECONDS_MAX = 300  # for one sample, the start of its engine included
KILOBITS = 48
SENTENCES = {  # by language; "{}" is the name of the voice
    "en": "Hello, I am {}. Every morning the harbour wakes before the city does.",
    "es": "Hola, soy {}. Cada mañana el puerto despierta antes que la ciudad.",
    "it": "Ciao, sono {}. Ogni mattina il porto si sveglia prima della città.",
    "pt-br": "Olá, meu nome é {}. Toda manhã o porto acorda antes da cidade.",
}


class Command(BaseCommand):
    help = (
        "Speaks a sentence with each house voice into static/voices/, whose files are kept in the "
        "repository: so listening to a voice costs the site nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("voices", nargs="*", help="Ids of the voices. Default: all.")

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = options["voices"] or list(voices.HOUSE)
        if unknown := set(wanted) - voices.HOUSE.keys():
            raise CommandError(f"There is no house voice {', '.join(sorted(unknown))}.")
        for speaker in map(voices.HOUSE.__getitem__, wanted):
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
        SENTENCES[speaker.language].format(speaker.name),
        settings=speaker.settings,
        deadline_seconds=SECONDS_MAX,
        language=speaker.language,
    )
    encoder = audio.encoder("mp3", sample_rate=speech.sample_rate, bit_rate=KILOBITS)
    return encoder.feed(speech.samples) + encoder.finish()
