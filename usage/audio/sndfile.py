"""libsndfile, as the package soundfile brings it, on streams and without NumPy.

soundfile itself imports NumPy, which the web process must not do. So this uses the declarations of
the library that the package has in `_soundfile`, and opens the library beside them. Sound is mono;
samples are signed 16 bit little-endian, which is the machine's own order on everything we run on.

Calls release the GIL except while they read or write. A handle is used by one thread at a time.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from io import SEEK_CUR, SEEK_END, SEEK_SET
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from _soundfile import ffi

MODES = {"r": 0x10, "w": 0x20}
# sndfile.h: container, and coding where the container has several.
FLAC = 0x170000 | 0x0002
OGG_OPUS = 0x200000 | 0x0064
RAW_ULAW = 0x040000 | 0x0010
RAW_ALAW = 0x040000 | 0x0011
_SET_COMPRESSION_LEVEL = 0x1301
_SET_OGG_PAGE_LATENCY_MS = 0x1302
PIECE_SAMPLES = 16_384


class SoundBroken(ValueError):
    """The data is no sound that libsndfile reads, or ends in the middle."""


@cache
def library() -> Any:
    """The library, opened once a process."""
    spec = find_spec("_soundfile_data")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        machine = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
        suffix = "dylib" if sys.platform == "darwin" else "so"
        if (path := Path(folder) / f"libsndfile_{machine}.{suffix}").exists():
            return ffi.dlopen(str(path))
    # The system's, where the wheel brings none.
    return ffi.dlopen("libsndfile.dylib" if sys.platform == "darwin" else "libsndfile.so.1")


class _Handle:
    """An open SNDFILE whose bytes go through `io`. Errors of `io` come out of the calls."""

    def __init__(self, io: Any, mode: str, info: Any) -> None:
        self._io = io
        self._error: BaseException | None = None
        self._callbacks = self._make_callbacks()
        virtual = ffi.new("SF_VIRTUAL_IO*", self._callbacks)
        self._keep = virtual
        self._handle = library().sf_open_virtual(virtual, MODES[mode], info, ffi.NULL)
        self._raise()
        if self._handle == ffi.NULL:
            raise SoundBroken(ffi.string(library().sf_strerror(ffi.NULL)).decode())

    def _guarded(self, call: Callable[..., int]) -> Callable[..., int]:
        def guarded(*args: Any) -> int:
            try:
                return call(*args)
            except BaseException as error:  # it cannot pass through C
                self._error = self._error or error
                return 0

        return guarded

    def _make_callbacks(self) -> dict[str, Any]:
        io = self._io

        def length(_: Any) -> int:
            here = io.tell()
            size = io.seek(0, SEEK_END)
            io.seek(here)
            return int(size)

        def seek(offset: int, whence: int, _: Any) -> int:
            return int(io.seek(offset, whence))

        def read(pointer: Any, count: int, _: Any) -> int:
            data = io.read(count)
            ffi.buffer(pointer, count)[0 : len(data)] = data
            return len(data)

        def write(pointer: Any, count: int, _: Any) -> int:
            io.write(bytes(ffi.buffer(pointer, count)))
            return count

        def tell(_: Any) -> int:
            return int(io.tell())

        calls: dict[str, Callable[..., int]]
        calls = {"get_filelen": length, "seek": seek, "read": read, "write": write, "tell": tell}
        return {
            name: ffi.callback(f"sf_vio_{name}", self._guarded(call))
            for name, call in calls.items()
        }

    def _raise(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def close(self) -> None:
        """Write what is left, and free the handle. Twice does nothing."""
        if self._handle is not None and self._handle != ffi.NULL:
            library().sf_close(self._handle)
        self._handle = None
        self._raise()

    def __del__(self) -> None:
        with suppress(Exception):
            self.close()


class _Sink:
    """What was written and not taken yet.

    libsndfile rewrites the header of a FLAC when it closes it. What was taken stays as it is.
    """

    def __init__(self) -> None:
        self._fresh = bytearray()
        self._taken = 0  # how many bytes were taken before them
        self._at = 0

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        end = self._taken + len(self._fresh)
        self._at = offset + {SEEK_SET: 0, SEEK_CUR: self._at, SEEK_END: end}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, count: int) -> bytes:
        return b""

    def write(self, data: bytes) -> int:
        late = max(0, self._taken - self._at)
        begin = max(0, self._at - self._taken)
        kept = data[late:]
        self._fresh[begin : begin + len(kept)] = kept
        self._at += len(data)
        return len(data)

    def take(self) -> bytes:
        data = bytes(self._fresh)
        self._taken += len(data)
        self._fresh.clear()
        return data


class Writer:
    """Encodes into one of the formats above: into the file `sink`, which can seek, or else into
    memory, from where `take` gives the bytes that are ready."""

    def __init__(
        self,
        kind: int,
        *,
        sample_rate: int,
        compression: float | None = None,
        sink: BinaryIO | None = None,
    ) -> None:
        info = ffi.new("SF_INFO*")
        info.samplerate, info.channels, info.format = sample_rate, 1, kind
        self._sink = _Sink()
        self._file = _Handle(sink or self._sink, "w", info)
        if kind == OGG_OPUS:  # a page every 100 ms; else one a second, and the first sound waits
            self._set(_SET_OGG_PAGE_LATENCY_MS, 100.0)
        if compression is not None:
            self._set(_SET_COMPRESSION_LEVEL, compression)

    def _set(self, command: int, value: float) -> None:
        number = ffi.new("double*", value)
        library().sf_command(self._file._handle, command, number, ffi.sizeof("double"))

    def write(self, samples: bytes) -> None:
        count = len(samples) // 2
        if not count:
            return
        data = ffi.from_buffer("short[]", samples)
        written = library().sf_write_short(self._file._handle, data, count)
        self._file._raise()
        if written != count:
            raise SoundBroken(f"libsndfile wrote {written} of {count} samples.")

    def take(self) -> bytes:
        return self._sink.take()

    def close(self) -> None:
        self._file.close()


class Reader:
    """Decodes a file piece by piece. `source` must be seekable; its owner closes it in the end.

    Raises SoundBroken, and what reading `source` raises.
    """

    def __init__(self, source: BinaryIO, *, is_owner: bool = False) -> None:
        self._owned = source if is_owner else None
        info = ffi.new("SF_INFO*")
        self._file = _Handle(source, "r", info)
        if info.channels != 1:
            self._file.close()
            raise SoundBroken(f"The sound has {info.channels} channels; ours have one.")
        self.sample_rate: int = info.samplerate
        self.samples: int = info.frames

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()
        if self._owned:
            self._owned.close()

    def __iter__(self) -> Iterator[bytes]:
        """All samples. Raises SoundBroken if there are fewer than the header says."""
        return self._read(self.samples)

    def part(self, first: int, count: int) -> Iterator[bytes]:
        """So many samples from that one on. Raises SoundBroken if there are fewer."""
        if library().sf_seek(self._file._handle, first, SEEK_SET) != first:
            self._file._raise()
            raise SoundBroken(f"The sound has no sample {first}.")
        return self._read(count)

    def _read(self, left: int) -> Iterator[bytes]:
        buffer = ffi.new("short[]", PIECE_SAMPLES)
        while left > 0:
            count = library().sf_read_short(self._file._handle, buffer, min(left, PIECE_SAMPLES))
            self._file._raise()
            if count <= 0:
                raise SoundBroken(f"The sound ends {left} samples too early.")
            yield bytes(ffi.buffer(buffer, 2 * count))
            left -= count
