"""The speaker encoder in numpy: from sound to a point that is near for voices of the same kind.

Resemblyzer's network: 40 bands of a mel spectrum through three LSTM layers, its last state made a
vector of 256 numbers and length 1; of a longer sound the mean of stretches of 1.6 seconds that
overlap. (Wan and others, "Generalized end-to-end loss for speaker verification", ICASSP 2018.)

Samples are float32 at 16 kHz, mono, within ±1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WEIGHTS = Path(__file__).with_name("encoder-f16.npz")
RATE = 16_000
WINDOW, HOP, BANDS = 400, 160, 40
STRETCH_FRAMES, STEP_FRAMES = 160, 77  # 1.6 seconds, 1.3 times a second
COVERED = 0.75  # of the last stretch, else it is left out
LAYERS = 3

# Mean square root of all speech: the network takes loud for another voice. 6 dB are a cosine of
# 0.93, as much as two recordings of one person differ by.
LOUDNESS = 10 ** (-30 / 20)
BLOCK = 480  # samples of 30 ms: of each it is decided whether somebody speaks
SMOOTHED_BLOCKS, KEPT_BLOCKS = 8, 3  # of the decision; of silence beside speech
RANGE_DB = 30  # below the loud blocks nobody speaks
SILENT_DB = -60

PITCH_HZ = (60, 420)
PERIODIC = 0.55  # autocorrelation of a frame with a pitch
PITCH_WINDOW, PITCH_HOP = 800, 320  # samples

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Voice:
    embedding: NDArray[np.float32]  # [256], of length 1
    speech_seconds: float
    pitch_hz: float  # median; 0 if nothing has a pitch
    voiced: float  # share of the speech that has a pitch


def describe(samples: Samples, *, seconds_max: float) -> Voice:
    """The voice of that sound, by its first `seconds_max` seconds of speech.

    Without speech the embedding is of length 0.
    """
    speech = without_silence(samples)
    seconds = len(speech) / RATE
    speech = speech[: round(seconds_max * RATE)]
    if len(speech) < WINDOW:
        return Voice(np.zeros(256, np.float32), 0.0, 0.0, 0.0)
    pitch_hz, voiced = pitch(speech)
    return Voice(embed(speech), seconds, pitch_hz, voiced)


def without_silence(samples: Samples) -> Samples:
    """The speech at LOUDNESS, with short pauses."""
    blocks = samples[: len(samples) // BLOCK * BLOCK].reshape(-1, BLOCK)
    if not len(blocks):
        return samples[:0]
    decibel = 10 * np.log10(np.mean(blocks.astype(np.float64) ** 2, axis=1) + 1e-12)
    threshold = max(float(np.percentile(decibel, 95)) - RANGE_DB, SILENT_DB)
    speaks = (decibel > threshold).astype(np.float64)
    smooth = np.convolve(speaks, np.ones(SMOOTHED_BLOCKS) / SMOOTHED_BLOCKS, "same") > 0.5
    kept = np.convolve(smooth, np.ones(2 * KEPT_BLOCKS + 1), "same") > 0.5
    speech: Samples = blocks[kept].ravel()
    if len(speech):
        level = float(np.sqrt(np.mean(speech.astype(np.float64) ** 2)))
        speech = speech * np.float32(LOUDNESS / max(level, 1e-6))
    return speech


def embed(speech: Samples) -> NDArray[np.float32]:
    """The point of a voice, of at least WINDOW samples of its speech."""
    frames = (len(speech) + HOP) // HOP
    starts = list(range(0, max(1, frames - STRETCH_FRAMES + STEP_FRAMES + 1), STEP_FRAMES))
    last = (len(speech) - starts[-1] * HOP) / (STRETCH_FRAMES * HOP)
    if last < COVERED and len(starts) > 1:
        starts.pop()
    missing = (starts[-1] + STRETCH_FRAMES) * HOP - len(speech)
    spectrum = mel(np.pad(speech, (0, max(0, missing))))
    stretches = np.stack([spectrum[start : start + STRETCH_FRAMES] for start in starts])
    points = np.maximum(_linear(_lstm(stretches)), 0)
    points /= np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-9)
    mean = points.mean(axis=0)
    found: NDArray[np.float32] = (mean / max(float(np.linalg.norm(mean)), 1e-9)).astype(np.float32)
    return found


def mel(samples: Samples) -> NDArray[np.float32]:
    """The power in each band, [frames, 40], a frame every 10 ms."""
    padded = np.pad(samples, WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    window = np.hanning(WINDOW + 1)[:-1]
    bands = []
    for at in range(0, len(frames), 2_000):  # to bound the memory
        power = np.abs(np.fft.rfft(frames[at : at + 2_000] * window)) ** 2
        bands.append((power @ _filters().T).astype(np.float32))
    return np.concatenate(bands)


def pitch(speech: Samples) -> tuple[float, float]:
    """The median pitch in Hz, and the share of frames that have one."""
    frames = np.lib.stride_tricks.sliding_window_view(
        np.pad(speech, (0, max(0, PITCH_WINDOW - len(speech)))), PITCH_WINDOW
    )[::PITCH_HOP]
    window = np.hanning(PITCH_WINDOW)
    size = 2 * PITCH_WINDOW
    of_window = np.fft.irfft(np.abs(np.fft.rfft(window, size)) ** 2)[:PITCH_WINDOW]
    low, high = RATE // PITCH_HZ[1], RATE // PITCH_HZ[0]
    found, count = [], 0
    for at in range(0, len(frames), 2_000):
        some = frames[at : at + 2_000] - frames[at : at + 2_000].mean(axis=1, keepdims=True)
        likeness = np.fft.irfft(np.abs(np.fft.rfft(some * window, size)) ** 2)[:, :PITCH_WINDOW]
        energy = np.maximum(likeness[:, :1], 1e-9)
        likeness = likeness / energy / (of_window / of_window[0])
        near = likeness[:, low : high + 1]
        best = near.max(axis=1)
        # The first peak that is nearly as good as the best: else a multiple of the period is found.
        peaks = (near >= np.roll(near, 1, axis=1)) & (near >= np.roll(near, -1, axis=1))
        first = np.argmax(peaks & (near >= 0.9 * best[:, None]), axis=1)
        found.append((RATE / (low + first))[best > PERIODIC])
        count += len(some)
    pitches = np.concatenate(found)
    if not len(pitches):
        return 0.0, 0.0
    return float(np.median(pitches)), len(pitches) / count


@cache
def _weights() -> dict[str, NDArray[np.float32]]:
    with np.load(WEIGHTS) as file:
        return {name: file[name].astype(np.float32) for name in file.files}


def _lstm(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """The last state [n, 256] of the last layer, for inputs [n, frames, 40]."""
    weights = _weights()
    states: Any = inputs
    for layer in range(LAYERS):
        into = weights[f"lstm.weight_ih_l{layer}"].T
        across = weights[f"lstm.weight_hh_l{layer}"].T
        bias = weights[f"lstm.bias_ih_l{layer}"] + weights[f"lstm.bias_hh_l{layer}"]
        count, frames, _ = states.shape
        given = states @ into + bias
        state = np.zeros((count, 256), np.float32)
        cell = np.zeros((count, 256), np.float32)
        after = np.empty((count, frames, 256), np.float32)
        for frame in range(frames):
            gates = given[:, frame] + state @ across
            enter, forget, new, leave = np.split(gates, 4, axis=1)
            cell = _sigmoid(forget) * cell + _sigmoid(enter) * np.tanh(new)
            state = _sigmoid(leave) * np.tanh(cell)
            after[:, frame] = state
        states = after
    last: NDArray[np.float32] = states[:, -1]
    return last


def _linear(states: NDArray[np.float32]) -> NDArray[np.float32]:
    weights = _weights()
    points: NDArray[np.float32] = states @ weights["linear.weight"].T + weights["linear.bias"]
    return points


def _sigmoid(values: NDArray[np.float32]) -> NDArray[np.float32]:
    result: NDArray[np.float32] = 0.5 * (np.tanh(0.5 * values) + 1)  # does not overflow
    return result


@cache
def _filters() -> NDArray[np.float64]:
    """Triangles over the bins of the spectrum, [40, 201], of the same area each.

    Slaney's mel scale: linear up to 1 kHz, logarithmic above.
    """
    step, knee = 200 / 3, 15.0
    ratio = np.log(6.4) / 27
    top = knee + np.log(RATE / 2 / 1_000) / ratio
    marks = np.linspace(0, top, BANDS + 2)
    hertz = np.where(marks < knee, marks * step, 1_000 * np.exp(ratio * (marks - knee)))
    bins = np.linspace(0, RATE / 2, WINDOW // 2 + 1)
    slopes = hertz[:, None] - bins[None, :]
    widths = np.diff(hertz)[:, None]
    rising, falling = -slopes[:-2] / widths[:-1], slopes[2:] / widths[1:]
    triangles = np.maximum(0, np.minimum(rising, falling))
    filters: NDArray[np.float64] = triangles * (2 / (hertz[2:] - hertz[:-2]))[:, None]
    return filters
