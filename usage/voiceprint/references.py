"""Make `references.npz`: where Kokoro's voices are for the speaker encoder. For engineers, once:

    nice python -m usage.voiceprint.references

It takes three minutes on an idle core, and goes on where it was stopped.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usage import engines
from usage.audio.converter import Resampler
from usage.engines.whole import Speech, speak_whole

from . import STYLES_SPOKEN_BY, encoder

TARGET = Path(__file__).with_name("references.npz")
PART = TARGET.with_suffix(".part.npz")
SENTENCE = (
    "The boat left the harbour before dawn. She counted the letters twice, put the smallest one "
    "aside, and opened the window."
)
LOUDNESS_LUFS = -23.5  # of every voice, as in `usage.speech.voices`
GAINS = (0.3, 2.5)
ENGLISH = "ab"  # first letters of its styles: an own voice reads English
SPEECH_SECONDS = 60


def main() -> None:
    from usage.engines.kokoro import styles

    known = _known()
    for style in sorted(name for name in styles() if name[0] in ENGLISH):
        if style not in known:
            known[style] = _measured(style)
            np.savez_compressed(PART, allow_pickle=False, **known)
        sys.stderr.write(f"\r{len(known)} {style} ")
    engines.close()
    _write(known)


def _known() -> dict[str, Any]:
    if not PART.exists():
        return {}
    with np.load(PART) as file:
        return {name: file[name] for name in file.files}


def _measured(style: str) -> NDArray[np.float32]:
    """The point of a style, and after it its loudness and its pitch."""
    speech = _spoken(style)
    voice = encoder.describe(_at_16_khz(speech), seconds_max=SPEECH_SECONDS)
    return np.array([*voice.embedding, _loudness(speech), voice.pitch_hz], np.float32)


def _spoken(style: str) -> Speech:
    engine = engines.engine(STYLES_SPOKEN_BY)
    return speak_whole(engine, SENTENCE, settings={"style": style}, deadline_seconds=300)


def _write(known: dict[str, Any]) -> None:
    rows = np.array(list(known.values()))
    gains = np.clip(10 ** ((LOUDNESS_LUFS - rows[:, -2]) / 20), *GAINS)
    np.savez_compressed(
        TARGET,
        allow_pickle=False,
        styles=np.array(list(known)),
        points=rows[:, :-2].astype(np.float16),
        gains=np.round(gains, 2).astype(np.float32),
        pitches_hz=np.round(rows[:, -1]).astype(np.float32),
    )


def _at_16_khz(speech: Speech) -> NDArray[np.float32]:
    resampler = Resampler(speech.sample_rate, encoder.RATE)
    data = resampler.feed(speech.samples) + resampler.finish()
    return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32_768)


def _loudness(speech: Speech) -> float:
    """In LUFS, by ITU-R BS.1770: weighted by ear, over the blocks in which something sounds."""
    samples = np.frombuffer(speech.samples, "<i2") / 32_768
    rate = speech.sample_rate
    hertz = np.fft.rfftfreq(len(samples), 1 / rate)
    z = np.exp(-2j * np.pi * hertz / rate)
    weighted = np.fft.irfft(np.fft.rfft(samples) * _shelf(z, rate) * _high_pass(z, rate))
    size = round(0.4 * rate)
    blocks = np.lib.stride_tricks.sliding_window_view(weighted, size)[:: size // 4]
    power = np.mean(blocks**2, axis=1)
    power = power[power > 10 ** ((-70 + 0.691) / 10)]
    power = power[power > power.mean() / 10]
    return float(-0.691 + 10 * np.log10(power.mean()))


def _shelf(z: Any, rate: int) -> Any:
    k, q, gain = np.tan(np.pi * 1_681.97 / rate), 0.707175, 10 ** (3.99984 / 20)
    part = gain**0.499667
    top = (gain + part * k / q + k * k, 2 * (k * k - gain), gain - part * k / q + k * k)
    return _response(z, top, (1 + k / q + k * k, 2 * (k * k - 1), 1 - k / q + k * k))


def _high_pass(z: Any, rate: int) -> Any:
    k, q = np.tan(np.pi * 38.1355 / rate), 0.500327
    bottom = (1 + k / q + k * k, 2 * (k * k - 1), 1 - k / q + k * k)
    return _response(z, (bottom[0], -2 * bottom[0], bottom[0]), bottom)


def _response(z: Any, top: tuple[float, ...], bottom: tuple[float, ...]) -> Any:
    return np.polyval(top[::-1], z) / np.polyval(bottom[::-1], z)


if __name__ == "__main__":
    main()
