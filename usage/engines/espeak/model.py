"""eSpeak NG, in its helper.

It is a separate process because the library is licensed under the GPL and is not thread-safe. The
helper initialises it once and forks for each piece, because the library gives different bytes for
the same text once it has spoken. A fork that crashes ends its helper.
"""

import ctypes
import os
import re
import signal
import sys
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import espeakng_loader
import numpy as np

from usage.engines import helper, rights, wire
from usage.engines.espeak import SAMPLE_RATE
from usage.engines.espeak.spelling import spell_out
from usage.engines.helper import Answer, Refused, Times, Unusable
from usage.engines.neural import sound
from usage.engines.process import AUDIO_SECONDS_MAX

FOLDER: Path | None = Path(espeakng_loader.get_data_path())
FORKS = True

# Words a minute that the library speaks by itself; slower and faster is stretching.
OWN_RATES = (80, 450)

# The library silently drops words of a longer clause; it did so after 110 words of one letter.
BATCH_WORDS, BATCH_CHARACTERS = 50, 400

TOO_LONG = f"The text makes more than {AUDIO_SECONDS_MAX // 60} minutes of audio. Shorten it."

# From the library's speak_lib.h. The flags for SSML and phonemes are not set: markup is read as
# text.
_OUTPUT_SYNCHRONOUS, _DONT_EXIT = 2, 0x8000
_POSITION_CHARACTER, _TEXT_IS_UTF8 = 1, 1
_RATE, _PITCH, _RANGE = 1, 3, 4
_END_OF_EVENTS, _WORD = 0, 1
_IPA_TIED = 0x02 | 0x80 | ord("^") << 8  # IPA, with that sign between letters that are one sound
# Seed for the noise in breathy voices. The library uses its start time, which differs between
# helpers.
_NOISE_SEED = 1

_LANGUAGE_MARK = re.compile(r"\([a-z-]+\)")  # "(en)" before an English word in Spanish


class _Id(ctypes.Union):
    _fields_ = [
        ("number", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("string", ctypes.c_char * 8),
    ]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),  # in characters, from 1
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(slots=True)
class Heard:
    """What the library gives back while it speaks."""

    samples: bytearray = field(default_factory=bytearray)
    words: list[tuple[int, int]] = field(default_factory=list)  # place in the text, sample
    is_too_long: bool = False


class Espeak:
    def __init__(self) -> None:
        # The library writes to file descriptor 2, which is discarded; Python's sys.stderr is the
        # log.
        sys.stderr = os.fdopen(os.dup(2), "w")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        self.library = ctypes.CDLL(espeakng_loader.get_library_path())
        self.library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self.library.espeak_TextToPhonemes.argtypes = [
            ctypes.POINTER(ctypes.c_void_p),
            ctypes.c_int,
            ctypes.c_int,
        ]

    def begin(self, folder: Path | None) -> None:
        if folder is None or not os.access(folder / "phontab", os.R_OK):
            raise Unusable(f"The voices of eSpeak NG are not readable for all: {FOLDER}")
        rate = self.library.espeak_Initialize(
            _OUTPUT_SYNCHRONOUS, 0, os.fsencode(folder), _DONT_EXIT
        )
        if rate != SAMPLE_RATE:
            raise Unusable(f"eSpeak NG did not start: {rate}")
        # Reads the voice list and the dictionary once for all forks.
        self.library.espeak_SetVoiceByName(b"en-us")

    def speak(self, request: dict[str, Any]) -> tuple[Times | Answer, bytes]:
        ours, theirs = os.pipe()
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            os.close(ours)
            self._answer(request, parent, theirs)
        os.close(theirs)
        with os.fdopen(ours, "rb") as file:
            message = file.read()
        if (status := os.waitpid(child, 0)[1]) != 0:
            # Ends the helper in the same way, so that the log tells a crash from a limit.
            os.kill(parent, os.WTERMSIG(status) if os.WIFSIGNALED(status) else signal.SIGABRT)
        rest = memoryview(message)

        def receive(size: int) -> bytes:
            nonlocal rest
            part, rest = rest[:size], rest[size:]
            return bytes(part)

        header, samples = wire.unpack(receive, samples_bytes_max=len(message))
        if "refused" in header:
            raise Refused(header["refused"])
        return header.get("times") or header, samples

    def _answer(self, request: dict[str, Any], parent: int, pipe: int) -> None:
        """Speak in this fork, and end it."""
        try:
            # ctypes ignores errors in callbacks, so the audio would have a gap.
            sys.unraisablehook = lambda error: os._exit(1)
            rights.end_with_parent(parent)
            rights.limit_cpu(request["seconds"])
            helper.end_when_closed(exit_code=1)
            try:
                message = self._message(request)
            except Refused as error:
                message = wire.pack({"refused": str(error)})
            with os.fdopen(pipe, "wb") as file:
                file.write(message)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)

    def _message(self, request: dict[str, Any]) -> bytes:
        if "phonemes" in request:
            return wire.pack({"phonemes": self._read(request["phonemes"], request["words"])})
        times, samples = self._say(request)
        return wire.pack({"times": times}, samples)

    def _read(self, language: str, words: Sequence[str]) -> list[str]:
        """The phonemes of each word, as they are among the others if it can be told which is whose.

        The library says neither where a word begins nor that it drew two together; a word may be
        several for it ("25"). So each is read alone first: if all of them have as many words as
        the whole, those are shared out by these numbers.
        """
        if self.library.espeak_SetVoiceByName(language.encode()) != 0:
            raise Refused(f"eSpeak NG refuses the language {language!r}.")
        found: list[str] = []
        for batch in _batches(words):
            alone = [self._phonemes(word) for word in batch]
            together = self._phonemes(" ".join(batch))
            if len(together) == sum(map(len, alone)):
                rest = iter(together)
                alone = [list(islice(rest, len(each))) for each in alone]
            found += [" ".join(each) for each in alone]
        return found

    def _phonemes(self, text: str) -> list[str]:
        """Of each word the library sees, without the marks of a change of language."""
        buffer = ctypes.create_string_buffer(text.encode())
        place = ctypes.c_void_p(ctypes.addressof(buffer))
        words: list[str] = []
        while place.value:  # one clause each time
            clause = self.library.espeak_TextToPhonemes(
                ctypes.byref(place), _TEXT_IS_UTF8, _IPA_TIED
            )
            words += _LANGUAGE_MARK.sub("", (clause or b"").decode()).split()
        return words

    def _say(self, request: dict[str, Any]) -> tuple[Times, bytes]:
        rate = request["pace"] * request["speed"]
        own_rate = round(min(max(rate, OWN_RATES[0]), OWN_RATES[1]))
        if self.library.espeak_SetVoiceByName(request["variant"].encode()) != 0:
            raise Refused(f"eSpeak NG refuses the voice {request['variant']!r}.")
        for parameter, value in (
            (_PITCH, request["pitch"]),
            (_RANGE, request["range"]),
            (_RATE, own_rate),
        ):
            self.library.espeak_SetParameter(parameter, value, 0)
        words = request["words"]
        times, samples = self._words(words)
        silent = {index for index, (begin, end) in enumerate(times) if end <= begin}
        # The library speaks some words as one, such as "of the", and tells of the first only.
        joined = {index for index in silent if self._has_sound(words[index])}
        if nameless := silent - joined:
            # What the library has no sound for is called by its name.
            words = [spell_out(word) if n in nameless else word for n, word in enumerate(words)]
            times, samples = self._words(words)
        if joined:
            times = _shared(times, words, joined)
        if not samples.strip(b"\0"):
            return [(0.0, 0.0)] * len(words), b""
        return _finish(times, samples, rate / own_rate, request["gain"])

    def _has_sound(self, word: str) -> bool:
        [(begin, end)], _ = self._batch([word])
        return end > begin

    def _words(self, words: Sequence[str]) -> tuple[Times, bytes]:
        """Times by the library's word events, and samples without the silence after the last."""
        times: Times = []
        samples = b""
        for batch in _batches(words):
            more, heard = self._batch(batch)
            at = len(samples) / 2 / SAMPLE_RATE
            times += [(at + begin, at + end) for begin, end in more]
            samples += heard
            if len(samples) > 2 * SAMPLE_RATE * AUDIO_SECONDS_MAX:
                raise Refused(TOO_LONG)
        return times, samples

    def _batch(self, words: Sequence[str]) -> tuple[Times, bytes]:
        heard = self._synthesise(" ".join(words))
        samples = bytes(heard.samples).rstrip(b"\0")
        samples += bytes(len(samples) % 2 + 2 * round(sound.MARGIN_SECONDS * SAMPLE_RATE))
        starts = list(accumulate((len(word) + 1 for word in words), initial=0))[:-1]
        total = len(samples) // 2
        begins = [-1] * len(words)
        for place, sample in heard.words:
            index = bisect_right(starts, place) - 1
            if begins[index] < 0:
                begins[index] = min(sample, total)
        # A word without an event has no sound of its own: it ends where it begins.
        ends = [total] * len(words)
        for index in reversed(range(len(words))):
            if begins[index] < 0:
                begins[index] = ends[index]
            if index:
                ends[index - 1] = begins[index]
        times = [(a / SAMPLE_RATE, b / SAMPLE_RATE) for a, b in zip(begins, ends, strict=True)]
        return times, samples

    def _synthesise(self, text: str) -> Heard:
        heard = Heard()

        def collect(wave: int | None, count: int, events: Any) -> int:
            limit = 2 * SAMPLE_RATE * AUDIO_SECONDS_MAX
            heard.is_too_long = len(heard.samples) + 2 * count > limit
            if wave and count > 0 and not heard.is_too_long:
                heard.samples.extend(ctypes.string_at(wave, 2 * count))
            index = 0
            while events and events[index].type != _END_OF_EVENTS:
                if events[index].type == _WORD:
                    heard.words.append((events[index].text_position - 1, events[index].sample))
                index += 1
            return int(heard.is_too_long)  # Anything but 0 stops the library.

        callback = _Callback(collect)
        self.library.espeak_SetSynthCallback(callback)
        self.library.espeak_ng_SetRandSeed(ctypes.c_long(_NOISE_SEED))
        encoded = text.encode()
        size = ctypes.c_size_t(len(encoded) + 1)  # With the NUL that ctypes passes on.
        failed = self.library.espeak_Synth(
            encoded, size, 0, _POSITION_CHARACTER, 0, _TEXT_IS_UTF8, None, None
        )
        if heard.is_too_long:
            raise Refused(TOO_LONG)
        if failed:
            raise RuntimeError(f"espeak_Synth: {failed}")
        return heard


def _batches(words: Sequence[str]) -> Iterator[list[str]]:
    """The words in order, as many at once as the library speaks without a loss."""
    batch: list[str] = []
    for word in words:
        size = sum(map(len, batch)) + len(batch) + len(word)
        # Names of characters are several words each.
        spoken = sum(len(other.split()) for other in batch)
        if batch and (spoken >= BATCH_WORDS or size > BATCH_CHARACTERS):
            yield batch
            batch = []
        batch.append(word)
    if batch:
        yield batch


def load() -> Espeak:
    # Imports what numpy imports late, while files may still be read.
    _finish([(0.0, 1.0)], bytes(2 * SAMPLE_RATE), 0.5, 2.0)
    return Espeak()


def _shared(times: Times, words: Sequence[str], joined: set[int]) -> Times:
    """Times in which `joined` words take a part of the word they are spoken with, by length."""
    shared: Times = []
    while (first := len(shared)) < len(times):
        end = first + 1
        while end < len(times) and (end in joined or joined.issuperset(range(first, end))):
            end += 1
        begin_seconds, end_seconds = times[first][0], times[end - 1][1]
        sizes = [len(word) for word in words[first:end]]
        step = (end_seconds - begin_seconds) / sum(sizes)
        marks = [begin_seconds + step * size for size in accumulate(sizes, initial=0)]
        shared += list(zip(marks, [*marks[1:-1], end_seconds], strict=False))
    return shared


def _finish(times: Times, samples: bytes, speed: float, gain: float) -> tuple[Times, bytes]:
    if speed == 1 and gain == 1:
        return times, samples
    spoken = sound.Sound(sound.from_bytes(samples), np.array(times))
    spoken = sound.stretch(spoken, speed, SAMPLE_RATE)
    return spoken.spans.tolist(), sound.to_bytes(sound.louder(spoken.samples, gain))
