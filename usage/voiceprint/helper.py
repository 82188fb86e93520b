"""The helper process: decodes one sample from standard input, describes it, answers, and ends.

The answer on standard output is an object in JSON: what `usage.voiceprint.Described` needs, or
`refused` with a key of WORDS. Only what libraries need is loaded while files can be read; the
sample is looked at after the rights are gone.
"""

from __future__ import annotations

import io
import json
import os
import pkgutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from usage.audio.converter import Resampler
from usage.engines import rights
from usage.voiceprint import (
    SAMPLE,
    SAMPLE_BYTES_MAX,
    Bounds,
    encoder,
)

REFERENCES = Path(__file__).with_name("references.npz")
CPU_SECONDS, MEMORY_BYTES_MAX, NICENESS = 30, 700 << 20, 5
ENCODED_SECONDS = 60  # of speech; more says nothing new
VOICED_MIN = 0.15  # of the speech has a pitch, else it is noise
READ = {"WAV", "WAVEX", "RF64", "FLAC", "OGG", "MP3", "MPEG"}  # of libsndfile's many formats
RATES, CHANNELS_MAX = (8_000, 192_000), 8
RATE_STEP = 50  # Hz; keeps the filters of an odd rate small, and changes it by 0.3 % at most
BLOCK_FRAMES = 65_536


def main(written: str) -> None:
    bounds = Bounds(**json.loads(written))
    rights.leave_network()
    os.nice(NICENESS)
    sample = _sample()
    m4a = sample[4:8] == b"ftyp"
    if m4a and find_spec("av"):
        _load_av()
    with np.load(REFERENCES) as file:
        references = {name: file[name] for name in file.files}
    # Loads what libraries load late.
    encoder.describe(np.linspace(-0.1, 0.1, encoder.RATE, dtype=np.float32), seconds_max=1)
    quiet = os.open(os.devnull, os.O_WRONLY)
    rights.reduce(folder=None, memory_bytes_max=MEMORY_BYTES_MAX)
    rights.stay_alone()
    rights.limit_cpu(CPU_SECONDS)
    answer: dict[str, Any]
    try:
        # Decoders write what they think of a file to standard error, which is our log.
        with _redirected(2, to=quiet):
            samples = decoded(sample, bounds)
        answer = _described(samples, references, bounds)
    except Refusal as error:
        answer = {"refused": error.code, "seconds": error.seconds}
    data = json.dumps(answer).encode()
    while data:
        data = data[os.write(1, data) :]


class Refusal(Exception):
    def __init__(self, code: str, seconds: float = 0.0) -> None:
        super().__init__(code)
        self.code, self.seconds = code, seconds


def decoded(sample: bytes, bounds: Bounds = SAMPLE) -> encoder.Samples:
    """The sound at 16 kHz. Raises Refusal; also for the length, as soon as it is too long."""
    if sample[4:8] == b"ftyp":
        if not find_spec("av"):
            raise Refusal("m4a")
        blocks = _from_m4a(sample)
    elif sample[:4] == b"\x1a\x45\xdf\xa3":
        raise Refusal("webm")
    else:
        blocks = _from_sndfile(sample)
    whole, count = [], 0
    for block in blocks:
        whole.append(block)
        count += len(block)
        if count > bounds.seconds[1] * encoder.RATE:
            raise Refusal("too_long")
    seconds = count / encoder.RATE
    if seconds < bounds.seconds[0]:
        raise Refusal("too_short", seconds)
    samples = np.concatenate(whole)
    finite: encoder.Samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
    return finite


@contextmanager
def _redirected(descriptor: int, *, to: int) -> Iterator[None]:
    kept = os.dup(descriptor)
    os.dup2(to, descriptor)
    try:
        yield
    finally:
        os.dup2(kept, descriptor)


def _load_av() -> None:
    """All of PyAV: it imports parts of itself only when it meets a stream of that kind."""
    import av

    for module in pkgutil.walk_packages(av.__path__, "av."):
        if module.name not in ("av.__main__", "av.datasets"):
            import_module(module.name)


def _sample() -> bytes:
    with os.fdopen(0, "rb", closefd=False) as file:
        return file.read(SAMPLE_BYTES_MAX + 1)


def _described(
    samples: encoder.Samples, references: dict[str, Any], bounds: Bounds
) -> dict[str, Any]:
    voice = encoder.describe(samples, seconds_max=ENCODED_SECONDS)
    if voice.speech_seconds < bounds.speech_seconds_min:
        raise Refusal("silent")
    if voice.voiced < VOICED_MIN:
        raise Refusal("no_voice")
    points = references["points"].astype(np.float32)
    likeness = points @ voice.embedding / np.linalg.norm(points, axis=1)
    columns = zip(
        references["styles"].tolist(),
        likeness.tolist(),
        references["gains"].tolist(),
        references["pitches_hz"].tolist(),
        strict=True,
    )
    return {
        "seconds": len(samples) / encoder.RATE,
        "pitch_hz": voice.pitch_hz,
        "embedding": voice.embedding.astype("<f2").tobytes().hex(),
        "references": {style: [round(value, 4) for value in values] for style, *values in columns},
    }


def _from_sndfile(sample: bytes) -> Iterator[encoder.Samples]:
    """Blocks at 16 kHz of a wav, mp3, ogg or flac."""
    try:
        file = soundfile.SoundFile(io.BytesIO(sample))
    except (soundfile.SoundFileError, ValueError, TypeError) as error:
        raise Refusal("unknown") from error
    with file:
        if file.format not in READ or not 1 <= file.channels <= CHANNELS_MAX:
            raise Refusal("unknown")
        if not RATES[0] <= file.samplerate <= RATES[1]:
            raise Refusal("unknown")
        resampler = _resampler(file.samplerate)
        read = 0
        try:
            # `frames` may be any number that a header claims, so it bounds nothing.
            while len(block := file.read(BLOCK_FRAMES, dtype="float32", always_2d=True)):
                read += len(block)
                yield _float(resampler.feed(_pcm(block.mean(axis=1))))
        except soundfile.SoundFileError as error:
            raise Refusal("broken") from error
        if file.format == "FLAC" and read < file.frames:
            raise Refusal("broken")
        yield _float(resampler.finish())


def _from_m4a(sample: bytes) -> Iterator[encoder.Samples]:
    """Blocks at 16 kHz of an m4a, by PyAV."""
    import av

    try:
        with av.open(io.BytesIO(sample), "r", format="mov") as file:
            if not file.streams.audio:
                raise Refusal("unknown")
            stream = file.streams.audio[0]
            stream.codec_context.thread_count = 1
            resampler = av.AudioResampler(format="flt", layout="mono", rate=encoder.RATE)
            for frame in file.decode(stream):
                for made in resampler.resample(frame):
                    yield made.to_ndarray().ravel().astype(np.float32)
    except (av.FFmpegError, ValueError, MemoryError) as error:
        raise Refusal("broken") from error


def _resampler(rate: int) -> Resampler:
    return Resampler(round(rate / RATE_STEP) * RATE_STEP, encoder.RATE)


def _pcm(samples: NDArray[np.float32]) -> bytes:
    return (np.clip(np.nan_to_num(samples), -1, 1) * 32_767).astype("<i2").tobytes()


def _float(data: bytes) -> encoder.Samples:
    return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32_768)
