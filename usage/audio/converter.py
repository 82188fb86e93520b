"""The helper process that changes sample rates and encodes AAC.

Started as `python -I converter.py JSON` for one stream, with `{"from": Hz, "to": Hz}` and, for AAC,
`"aac": kbit/s`. It is a process of its own because NumPy and PyAV are large, and the web process is
to import neither; a crash of the codec does not reach it either.

Protocol: a request on standard input is SIZE and that many bytes of samples (signed 16 bit
little-endian, mono); the answer on standard output is SIZE and that many bytes of what is ready. A
request of END asks for the rest, and is the last. It ends when standard input is closed.
"""

from __future__ import annotations

import json
import os
import resource
import struct
import sys
from math import gcd
from typing import Any

SIZE = struct.Struct("!I")
END = 0xFFFFFFFF
REQUEST_BYTES_MAX = 1 << 16
MEMORY_BYTES_MAX = 1 << 30  # of address space; it takes some 60 MB of memory
CPU_SECONDS_MAX = 900
NOBODY = 65_534

ZERO_CROSSINGS = 48  # of the sinc on each side: a transition band of 5 % below half the rate
BETA = 9.0  # of the Kaiser window: 90 dB


def output_samples(count: int, source_rate: int, target_rate: int) -> int:
    """How many samples `count` samples become: the nearest number, half up."""
    return (2 * count * target_rate + source_rate) // (2 * source_rate)


class Resampler:
    """Band-limited interpolation by a windowed sinc, in pieces of any size.

    Output sample n stands at n x source / target of the input. The filter for each of the possible
    fractions is computed once. Above half the lower rate it lets nothing through.
    """

    def __init__(self, source_rate: int, target_rate: int) -> None:
        import numpy as np

        self._np = np
        common = gcd(source_rate, target_rate)
        self.up, self.down = target_rate // common, source_rate // common
        cut = min(1.0, self.up / self.down)
        self.half = int(np.ceil(ZERO_CROSSINGS / cut))
        cut *= 0.955  # the middle of the transition band, so that it ends at half the rate
        # Rows: the fraction of an output sample's place. Columns: inputs around it.
        fractions = np.arange(self.up)[:, None] / self.up
        distance = np.arange(-self.half + 1, self.half + 1)[None, :] - fractions
        inside = np.clip(1 - (distance / self.half) ** 2, 0, None)
        rows = cut * np.sinc(cut * distance) * np.i0(BETA * np.sqrt(inside)) / np.i0(BETA)
        self.rows = (rows / rows.sum(axis=1, keepdims=True)).astype(np.float32)
        self.fed = self.made = 0
        self._begin = -self.half + 1  # the place of the first sample that is kept
        self._kept = np.zeros(self.half - 1, dtype=np.float32)

    def feed(self, samples: bytes) -> bytes:
        np = self._np
        fresh = np.frombuffer(samples, dtype="<i2").astype(np.float32)
        self.fed += len(fresh)
        self._kept = np.concatenate([self._kept, fresh])
        # The last output whose window is complete.
        ready = (self._begin + len(self._kept) - 1 - self.half) * self.up // self.down + 1
        return self._make(max(0, ready - self.made))

    def finish(self) -> bytes:
        np = self._np
        self._kept = np.concatenate([self._kept, np.zeros(self.half + 1, dtype=np.float32)])
        wanted = (2 * self.fed * self.up + self.down) // (2 * self.down)
        return self._make(wanted - self.made)

    def _make(self, count: int) -> bytes:
        if count <= 0:
            return b""
        np = self._np
        places = np.arange(self.made, self.made + count, dtype=np.int64) * self.down
        whole, fraction = places // self.up, places % self.up
        windows = np.lib.stride_tricks.sliding_window_view(self._kept, 2 * self.half)
        starts = whole - self.half + 1 - self._begin
        made = np.einsum("ij,ij->i", windows[starts], self.rows[fraction])
        self.made += count
        # Keep only what the next output needs.
        first = self.made * self.down // self.up - self.half + 1
        if (drop := min(first - self._begin, len(self._kept))) > 0:
            self._kept, self._begin = self._kept[drop:].copy(), self._begin + drop
        return bytes(np.clip(np.rint(made), -32_768, 32_767).astype("<i2").tobytes())


class Same:
    """Sound whose rate stays as it is."""

    def feed(self, samples: bytes) -> bytes:
        return samples

    def finish(self) -> bytes:
        return b""


class Aac:
    """AAC-LC in ADTS frames, by PyAV."""

    def __init__(self, rate: int, bit_rate: int) -> None:
        import av
        import numpy as np

        self._av, self._np, self._rate, self._at = av, np, rate, 0
        self._codec: Any = av.CodecContext.create("aac", "w")
        self._codec.sample_rate, self._codec.layout = rate, "mono"
        self._codec.format, self._codec.bit_rate = "fltp", bit_rate * 1_000
        self._codec.open()
        self._size = self._codec.frame_size or 1_024
        self._kept = np.zeros(0, dtype=np.float32)

    def feed(self, samples: bytes) -> bytes:
        np = self._np
        fresh = np.frombuffer(samples, dtype="<i2").astype(np.float32) / 32_768
        self._kept = np.concatenate([self._kept, fresh])
        ready = b""
        while len(self._kept) >= self._size:
            ready += self._encode(self._kept[: self._size])
            self._kept = self._kept[self._size :]
        return ready

    def finish(self) -> bytes:
        ready = b""
        if len(self._kept):
            padded = self._np.zeros(self._size, dtype=self._np.float32)
            padded[: len(self._kept)] = self._kept
            ready = self._encode(padded)
        if self._at:
            ready += b"".join(map(self._adts, self._codec.encode(None)))
        return ready

    def _encode(self, samples: Any) -> bytes:
        frame = self._av.AudioFrame.from_ndarray(samples[None, :], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = self._rate, self._at
        self._at += len(samples)
        return b"".join(map(self._adts, self._codec.encode(frame)))

    def _adts(self, packet: Any) -> bytes:
        """A frame with its header of ISO 13818-7, section 6.2."""
        rates = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000)
        data = bytes(packet)
        size = len(data) + 7
        head = 0xFFF1 << 40 | 1 << 38 | rates.index(self._rate) << 34 | 1 << 30
        return (head | size << 13 | 0x7FF << 2).to_bytes(7, "big") + data


def limit() -> None:
    """Give up what a filter does not need: other users' files, writing files, more processes."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    limits = {
        resource.RLIMIT_AS: MEMORY_BYTES_MAX,
        resource.RLIMIT_CPU: CPU_SECONDS_MAX,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NPROC: 0,
    }
    for name, most in limits.items():
        hard = resource.getrlimit(name)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        if sys.platform == "linux":
            resource.setrlimit(name, (most, most))


def main(arguments: str) -> None:
    wanted = json.loads(arguments)
    source, target = wanted["from"], wanted["to"]
    stages: list[Any] = [Same() if source == target else Resampler(source, target)]
    if "aac" in wanted:
        stages.append(Aac(target, wanted["aac"]))
    limit()
    while True:
        (size,) = SIZE.unpack(_read(SIZE.size))
        data = b"" if size == END else _read(size)
        for stage in stages:
            data = stage.feed(data) + (stage.finish() if size == END else b"")
        _write(SIZE.pack(len(data)) + data)
        if size == END:
            return


def _read(size: int) -> bytes:
    """Exactly `size` bytes. At end of file the process ends: nobody wants the rest."""
    data = b""
    while len(data) < size:
        if not (piece := os.read(0, size - len(data))):
            os._exit(0)
        data += piece
    return data


def _write(data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(1, rest) :]


if __name__ == "__main__":
    main(sys.argv[1])
