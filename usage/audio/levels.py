"""The shape of a sound for its picture: how loud each part of it is."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable

BARS = 118  # of the picture
LEVEL_MAX = 100
WINDOW_SAMPLES = 512  # whose peak is taken: 20 to 30 ms of speech


def levels(pieces: Iterable[bytes], samples: int) -> list[int]:
    """BARS numbers from 0 to LEVEL_MAX, the loudest part being LEVEL_MAX; all 0 of silence.

    `pieces` are signed 16 bit samples, of which there are `samples` in all. A part is as loud as
    the peaks of its windows are on average.
    """
    peaks = array("l")
    rest = array("h")
    for piece in pieces:
        rest.frombytes(piece)
        whole = len(rest) - len(rest) % WINDOW_SAMPLES
        for at in range(0, whole, WINDOW_SAMPLES):
            peaks.append(_peak(rest[at : at + WINDOW_SAMPLES]))
        del rest[:whole]
    if rest:
        peaks.append(_peak(rest))
    windows = max(1, math.ceil(samples / WINDOW_SAMPLES))
    heights = []
    for bar in range(BARS):
        start = bar * windows // BARS
        part = peaks[start : max(start + 1, (bar + 1) * windows // BARS)]
        heights.append(sum(part) / len(part) if part else 0)
    loudest = max(heights)
    return [round(LEVEL_MAX * height / loudest) if loudest else 0 for height in heights]


def _peak(samples: array[int]) -> int:
    return max(max(samples), -min(samples))
