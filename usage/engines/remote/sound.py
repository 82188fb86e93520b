"""Samples out of a server's answer, and where in them the words are."""

import math
import struct
import sys
from array import array
from collections.abc import Sequence
from functools import lru_cache

from .failures import Broken, Misconfigured

SAMPLE_RATE = 24_000  # of `pcm`, as OpenAI defines it, and the only one taken of a `wav`

PCM_TYPES = {"audio/pcm", "audio/x-pcm", "audio/raw", "application/octet-stream"}
WAV_TYPES = {"audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"}
_PCM, _EXTENSIBLE = 0x0001, 0xFFFE  # formats of WAVE
_FRAME = SAMPLE_RATE // 100  # 10 ms
_QUIET = 64  # a peak below it is silence, 54 dB under full scale
_QUIET_SHARE = 0.02  # of the loudest sample: what is quieter at the edges is silence


def check_type(content_type: str) -> None:
    """Raises Broken unless the answer is sound that can be read here, before it is read."""
    kind, *parameters = (part.strip().lower() for part in content_type.split(";"))
    if kind not in PCM_TYPES | WAV_TYPES:
        raise Broken(f"it answers with {kind[:60] or 'no content type'} in place of sound")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "rate" and value.strip('"') != str(SAMPLE_RATE):
            raise Misconfigured(_other_rate(value))


def samples(body: bytes) -> bytes:
    """Signed 16 bit little-endian mono samples at SAMPLE_RATE. Raises Broken or Misconfigured."""
    data = _wav_data(body) if body[:4] == b"RIFF" and body[8:12] == b"WAVE" else body
    if len(data) % 2:
        raise Broken("half a sample is missing at the end of its answer")
    return data


def _wav_data(body: bytes) -> bytes:
    """The samples of a WAV file. A size of 0 or of almost 4 GiB, which is how a file is begun
    before its length is known, means all that follows.
    """
    found = False
    position = 12
    while position + 8 <= len(body):
        name, size = struct.unpack_from("<4sI", body, position)
        position += 8
        if name == b"fmt ":
            _check_format(body[position : position + size])
            found = True
        elif name == b"data":
            if not found:
                break
            rest = body[position:]
            if size == 0 or size >= 0x7FFF0000:
                return rest
            if size > len(rest):
                raise Broken(f"its answer ends after {len(rest):,} of {size:,} bytes")
            return rest[:size]
        position += size + size % 2
    raise Broken("its answer is no readable WAV file")


def _check_format(chunk: bytes) -> None:
    if len(chunk) < 16:
        raise Broken("its answer is no readable WAV file")
    kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunk)
    if kind == _EXTENSIBLE and len(chunk) >= 26:
        (kind,) = struct.unpack_from("<H", chunk, 24)  # the first two bytes of its subformat
    if (kind, channels, bits) != (_PCM, 1, 16):
        raise Misconfigured(
            f"it answers with {channels} channels of {bits} bits in format {kind}; "
            "only one channel of 16 bit PCM is taken"
        )
    if rate != SAMPLE_RATE:
        raise Misconfigured(_other_rate(f"{rate:,}"))


def _other_rate(rate: str) -> str:
    return f"it answers with {rate[:20]} samples a second; only {SAMPLE_RATE:,} are taken"


def with_gain(sound: bytes, gain: float) -> bytes:
    """The samples times `gain`, held at full scale."""
    if gain == 1:
        return sound
    return _bytes(array("h", map(_scaled(gain).__getitem__, _array(sound))))


@lru_cache(maxsize=32)  # 128 KiB each
def _scaled(gain: float) -> "array[int]":
    """What each of the 65,536 samples becomes; negative ones count from the end."""
    order = (*range(32_768), *range(-32_768, 0))
    return array("h", (min(max(round(each * gain), -32_768), 32_767) for each in order))


def word_times(words: Sequence[str], sound: bytes) -> tuple[tuple[float, float], ...]:
    """Begin and end of each word in seconds: estimates, because the contract has no times.

    The time between the first and the last audible sample is shared out by the letters and digits
    of the words, without gaps. In usual speech an estimate is some tenths of a second off in the
    middle of a long piece.
    """
    begin, end = _audible(_array(sound))
    letters = [max(1, sum(map(str.isalnum, word))) for word in words]
    total = sum(letters)
    edges = [begin]
    passed = 0
    for each in letters:
        passed += each
        edges.append(begin + (end - begin) * passed // total)
    return tuple(
        (first / SAMPLE_RATE, last / SAMPLE_RATE)
        for first, last in zip(edges, edges[1:], strict=False)
    )


def _audible(sound: "array[int]") -> tuple[int, int]:
    """Range of the samples between the silences at begin and end; (0, 0) if all is silent."""
    peak = max(max(sound, default=0), -min(sound, default=0))
    if peak < _QUIET:
        return 0, 0
    limit = max(_QUIET, math.ceil(peak * _QUIET_SHARE))

    def is_audible(frame: int) -> bool:
        part = sound[frame * _FRAME : (frame + 1) * _FRAME]
        return max(part) >= limit or min(part) <= -limit

    frames = range(-(-len(sound) // _FRAME))
    first = next(frame for frame in frames if is_audible(frame))
    last = next(frame for frame in reversed(frames) if is_audible(frame))
    return first * _FRAME, min((last + 1) * _FRAME, len(sound))


def _array(sound: bytes) -> "array[int]":
    found = array("h", sound)
    if sys.byteorder == "big":
        found.byteswap()
    return found


def _bytes(sound: "array[int]") -> bytes:
    if sys.byteorder == "big":
        sound.byteswap()
    return sound.tobytes()
