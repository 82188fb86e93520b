"""Make the samples of the house voices anew: after a voice was added or changed."""

from __future__ import annotations

import json
import math
from array import array
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from usage import audio
from usage.engines import EngineFailed, engine
from usage.engines.whole import speak_whole
from usage.speech import paces, prints, voices

SECONDS_MAX = 300  # for one sample, the start of its engine included
SAMPLE_SECONDS_MIN = 2
KILOBITS = 48
SENTENCES = {  # by language; "{}" is the name of the voice
    "en": "Hello, I am {}. Every morning the harbour wakes before the city does.",
    "es": "Hola, soy {}. Cada mañana el puerto despierta antes que la ciudad.",
    "it": "Ciao, sono {}. Ogni mattina il porto si sveglia prima della città.",
    "pt-br": "Olá, meu nome é {}. Toda manhã o porto acorda antes da cidade.",
}
# The ranges of frequencies of a print, and how much of all sound is usual in each.
EDGES_HZ = (100, 220, 400, 800, 1_600, 3_200, 7_000)
USUAL_DB = (-5.6, -5.8, -6.4, -9.8, -13.6, -16.6)
LEVELS_PER_DB = 2.2


class Command(BaseCommand):
    help = (
        "Speaks a sentence with each house voice into static/voices/, whose files are kept in the "
        "repository: so listening to a voice costs the site nothing. Then makes the voice prints, "
        "and measures how fast each voice speaks."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("voices", nargs="*", help="Ids of the voices. Default: all.")
        parser.add_argument(
            "--prints",
            action="store_true",
            help="Speaks nothing: makes prints and paces from the samples kept.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = options["voices"] or list(voices.HOUSE)
        if unknown := set(wanted) - voices.HOUSE.keys():
            raise CommandError(f"There is no house voice {', '.join(sorted(unknown))}.")
        for id_ in [] if options["prints"] else wanted:
            self._speak(voices.HOUSE[id_])
        made = {id_: print_of(sample_path(one)) for id_, one in voices.HOUSE.items()}
        lines = ",\n".join(f"  {json.dumps(id_)}: {levels}" for id_, levels in sorted(made.items()))
        prints.FILE.write_text(f"{{\n{lines}\n}}\n")
        measured = {id_: pace_of(one) for id_, one in voices.HOUSE.items()}
        paces.FILE.write_text(json.dumps(measured, indent=2, sort_keys=True) + "\n")

    def _speak(self, speaker: voices.Speaker) -> None:
        path = sample_path(speaker)
        path.parent.mkdir(exist_ok=True)
        try:
            path.write_bytes(_spoken(speaker))
        except EngineFailed as error:
            raise CommandError(f"{speaker.name} does not speak: {error}") from error
        self.stdout.write(f"{path.relative_to(settings.BASE_DIR)}\n")


def sample_path(speaker: voices.Speaker) -> Path:
    return Path(settings.BASE_DIR, "static", speaker.sample)


def pace_of(speaker: voices.Speaker) -> float:
    """How many characters the voice says in a second of its sample."""
    rate, samples = _heard(sample_path(speaker))
    return round(len(_sentence(speaker)) * rate / len(samples), 2)


def print_of(path: Path) -> prints.Levels:
    """The print of the voice that is heard in a file."""
    rate, samples = _heard(path)
    if len(samples) < SAMPLE_SECONDS_MIN * rate:
        raise CommandError(f"{path.name} is not the sample of a voice.")
    powers = [_power(samples, rate, low, high) for low, high in pairwise(EDGES_HZ)]
    above_usual = [
        10 * math.log10(power / sum(powers) + 1e-12) - usual
        for power, usual in zip(powers, USUAL_DB, strict=True)
    ]
    levels = [round(prints.LEVEL_MAX / 2 + LEVELS_PER_DB * decibels) for decibels in above_usual]
    return [min(max(level, 0), prints.LEVEL_MAX) for level in levels]


def _heard(path: Path) -> tuple[int, array[int]]:
    """Sample rate and samples of a file."""
    samples = array("h")
    with audio.decode(path.read_bytes()) as reader:
        rate = reader.sample_rate
        # The header of an mp3 promises what its first frame lacks, so it seems to end too early.
        with suppress(audio.SoundBroken):
            for piece in reader:
                samples.frombytes(piece)
    return rate, samples


def _sentence(speaker: voices.Speaker) -> str:
    return SENTENCES[speaker.language].format(speaker.name)


def _power(samples: array[int], rate: int, low_hz: float, high_hz: float) -> float:
    """The energy of one range of frequencies, by a band-pass filter of the second order."""
    centre = math.sqrt(low_hz * high_hz)
    angle = 2 * math.pi * centre / rate
    alpha = math.sin(angle) * (high_hz - low_hz) / (2 * centre)
    feed = alpha / (1 + alpha)
    back_1, back_2 = 2 * math.cos(angle) / (1 + alpha), (alpha - 1) / (1 + alpha)
    energy = was_1 = was_2 = out_1 = out_2 = 0.0
    for sample in samples:
        out = feed * (sample - was_2) + back_1 * out_1 + back_2 * out_2
        was_1, was_2, out_1, out_2 = float(sample), was_1, out, out_1
        energy += out * out
    return energy


def _spoken(speaker: voices.Speaker) -> bytes:
    speech = speak_whole(
        engine(speaker.engine),
        _sentence(speaker),
        settings=speaker.settings,
        deadline_seconds=SECONDS_MAX,
        language=speaker.language,
    )
    encoder = audio.encoder("mp3", sample_rate=speech.sample_rate, bit_rate=KILOBITS)
    return encoder.feed(speech.samples) + encoder.finish()
