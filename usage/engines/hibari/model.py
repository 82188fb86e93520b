"""The model of hibari, in its helper: a spectrum and a pitch for each 12.5 ms, made into sound.

Because the pitch is an output it can be changed before it is heard.
"""

import importlib.resources
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from hibari import dsp
from numpy.typing import NDArray

from usage.engines.helper import Times
from usage.engines.neural.phonemes import Speller
from usage.engines.neural.session import Session
from usage.engines.neural.sound import Samples
from usage.engines.neural.voice import FIRST_WORDS, say

FOLDER: Path | None = None
FORKS = False

# Its durations run behind its sound by so much: the median of 27 words after silence.
LATE_SECONDS = 0.05
DURATIONS = "/Clip_output_0"  # the tensor of frames for each phoneme
VOICED_HZ = 40  # the model gives less where there is no voice
NOISE_SEED = 0  # the same noise for the same piece

Spectrum = NDArray[np.float32]  # [bins, frames]


class Hibari:
    def __init__(self) -> None:
        assets = importlib.resources.files("hibari") / "assets"
        self.ids: dict[str, int] = json.loads((assets / "vocab.json").read_text())
        self.speller = Speller(frozenset(self.ids))
        model = (assets / "hibari.onnx").read_bytes()
        self.session = Session(model, further_output=DURATIONS)

    def begin(self, folder: Path | None) -> None:
        """Everything is in memory already."""

    def speak(self, request: dict[str, Any]) -> tuple[Times, bytes]:
        run = partial(self.run, pitch=request["pitch"], spread=request["range"])
        return say(
            request["words"],
            self.speller,
            run,
            speed=request["speed"] * request["pace"],
            gain=request["gain"],
            late_seconds=LATE_SECONDS,
            ipa=request.get("ipa"),
        )

    def run(
        self, phonemes: str, speed: float, *, pitch: float, spread: float
    ) -> tuple[Samples, NDArray[np.float32]]:
        """Samples, and frames of 25 ms for each phoneme with a silent one at each end."""
        ids = np.array([[0, *(self.ids[sign] for sign in phonemes), 0]], np.int64)
        feed = {"ids": ids, "speed": np.array([speed], np.float32)}
        names = ["lh", "theta", "ln", "lr", "phi", "f0", DURATIONS]
        *outputs, frames = self.session.run(names, feed)
        harmonic, turn, noise, rest, phase, f0 = (output[0] for output in outputs)
        f0 = _melody(f0, pitch, spread)
        # Formants follow half as far: closer to another speaker than to another tape speed.
        formants = (1 + pitch) / 2
        if formants != 1:
            nearest = _nearest(len(harmonic), formants)
            harmonic, noise, rest = (_shifted(s, formants) for s in (harmonic, noise, rest))
            turn, phase = turn[nearest], phase[nearest]
        generator = np.random.default_rng(NOISE_SEED)
        samples = dsp.synth(harmonic, turn, noise, rest, phase, f0, generator)
        return samples, frames.ravel()


def load() -> Hibari:
    hibari = Hibari()
    hibari.speak(FIRST_WORDS | {"pitch": 1.1, "range": 1.1, "pace": 1.0})
    return hibari


def _melody(f0: NDArray[np.float32], pitch: float, spread: float) -> NDArray[np.float32]:
    """The pitch in Hz, times `pitch`, its distance from the middle of the part times `spread`."""
    voiced = f0 > VOICED_HZ
    if (pitch, spread) == (1, 1) or not voiced.any():
        return f0
    middle = np.exp(np.log(f0[voiced]).mean())
    changed = middle * pitch * (np.maximum(f0, 1) / middle) ** spread
    return np.where(voiced, changed, 0).astype(np.float32)


def _nearest(bins: int, factor: float) -> NDArray[np.int64]:
    return np.minimum(np.round(np.arange(bins) / factor), bins - 1).astype(np.int64)


def _shifted(spectrum: Spectrum, factor: float) -> Spectrum:
    """Each bin of the result is what the spectrum has at its frequency divided by the factor."""
    bins = len(spectrum)
    at = np.minimum(np.arange(bins) / factor, bins - 1)
    low = at.astype(np.int64)
    share = (at % 1)[:, None].astype(np.float32)
    high = np.minimum(low + 1, bins - 1)
    shifted: Spectrum = spectrum[low] * (1 - share) + spectrum[high] * share
    return shifted
