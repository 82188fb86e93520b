"""Where a voice is among others: a sample described by a speaker encoder, and which of Kokoro's
voices are near it. Plain Python without Django.

A sample is somebody's file. It is decoded and described in a helper process that ends with it
(`helper`), so that neither its memory nor a decoder's mistake is the web process's. This process
imports no numpy.

`encoder-f16.npz` and `references.npz` are data; `convert` and `references` made them.
"""

from __future__ import annotations

import json
import math
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

STYLES_SPOKEN_BY = "kokoro"  # the engine whose styles the references are
SAMPLE_BYTES_MAX = 10_000_000


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long a recording may be, and for how long somebody speaks in it."""

    seconds: tuple[int, int]
    speech_seconds_min: int

    @property
    def words(self) -> dict[str, object]:
        """For WORDS."""
        least, most = self.seconds
        minutes = most // 60
        return {"least": least, "most": f"{minutes} minute{'s' if minutes > 1 else ''}"}


SAMPLE = Bounds((10, 300), 6)
SENTENCE = Bounds((3, 300), 2)  # of a consent, in a recording of its own

ANSWER_SECONDS = 45
ANSWER_BYTES_MAX = 200_000
ROOT = Path(__file__).resolve().parents[2]
START = """
import sys
sys.path.append(sys.argv[1])
from usage.voiceprint import helper
helper.main(sys.argv[2])
"""
# NumPy would start a thread for each core.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}

WORDS = {
    "too_large": "The {what} has more than 10 MB. Send a shorter one, or an mp3.",
    "empty": "Choose a file, or record yourself.",
    "unknown": "This is no sound we can read. Send {formats}.",
    "m4a": "This site cannot read m4a. Send {formats}.",
    "webm": "We cannot read webm. Send {formats}.",
    "broken": "This file is damaged or incomplete. Send it again, or as {formats}.",
    "too_short": "The {what} has {seconds} seconds. Send at least {least}.",
    "too_long": "The {what} is longer than {most}. Half a minute is enough.",
    "silent": "There is hardly any speech in the {what}. Speak for at least {least} seconds, "
    "close to the microphone.",
    "no_voice": "We hear no voice in the {what}. Speak aloud, without music or noise.",
}


class SampleRefused(ValueError):
    """The sample cannot be used. `code` is a key of WORDS; the message says what to do."""

    def __init__(self, code: str, bounds: Bounds = SAMPLE, **details: object) -> None:
        what = "sample" if bounds is SAMPLE else "recording"
        said = {"formats": listed(), "what": what, **bounds.words, **details}
        super().__init__(WORDS[code].format(**said))
        self.code = code


class DescribeFailed(Exception):
    """The helper died, or did not answer in time. The same sample may be tried again."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A style of Kokoro."""

    style: str  # "af_heart"
    likeness: float  # to the sample: cosine of the two points, 1 for the same
    gain: float  # with which it is as loud as the other voices
    pitch_hz: float

    @property
    def is_woman(self) -> bool:
        return self.style[1] == "f"


@dataclass(frozen=True, slots=True)
class Described:
    seconds: float
    pitch_hz: float
    embedding: bytes  # 256 numbers of 16 bits
    references: tuple[Reference, ...]


def missing() -> str:
    """Why samples cannot be described here, for operators; "" if they can."""
    lacking = [name for name in ("numpy", "soundfile") if find_spec(name) is None]
    return f"Voice match needs {', '.join(lacking)}. Install requirements.txt." if lacking else ""


def formats() -> tuple[str, ...]:
    """What can be decoded here; m4a where av was not left out."""
    return ("wav", "mp3", "ogg", "flac", *(("m4a",) if find_spec("av") else ()))


def listed() -> str:
    """`formats` in words."""
    *others, last = formats()
    return f"{', '.join(others)} or {last}"


def kind(sample: bytes) -> str:
    """What a sample that could be decoded is, of `formats`."""
    if sample[4:8] == b"ftyp":
        return "m4a"
    return {b"RIFF": "wav", b"RF64": "wav", b"fLaC": "flac", b"OggS": "ogg"}.get(sample[:4], "mp3")


def check_size(sample: bytes, bounds: Bounds = SAMPLE) -> None:
    """Raises SampleRefused for a sample that is empty or too large."""
    if not sample:
        raise SampleRefused("empty", bounds)
    if len(sample) > SAMPLE_BYTES_MAX:
        raise SampleRefused("too_large", bounds)


def describe(sample: bytes, bounds: Bounds = SAMPLE) -> Described:
    """What voice speaks in the sample. Raises SampleRefused and DescribeFailed."""
    check_size(sample, bounds)
    answer = _ask(sample, bounds)
    if (code := answer.get("refused")) in WORDS:
        raise SampleRefused(code, bounds, seconds=_number(answer, "seconds", default=0, places=1))
    try:
        return Described(
            seconds=_number(answer, "seconds"),
            pitch_hz=_number(answer, "pitch_hz"),
            embedding=bytes.fromhex(answer["embedding"]),
            references=tuple(
                Reference(str(style), *(_finite(value) for value in values))
                for style, values in answer["references"].items()
            ),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DescribeFailed(f"the helper answered with something else: {error}") from error


def _ask(sample: bytes, bounds: Bounds) -> dict[str, Any]:
    with _in_memory() as file:
        file.write(sample)
        file.seek(0)
        kept = {name: value for name, value in os.environ.items() if name == "LD_LIBRARY_PATH"}
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", START, str(ROOT), json.dumps(asdict(bounds))],
            stdin=file,
            stdout=subprocess.PIPE,
            env=kept | ONE_THREAD,  # without our secrets
            process_group=0,  # Ctrl-C must not reach it
        )
        try:
            assert process.stdout is not None
            data = _read(process.stdout, time.monotonic() + ANSWER_SECONDS)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DescribeFailed(f"the helper died, with exit code {process.returncode}") from error
    if not isinstance(answer, dict):
        raise DescribeFailed("the helper answered with something else")
    return answer


def _in_memory() -> IO[bytes]:
    """A file that is gone with the process, however that ends."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("sample"), "w+b", buffering=0)
    return tempfile.TemporaryFile(buffering=0)


def _read(pipe: IO[bytes], deadline: float) -> bytes:
    """All of it. Raises DescribeFailed if it is late or too much."""
    data = b""
    ready = select.poll()
    ready.register(pipe.fileno(), select.POLLIN)
    while ready.poll(max(0, deadline - time.monotonic()) * 1_000):
        if not (piece := os.read(pipe.fileno(), 65_536)):
            return data
        data += piece
        if len(data) > ANSWER_BYTES_MAX:
            raise DescribeFailed("the helper does not stop to answer")
    raise DescribeFailed("the helper did not answer in time")


def _number(
    answer: Mapping[str, Any], name: str, *, default: float | None = None, places: int = 3
) -> float:
    return round(_finite(answer[name] if default is None else answer.get(name, default)), places)


def _finite(value: Any) -> float:
    if not math.isfinite(number := float(value)):
        raise ValueError("it is no number")
    return number
