"""Sound in numpy: trimmed, faded, slower or faster at the same pitch, louder without clipping.

Samples are float32, mono, within ±1; times are in seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usage.engines.neural import SAMPLE_RATE

Samples = NDArray[np.float32]

MARGIN_SECONDS = 0.04  # kept around the sound
FADE_SECONDS = 0.004  # against clicks
AUDIBLE = 0.01  # samples below it are silence, at the models' own loudness
KNEE, PEAK = 0.8, 0.99  # from the first on the bound is soft, the second is never passed
WORD_SECONDS_MIN = 0.01  # of a word that has phonemes, wherever the trim falls
FRAME_SECONDS, SEARCH_SECONDS = 0.03, 0.01  # of stretching


@dataclass(slots=True)
class Sound:
    samples: Samples
    # Begin and end of each phoneme, as [n, 2].
    spans: NDArray[np.float64]


def trim(sound: Sound, rate: int = SAMPLE_RATE) -> Sound:
    """Without the silence at both ends but for MARGIN_SECONDS, and faded at both ends."""
    samples, margin = sound.samples, round(MARGIN_SECONDS * rate)
    loud = np.flatnonzero(np.abs(samples) > AUDIBLE)
    first, last = (loud[0], loud[-1]) if len(loud) else (0, len(samples) - 1)
    begin, end = max(0, first - margin), min(len(samples), last + 1 + margin)
    samples = samples[begin:end].copy()
    fade = min(round(FADE_SECONDS * rate), len(samples) // 2)
    ramp = np.linspace(0, 1, fade, dtype=np.float32)
    samples[:fade] *= ramp
    samples[len(samples) - fade :] *= ramp[::-1]
    spans = np.clip(sound.spans - begin / rate, 0, len(samples) / rate)
    return Sound(samples, spans)


def join(sounds: Sequence[Sound], rate: int = SAMPLE_RATE) -> Sound:
    spans, at = [], 0.0
    for sound in sounds:
        spans.append(sound.spans + at)
        at += len(sound.samples) / rate
    return Sound(np.concatenate([sound.samples for sound in sounds]), np.concatenate(spans))


def stretch(sound: Sound, speed: float, rate: int = SAMPLE_RATE) -> Sound:
    """At another speed and the same pitch.

    WSOLA: frames are laid over each other at another distance, each taken where it continues best
    what was laid before it. (Verhelst and Roelands, ICASSP 1993.)
    """
    samples = sound.samples
    half, reach = round(FRAME_SECONDS * rate) // 2, round(SEARCH_SECONDS * rate)
    target = round(len(samples) / speed)
    if speed == 1 or len(samples) < 2 * half or target < 2 * half:
        return sound
    window = np.hanning(2 * half + 1)[:-1].astype(np.float32)
    padded = np.concatenate(
        [np.zeros(half, np.float32), samples, np.zeros(2 * (half + reach) + half, np.float32)]
    )
    out = np.zeros(target + 3 * half, np.float32)
    at = 0  # of the frame in `padded`
    for place in range(0, target + half, half):
        out[place : place + 2 * half] += padded[at : at + 2 * half] * window
        natural = padded[at + half : at + 2 * half]  # what would follow
        wanted = min(round((place + half) * speed), len(samples) + half)
        low = max(0, wanted - reach)
        near = padded[low : wanted + reach + half]
        if len(near) < half or len(natural) < half:
            break
        likeness = np.correlate(near, natural, "valid")
        energy = np.cumsum(np.concatenate([[0.0], near.astype(np.float64) ** 2]))
        norm = np.sqrt(np.maximum(energy[half:] - energy[:-half], 1e-6))
        at = low + int(np.argmax(likeness / norm))
    return Sound(out[half : half + target], sound.spans / speed)


def louder(samples: Samples, gain: float) -> Samples:
    """Times a constant gain; what comes near full scale is bent and never passes PEAK."""
    samples = samples * np.float32(gain)
    size = np.abs(samples)
    over = size > KNEE
    samples[over] = np.sign(samples[over]) * (
        KNEE + (PEAK - KNEE) * np.tanh((size[over] - KNEE) / (PEAK - KNEE))
    )
    return samples


def to_bytes(samples: Samples) -> bytes:
    return (np.clip(samples, -1, 1) * 32_767).astype("<i2").tobytes()


def from_bytes(data: bytes) -> Samples:
    return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32_768)


def word_times(
    spans: NDArray[np.float64], owners: Sequence[int], words: int, seconds: float
) -> list[tuple[float, float]]:
    """From the first to the last phoneme of each word.

    A word without phonemes begins and ends where the one before it ends: nobody hears it.
    """
    times: list[tuple[float, float]] = []
    belongs = np.asarray(owners)
    last = 0.0
    for word in range(words):
        mine = np.flatnonzero(belongs == word)
        if len(mine):
            begin = min(max(last, float(spans[mine[0], 0])), seconds - WORD_SECONDS_MIN)
            last = min(max(begin + WORD_SECONDS_MIN, float(spans[mine[-1], 1])), seconds)
        else:
            begin = last
        times.append((begin, last))
    return times
