"""eSpeak NG through a pool of helper processes.

See espeak_helper.py for what runs in them and why.
"""

import logging
import math
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import unicodedata
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import espeakng_loader

from usage.engines import EngineFailed, NothingToSpeak, Settings, Speech, espeak_helper
from usage.engines.espeak_helper import ANSWER, NO_VOICE, REQUEST, SAMPLE_RATE, SILENT, TOO_LONG
from usage.engines.espeak_voices import TUNING, VoiceSettings, voice_settings
from usage.text import FORBIDDEN, is_audible

logger = logging.getLogger(__name__)

_DIGIT = re.compile(r"[^\D0-9]")


class HelperGone(Exception):
    """A helper ended before its response was complete."""


class Espeak:
    """Speaks in at most `helpers` processes. If none is idle, a request waits within its deadline.

    A slot is the right to use one helper: an idle Helper, or None for one to be started. The slot
    used last is reused first, so that sequential requests need only one process.
    """

    tuning = TUNING

    def __init__(self, *, helpers: int = 2) -> None:
        self._lock = threading.Lock()
        self._idle: list[Helper | None] = [None] * helpers
        # In order of arrival. With queue.Queue newcomers can overtake waiting requests, so that
        # under load some would wait for ever.
        self._waiting: deque[Future[Helper | None]] = deque()
        self._running: set[Helper] = set()
        self._closed = False

    def speak(self, *, text: str, settings: Settings, deadline_seconds: float = 60) -> Speech:
        """See `Engine`. EngineFailed is permanent for an unknown voice or too much audio."""
        if FORBIDDEN.search(text):
            raise EngineFailed("The text contains control characters.", permanent=True)
        voice = voice_settings(settings)
        deadline = time.monotonic() + deadline_seconds
        # eSpeak NG silently drops the digits of other scripts.
        text = _DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0])), text)
        status, samples = self._ask(text, voice, deadline)
        if status == SILENT and (names := spell_out(text)) != text:
            status, samples = self._ask(names, voice, deadline)
        if status == SILENT:
            raise NothingToSpeak("There is nothing to speak in this text.")
        if status == NO_VOICE:
            raise EngineFailed(f"eSpeak NG refuses the voice {voice.variant!r}.", permanent=True)
        if status == TOO_LONG:
            minutes = espeak_helper.MAX_AUDIO_SECONDS // 60
            raise EngineFailed(
                f"The text makes more than {minutes} minutes of audio. Shorten it.", permanent=True
            )
        return Speech(
            audio=_wav_header(len(samples)) + samples,
            duration_seconds=len(samples) / 2 / SAMPLE_RATE,
        )

    def close(self) -> None:
        with self._lock:
            self._closed = True
            while self._running:
                self._running.pop().end()

    def _ask(self, text: str, voice: VoiceSettings, deadline: float) -> tuple[int, bytearray]:
        """One response. If a helper dies or freezes, it is replaced and the request tried again."""
        # Waiting for a slot ends before the deadline. With too little time left, a healthy helper
        # would be taken for a frozen one and killed.
        slot_deadline = deadline - (deadline - time.monotonic()) / 4
        for last_try in (False, True):
            try:
                with self._helper(slot_deadline) as helper:
                    # The first attempt gets half of the time, so that a frozen helper leaves enough
                    # for the second. 5,000 characters of prose take half a second.
                    now = time.monotonic()
                    return helper.ask(
                        text, voice, deadline if last_try else now + (deadline - now) / 2
                    )
            except (HelperGone, TimeoutError) as error:
                logger.warning("A helper of eSpeak NG was lost and is replaced: %s", error)
        raise EngineFailed("The speech engine did not answer. Try again in a moment.")

    @contextmanager
    def _helper(self, slot_deadline: float) -> Iterator["Helper"]:
        """A running helper for one request.

        After an error it is ended, because its socket may still deliver part of a response.
        """
        helper = self._take_slot(slot_deadline)
        unharmed = None
        try:
            if helper is None or helper.process.poll() is not None:
                self._end(helper)
                helper = None
                helper = self._start()
            yield helper
            unharmed = helper
        finally:
            if unharmed is None:
                self._end(helper)
            self._give_slot(unharmed)

    def _take_slot(self, deadline: float) -> "Helper | None":
        waiter: Future[Helper | None] = Future()
        with self._lock:
            if self._idle:
                return self._idle.pop()
            self._waiting.append(waiter)
        try:
            return waiter.result(timeout=max(0, deadline - time.monotonic()))
        except TimeoutError:
            if waiter.cancel():
                raise EngineFailed("The speech engine is busy. Try again in a moment.") from None
            return waiter.result()  # It was assigned after the timeout.

    def _give_slot(self, slot: "Helper | None") -> None:
        with self._lock:
            while self._waiting:
                waiter = self._waiting.popleft()
                if waiter.set_running_or_notify_cancel():
                    waiter.set_result(slot)
                    return
            self._idle.append(slot)

    def _start(self) -> "Helper":
        with self._lock:
            if self._closed:
                raise EngineFailed("The speech engine is closed.")
            try:
                helper = Helper()
            except OSError as error:
                raise EngineFailed(f"The speech engine does not start: {error}") from error
            self._running.add(helper)
            return helper

    def _end(self, helper: "Helper | None") -> None:
        with self._lock:
            if helper in self._running:
                self._running.remove(helper)
                helper.end()


class Helper:
    """One helper process and our end of its socket. Used by one thread at a time, except `end`."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        command = [sys.executable, "-I", "-S", espeak_helper.__file__]
        with theirs:
            self.process = subprocess.Popen(
                [*command, espeakng_loader.get_library_path(), espeakng_loader.get_data_path()],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                # Without our secrets, because the process parses text of customers.
                env={
                    name: value
                    for name, value in os.environ.items()
                    if name in ("LANG", "LD_LIBRARY_PATH")
                },
                # A process group of its own: Ctrl-C must not reach the helper, and `end` must reach
                # its forks, too.
                process_group=0,
            )

    def ask(self, text: str, voice: VoiceSettings, deadline: float) -> tuple[int, bytearray]:
        """Status and samples. Raises HelperGone or TimeoutError; end the helper after either."""
        voice_name, encoded = voice.variant.encode(), text.encode()
        header = REQUEST.pack(
            max(1, math.ceil(deadline - time.monotonic())),
            voice.pitch,
            voice.range,
            voice.pace,
            len(voice_name),
            len(encoded),
        )
        try:
            self._socket.settimeout(_time_left(deadline))
            self._socket.sendall(header + voice_name + encoded)
            status, size = ANSWER.unpack(self._receive(ANSWER.size, deadline))
            return status, self._receive(size, deadline)
        except TimeoutError:
            raise
        except OSError as error:
            raise HelperGone(str(error)) from error

    def _receive(self, size: int, deadline: float) -> bytearray:
        data = bytearray(size)
        rest = memoryview(data)
        while rest:
            self._socket.settimeout(_time_left(deadline))
            if not (received := self._socket.recv_into(rest)):
                raise HelperGone("it died")
            rest = rest[received:]
        return data

    def end(self) -> None:
        """Twice is an error: the number may belong to another process by then."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._socket.close()


def spell_out(text: str) -> str:
    """Replace each letter, number and symbol by its Unicode name: "★" is "black star".

    For characters that eSpeak NG cannot pronounce.
    """

    def name(sign: str) -> str:
        return unicodedata.name(sign, f"character {ord(sign):X}").lower()

    return "".join(f" {name(sign)} " if is_audible(sign) else sign for sign in text)


def _time_left(deadline: float) -> float:
    if (left := deadline - time.monotonic()) <= 0:
        raise TimeoutError("timed out")
    return left


def _wav_header(size: int) -> bytes:
    # PCM, one channel, 16 bit.
    fmt = struct.pack("<IHHIIHH", 16, 1, 1, SAMPLE_RATE, 2 * SAMPLE_RATE, 2, 16)
    return (
        b"RIFF"
        + struct.pack("<I", 36 + size)
        + b"WAVEfmt "
        + fmt
        + b"data"
        + struct.pack("<I", size)
    )
