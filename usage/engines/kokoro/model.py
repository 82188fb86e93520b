"""The model of Kokoro, in its helper."""

import hashlib
import importlib.resources
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usage.engines.helper import Times, Unusable
from usage.engines.kokoro import PARTS, STYLES
from usage.engines.neural.phonemes import Given, Speller
from usage.engines.neural.session import Session
from usage.engines.neural.sound import Samples
from usage.engines.neural.voice import FIRST_WORDS, say

FOLDER: Path | None = None
FORKS = False

# Of kokoro-v1.0.int8.onnx, which the packages hold in four parts.
MODEL_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
DURATIONS = "/encoder/Clip_output_0"  # the tensor of frames for each phoneme


class Kokoro:
    def __init__(self) -> None:
        hibari = importlib.resources.files("hibari") / "assets"
        self.ids: dict[str, int] = json.loads((hibari / "vocab.json").read_text())
        self.alphabet = frozenset(self.ids)
        self.american = Speller(self.alphabet)
        self.british = Speller(self.alphabet, british=True)
        self.british.g2p.tagger = self.american.g2p.tagger  # the same, in memory once
        self.styles: dict[str, NDArray[np.float32]] = {}
        for path in STYLES:
            with np.load(path) as file:
                self.styles |= {name: file[name].astype(np.float32) for name in file.files}
        self.session = Session(_model(), further_output=DURATIONS, shrinks=True)

    def begin(self, folder: Path | None) -> None:
        """Everything is in memory already."""

    def speak(self, request: dict[str, Any]) -> tuple[Times, bytes]:
        run = partial(self.run, shares=request["shares"])
        return say(
            request["words"],
            self._speller(request),
            run,
            speed=request["speed"],
            gain=request["gain"],
            ipa=request.get("ipa"),
        )

    def _speller(self, request: dict[str, Any]) -> Speller | Given:
        """Reads English here; of other languages the request has the phonemes."""
        if (phonemes := request.get("phonemes")) is not None:
            return Given(self.alphabet, phonemes)
        return self.british if request["language"] == "en-gb" else self.american

    def run(
        self, phonemes: str, speed: float, *, shares: dict[str, float]
    ) -> tuple[Samples, NDArray[np.float32]]:
        """Samples, and frames of 25 ms for each phoneme with a silent one at each end."""
        feed = {
            "tokens": np.array([[0, *(self.ids[sign] for sign in phonemes), 0]], np.int64),
            "style": self._style(shares, len(phonemes)),
            "speed": np.array([speed], np.float32),
        }
        samples, frames = self.session.run(None, feed)
        return samples.ravel(), frames.ravel()

    def _style(self, shares: dict[str, float], phonemes: int) -> NDArray[np.float32]:
        """The vector [1, 256] of a blend for a text of so many phonemes.

        A style has one vector for each number of phonemes, stored as their mean and the weights of
        eight directions.
        """
        total = np.zeros((1, 256), np.float32)
        for name, share in shares.items():
            mean, directions = self.styles[f"{name}.v"][0], self.styles[f"{name}.v"][1:]
            weights = self.styles[f"{name}.u"][phonemes - 1]
            total += np.float32(share) * (weights @ directions + mean)
        return total


def load() -> Kokoro:
    kokoro = Kokoro()
    for language in ("en-us", "en-gb"):
        kokoro.speak(FIRST_WORDS | {"shares": {"af_heart": 1.0}, "language": language})
    return kokoro


def _model() -> bytes:
    """The model, joined from its packages. Raises Unusable if a byte is wrong."""
    parts = (importlib.resources.files(part) / "part.bin" for part in PARTS)
    model = b"".join(part.read_bytes() for part in parts)
    if hashlib.sha256(model).hexdigest() != MODEL_SHA256:
        raise Unusable("The parts of Kokoro's model are damaged. Install requirements.txt again.")
    return model
