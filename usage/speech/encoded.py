"""Stored audio in the format that somebody asks for, from a cache on this machine.

The storage keeps one lossless file of each generation. Another format is encoded when it is asked
for, whole, because ranges and sizes are of the encoding; then it is read from the cache. The cache
is a local folder, so that it works alike for a local storage and for one that is far away. Any file
of it may be deleted at any time: it is made again.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from django.conf import settings

from usage.audio import FORMATS, FormatRefused, Reader, SoundBroken, encoder, levels, offered
from usage.models import Generation

from . import audio
from .problems import AudioLost, AudioUnreachable, Refused

logger = logging.getLogger(__name__)

DELIVERED = ("mp3", "wav", "opus", "flac")  # what a page offers; the first is for playing
KEPT_SECONDS = 24 * 3600  # after its last use; also how long a copy outlives its customer elsewhere
BIT_RATE = 64  # kbit/s of mp3 and opus: speech at 24 kHz in good quality

# One encoding of a file at a time, and as many at once as there are locks. Those that wait find it.
_locks = [threading.Lock() for _ in range(4)]


def check_format(name: str) -> str:
    """The name of a format that is delivered. Raises Refused, in words."""
    if name not in DELIVERED or name not in offered():
        raise Refused({"format": [f"Choose one of the formats {', '.join(DELIVERED)}."]})
    return name


def open_encoded(generation: Generation, name: str) -> BinaryIO:
    """A file of this machine with the audio in that format; the caller closes it.

    Raises AudioLost and AudioUnreachable. A file in the cache does not hide that the stored one is
    lost: whoever deleted it meant it.
    """
    return _open_made(generation, FORMATS[name].extension, partial(_deliver, generation, name))


def open_levels(generation: Generation) -> BinaryIO:
    """A file of this machine with the shape of the audio (`usage.audio.levels`) as a JSON list; the
    caller closes it. Raises AudioLost and AudioUnreachable."""
    return _open_made(generation, "levels", _shape)


def prepare(stored: str) -> None:
    """Encode a stored file for playing, and draw its shape, before anybody asks: of two hours of
    sound that takes half a minute.

    It only saves waiting, and only on this machine. Nothing follows from a failure.
    """

    def encode(source: BinaryIO, target: IO[bytes]) -> None:
        _encode(source, DELIVERED[0], target)

    try:
        for extension, make in ((FORMATS[DELIVERED[0]].extension, encode), ("levels", _shape)):
            with audio.open_stored(stored) as source:
                _make(partial(make, source), _path(stored, extension))
        prune()
    except (AudioLost, AudioUnreachable, SoundBroken, FormatRefused, OSError):
        logger.warning("the audio %s is encoded when it is asked for", stored, exc_info=True)


def _open_made(
    generation: Generation, extension: str, make: Callable[[BinaryIO, IO[bytes]], None]
) -> BinaryIO:
    """What `make` writes from the stored audio, made once."""
    with audio.open_audio(generation) as source:
        path = _path(generation.audio, extension)
        try:
            with _locks[hash(path) % len(_locks)]:
                if (found := _open(path)) is None:
                    _make(partial(make, source), path)
                    found = path.open("rb")
                    prune()  # what is open stays readable
            return found
        except SoundBroken as error:
            logger.error("the audio of generation %s is broken: %s", generation.id, error)
            raise AudioLost(None if generation.credit_back_id else generation.id) from error
        except (OSError, FormatRefused) as error:
            logger.exception("the audio of generation %s cannot be encoded", generation.id)
            raise AudioUnreachable from error


def delete(stored: str) -> None:
    """Delete a stored file and what is encoded of it on this machine. Raises OSError."""
    if stored:
        audio.remove(stored)
        forget(stored)


def forget(stored: str) -> None:
    """Delete the encodings of that stored file on this machine."""
    path = _path(stored, "*")
    for each in path.parent.glob(path.name):
        each.unlink(missing_ok=True)


def prune(now_seconds: float | None = None) -> None:
    """Delete what was not used for KEPT_SECONDS, and the longest unused above the size allowed."""
    now = time.time() if now_seconds is None else now_seconds
    found = []
    for path in Path(settings.AUDIO_CACHE).glob("*/*"):
        try:
            status = path.stat()
        except FileNotFoundError:  # another process prunes, too
            continue
        found.append((status.st_mtime, status.st_size, path))
    left = settings.AUDIO_CACHE_MB * 1_000_000
    for used_at, size, path in sorted(found, reverse=True):
        left -= size
        if left < 0 or used_at < now - KEPT_SECONDS:
            path.unlink(missing_ok=True)


def _path(stored: str, extension: str) -> Path:
    """The place of an encoding. The stored name tells one attempt's content from another's."""
    name = PurePosixPath(stored)
    return Path(settings.AUDIO_CACHE) / name.parent.name / f"{name.stem}.{extension}"


def _open(path: Path) -> BinaryIO | None:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    if os.fstat(file.fileno()).st_mtime < time.time() - KEPT_SECONDS:
        file.close()
        return None
    os.utime(file.fileno())
    return file


def _make(write: Callable[[IO[bytes]], None], path: Path) -> None:
    """Write a file of its own, and give it its name when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as target:
        try:
            write(target)
            target.close()
            os.replace(target.name, path)
        except BaseException:
            os.unlink(target.name)
            raise


def _deliver(generation: Generation, name: str, source: BinaryIO, target: IO[bytes]) -> None:
    if FORMATS[name].content_type == generation.content_type:
        shutil.copyfileobj(source, target)
    else:
        _encode(source, name, target)


def _shape(source: BinaryIO, target: IO[bytes]) -> None:
    with Reader(source) as sound:
        found = levels(sound, sound.samples)
    target.write(json.dumps(found, separators=(",", ":")).encode())


def _encode(source: BinaryIO, name: str, target: IO[bytes]) -> None:
    bit_rate = BIT_RATE if FORMATS[name].bit_rates else None
    with Reader(source) as sound:
        stream = encoder(
            name, sample_rate=sound.sample_rate, bit_rate=bit_rate, samples=sound.samples
        )
        try:
            for samples in sound:
                target.write(stream.feed(samples))
            target.write(stream.finish())
        finally:
            stream.close()
