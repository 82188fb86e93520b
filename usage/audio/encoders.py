"""One encoder per stream: samples in, in pieces of any size; bytes out, as early as they are ready.

What is written into a header is known before the first byte goes out, because bytes that are gone
cannot be changed. So a file with true sizes needs the number of samples beforehand (`samples`), and
without it (`streamed`) the header says that the length is unknown: 0xFFFFFFFF in a WAV, 0 in a
FLAC. All other formats have no length in their header. A stream of no samples is a header alone in
WAV and Opus, and nothing in the other formats.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import BinaryIO, Protocol

import lameenc

from . import formats, ogg, sndfile
from .converter import output_samples
from .formats import Format, FormatRefused
from .helper import Converter

UNKNOWN = 0xFFFFFFFF
WAV_HEADER_BYTES = 44
WAV_SAMPLES_MAX = (UNKNOWN - WAV_HEADER_BYTES) // 2
OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)  # that it encodes without resampling
OPUS_BIT_RATES = (6, 256)  # kbit/s at libsndfile's compression levels 1 and 0
MP3_QUALITY = 5  # of 0 (best) to 9: lame's own default is 5 where it is not asked for better
FLAC_COUNT = slice(21, 26)  # the bytes of STREAMINFO whose lower 36 bits are the sample count


class WrongCount(ValueError):
    """Other than the announced number of samples was fed: the header is wrong."""


class Encoder(Protocol):
    """Encodes signed 16 bit little-endian mono samples. Used by one thread at a time."""

    def feed(self, samples: bytes) -> bytes:
        """The bytes that are ready after these samples; often none.

        `samples` may end in the middle of one.
        """

    def finish(self) -> bytes:
        """The rest. Raises WrongCount, or ValueError if half a sample is left."""

    def close(self) -> None:
        """Free what the stream holds, finished or not. Twice does nothing."""


class _Codec(Protocol):
    """As an Encoder, for whole samples only."""

    def feed(self, samples: bytes) -> bytes: ...
    def finish(self) -> bytes: ...
    def close(self) -> None: ...


class _Stream:
    """Cuts what is fed into whole samples, counts them, and passes them through the stages."""

    def __init__(self, stages: list[_Codec], samples: int | None) -> None:
        self._stages, self._expected, self._count = stages, samples, 0
        self._half = b""

    def feed(self, samples: bytes) -> bytes:
        data = self._half + bytes(samples)
        whole = len(data) // 2 * 2
        data, self._half = data[:whole], data[whole:]
        self._count += whole // 2
        for stage in self._stages:
            data = stage.feed(data)
        return data

    def finish(self) -> bytes:
        if self._half:
            raise ValueError("Half a sample is left: samples have two bytes.")
        if self._expected not in (None, self._count):
            raise WrongCount(f"{self._count} samples were fed, {self._expected} were announced.")
        data = b""
        for stage in self._stages:
            data = stage.feed(data) + stage.finish()
        return data

    def close(self) -> None:
        for stage in self._stages:
            stage.close()


class _Pcm:
    """The samples themselves, behind `header`."""

    def __init__(self, header: bytes = b"") -> None:
        self._header = header

    def feed(self, samples: bytes) -> bytes:
        header, self._header = self._header, b""
        return header + samples

    def finish(self) -> bytes:
        return self.feed(b"")

    def close(self) -> None:
        pass


class _Mp3:
    """MP3 by lame, which resamples by itself: frames only, no Xing header and no ID3."""

    def __init__(self, *, sample_rate: int, rate: int, bit_rate: int) -> None:
        self._lame = lameenc.Encoder()
        self._lame.set_channels(1)
        self._lame.set_in_sample_rate(sample_rate)
        self._lame.set_out_sample_rate(rate)
        self._lame.set_bit_rate(bit_rate)
        self._lame.set_quality(MP3_QUALITY)
        self._lame.silence()
        self._is_fed = False

    def feed(self, samples: bytes) -> bytes:
        if not samples:
            return b""
        self._is_fed = True
        return bytes(self._lame.encode(samples))

    def finish(self) -> bytes:
        # lame begins at the first sample, and has nothing to flush before it.
        return bytes(self._lame.flush()) if self._is_fed else b""

    def close(self) -> None:
        pass


class _Sndfile:
    """FLAC, Ogg Opus and the raw telephony formats, by libsndfile."""

    def __init__(
        self,
        kind: int,
        *,
        sample_rate: int,
        compression: float | None = None,
        samples: int | None = None,
    ) -> None:
        self._file = sndfile.Writer(kind, sample_rate=sample_rate, compression=compression)
        # The samples of a FLAC whose header has not gone out yet.
        self._announced = samples if kind == sndfile.FLAC else None
        self._head: bytearray | None = bytearray()

    def feed(self, samples: bytes) -> bytes:
        self._file.write(samples)
        return self._announce(self._file.take())

    def finish(self) -> bytes:
        self._file.close()
        data = self._announce(self._file.take())
        if self._head:
            data, self._head = bytes(self._head) + data, None
        return data

    def close(self) -> None:
        self._file.close()

    def _announce(self, data: bytes) -> bytes:
        """Write the number of samples into the header of a FLAC, once that is complete."""
        if self._announced is None or self._head is None:
            return data
        self._head += data
        if len(self._head) < FLAC_COUNT.stop:
            return b""
        packed = int.from_bytes(self._head[FLAC_COUNT], "big") >> 36 << 36 | self._announced
        self._head[FLAC_COUNT] = packed.to_bytes(5, "big")
        data, self._head = bytes(self._head), None
        return data


def encoder(
    format: str,
    *,
    sample_rate: int,
    rate: int | None = None,
    bit_rate: int | None = None,
    streamed: bool = False,
    samples: int | None = None,
    serial: int | None = None,
) -> Encoder:
    """An encoder of sound of `sample_rate` Hz. Close it in every case.

    `rate` is the sample rate that it is delivered at, in Hz; None: the sound's own, or the next
    that the format has. `bit_rate` is in kbit/s; None: the format's default. `samples` is how many
    samples of `sample_rate` will be fed, which the headers of wav and flac say; those two need it,
    unless `streamed`. `serial` is the number of an Ogg stream, of 32 bits; None: a random one.
    Raises FormatRefused, and ConverterFailed (an OSError) from the encoder where sound is resampled
    or aac.
    """
    found = formats.check(format, rate, bit_rate)
    if not streamed and samples is None and format in ("wav", "flac"):
        raise FormatRefused(f"A {format} that is not streamed needs the number of samples.")
    wanted = rate or found.rate_for(sample_rate)
    counted = None if samples is None or streamed else samples
    made = output_samples(counted, sample_rate, wanted) if counted is not None else None
    if format == "wav" and (made or 0) > WAV_SAMPLES_MAX:
        raise FormatRefused("A wav holds at most 4 GiB. Choose flac.")
    # What goes into the format's own codec. lame and Opus change rates in their own ways.
    inner = wanted
    if format == "mp3" or (format == "opus" and sample_rate in OPUS_RATES):
        inner = sample_rate
    stages: list[_Codec] = []
    if format == "aac":
        bits = bit_rate or found.bit_rate
        return _Stream(
            [Converter(source_rate=sample_rate, target_rate=wanted, aac_bit_rate=bits)], counted
        )
    codec = CODECS[format](found, inner, wanted, bit_rate or found.bit_rate or 0, made)
    if inner != sample_rate:
        stages.append(Converter(source_rate=sample_rate, target_rate=inner))
    numbered = [ogg.Numbered(serial)] if format == "opus" and serial is not None else []
    return _Stream([*stages, codec, *numbered], counted)


def _wav(_: Format, sample_rate: int, rate: int, bit_rate: int, samples: int | None) -> _Codec:
    size = UNKNOWN if samples is None else 2 * samples
    whole = UNKNOWN if samples is None else WAV_HEADER_BYTES - 8 + size
    # PCM, one channel, 16 bit.
    fmt = struct.pack("<IHHIIHH", 16, 1, 1, rate, 2 * rate, 2, 16)
    return _Pcm(
        b"RIFF" + struct.pack("<I", whole) + b"WAVEfmt " + fmt + b"data" + struct.pack("<I", size)
    )


def _mp3(_: Format, sample_rate: int, rate: int, bit_rate: int, samples: int | None) -> _Codec:
    if bit_rate > formats.MP3_LOW_BIT_RATE_MAX and rate in formats.MP3_LOW_RATES:
        raise FormatRefused(f"mp3 at {rate} Hz has no {bit_rate} kbit/s; that needs 44,100 Hz.")
    return _Mp3(sample_rate=sample_rate, rate=rate, bit_rate=bit_rate)


def _opus(_: Format, sample_rate: int, rate: int, bit_rate: int, samples: int | None) -> _Codec:
    lowest, highest = OPUS_BIT_RATES
    compression = (highest - bit_rate) / (highest - lowest)
    return _Sndfile(sndfile.OGG_OPUS, sample_rate=sample_rate, compression=compression)


def _flac(_: Format, sample_rate: int, rate: int, bit_rate: int, samples: int | None) -> _Codec:
    return _Sndfile(sndfile.FLAC, sample_rate=rate, samples=samples)


def _raw(kind: int) -> Callable[[Format, int, int, int, int | None], _Codec]:
    return lambda _, sample_rate, rate, bit_rate, samples: _Sndfile(kind, sample_rate=rate)


CODECS: dict[str, Callable[[Format, int, int, int, int | None], _Codec]] = {
    "wav": _wav,
    "pcm": lambda *_: _Pcm(),
    "mp3": _mp3,
    "opus": _opus,
    "flac": _flac,
    "ulaw": _raw(sndfile.RAW_ULAW),
    "alaw": _raw(sndfile.RAW_ALAW),
}


def stored(samples: bytes, sample_rate: int) -> bytes:
    """The FLAC that is kept of these samples, with its length and checksum in the header.

    Raises ValueError for none: there is no FLAC without samples.
    """
    if not samples:
        raise ValueError("There are no samples to store.")
    writer = sndfile.Writer(sndfile.FLAC, sample_rate=sample_rate)
    try:
        # In pieces, because a whole text is a second buffer of its size inside the library.
        for at in range(0, len(samples), 2 * sndfile.PIECE_SAMPLES):
            writer.write(samples[at : at + 2 * sndfile.PIECE_SAMPLES])
    finally:
        writer.close()
    return writer.take()


def store(pieces: Iterable[bytes], sample_rate: int, target: BinaryIO) -> int:
    """Write the FLAC that is kept of these samples into a file that can seek, piece by piece.

    Returns how many samples there were. Raises ValueError for none.
    """
    count = 0
    writer = sndfile.Writer(sndfile.FLAC, sample_rate=sample_rate, sink=target)
    try:
        for piece in pieces:
            for at in range(0, len(piece), 2 * sndfile.PIECE_SAMPLES):
                writer.write(piece[at : at + 2 * sndfile.PIECE_SAMPLES])
            count += len(piece) // 2
    finally:
        writer.close()
    if not count:
        raise ValueError("There are no samples to store.")
    return count
