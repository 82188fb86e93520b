"""Samples of voices for tests, spoken by our own engines, and in every format."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
import soundfile

from usage import engines
from usage.engines.whole import Speech, speak_whole

TEXT = (
    "This is my own voice. The boat left the harbour before dawn, and nobody on the quay waved. "
    "She counted the letters twice, put the smallest one aside, and opened the window. "
    "Why would a quiet town need three bakeries?"
)
MAN = {"variant": "en-us+m3"}


@cache
def speech(engine: str = "hibari", **settings) -> Speech:
    """Some 12 seconds of that voice; hibari's is a woman's."""
    try:
        return speak_whole(engines.engine(engine), TEXT, settings=settings, deadline_seconds=300)
    finally:
        engines.close()


def numbers(spoken: Speech) -> np.ndarray:
    return np.frombuffer(spoken.samples, "<i2").astype(np.float32) / 32_768


def written(samples: np.ndarray, rate: int, kind: str, subtype: str | None = None) -> bytes:
    """As a file of libsndfile's formats."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


def m4a(samples: np.ndarray, rate: int) -> bytes:
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=rate)
        stream.layout = "mono"
        for begin in range(0, len(samples), 1_024):
            part = np.ascontiguousarray(samples[None, begin : begin + 1_024])
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = rate, begin
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()
