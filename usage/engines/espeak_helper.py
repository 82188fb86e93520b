"""The process in which eSpeak NG runs: `python -I -S espeak_helper.py LIBRARY DATA`, a socket as
its standard input.

A process of its own because the library is under the GPL and not thread-safe. It starts the library
once and forks for each request: a library that has spoken before gives other bytes for the same
text, a fresh copy of a started one does not. The other end of the socket is its lifeline: end of
file ends it. It imports no Django and next to nothing else.

Request: REQUEST, then voice name and text in UTF-8. Answer: ANSWER, then the samples (16 bit, mono)
if SPOKEN.
"""

import ctypes
import os
import signal
import struct
import sys

# Seconds to live, pitch, pitch range, pace, bytes of voice name, bytes of text.
REQUEST = struct.Struct("!6I")
ANSWER = struct.Struct("!BI")  # one of the four below, bytes that follow
SPOKEN, SILENT, TOO_LONG, NO_VOICE = range(4)

SAMPLE_RATE = 22_050
# 79 MB of samples. 5,000 characters of prose are 5 minutes, 11 at the slowest pace; what takes
# longer is text that is spelled out sign by sign, and it must not fill the memory.
MAX_AUDIO_SECONDS = 30 * 60

# From the library's speak_lib.h. The text flags hold neither the SSML nor the phoneme bit: markup
# is text.
_OUTPUT_SYNCHRONOUS, _DONT_EXIT = 2, 0x8000
_POSITION_CHARACTER, _TEXT_IS_UTF8 = 1, 1
_RATE, _PITCH, _RANGE = 1, 3, 4
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux
# Breathy voices mix in noise. The library seeds it with the time of its start, which would differ
# between helpers.
_NOISE_SEED = 1

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


def main(library_path: str, data_path: str) -> None:
    # The library prints remarks on standard error; only Python's own go to the log.
    sys.stderr = os.fdopen(os.dup(2), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    # Nobody reads the answer any more: end without a word.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    library = ctypes.CDLL(library_path)
    rate = library.espeak_Initialize(_OUTPUT_SYNCHRONOUS, 0, os.fsencode(data_path), _DONT_EXIT)
    if rate != SAMPLE_RATE:
        raise SystemExit(f"eSpeak NG did not start: {rate}")
    # Reads the voice list and the dictionary once for all forks.
    library.espeak_SetVoiceByName(b"en-us")
    while header := _read(REQUEST.size):
        seconds, pitch, pitch_range, pace, voice_size, text_size = REQUEST.unpack(header)
        voice, text = _read(voice_size), _read(text_size)
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            _limit_child(parent, seconds)
            try:
                _answer(
                    *_speak(library, voice, text, {_PITCH: pitch, _RANGE: pitch_range, _RATE: pace})
                )
            except BaseException:
                sys.excepthook(*sys.exc_info())
                os._exit(1)
            os._exit(0)
        if os.waitpid(child, 0)[1] != 0:
            # There may be half an answer on the wire: the reader must see an end, not the next
            # answer.
            sys.exit(1)


def _limit_child(parent: int, seconds: int) -> None:
    """A child ends with its request's deadline, with its helper, and at the first error in the
    library's callback.
    """
    signal.alarm(seconds)
    # ctypes goes on after an error: the audio would have a hole.
    sys.unraisablehook = lambda error: os._exit(1)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def _speak(
    library: ctypes.CDLL, voice: bytes, text: bytes, parameters: dict[int, int]
) -> tuple[int, bytes]:
    samples = bytearray()
    too_long = False

    def collect(wave: int | None, count: int, events: int | None) -> int:
        nonlocal too_long
        too_long = len(samples) + 2 * count > 2 * SAMPLE_RATE * MAX_AUDIO_SECONDS
        if wave and count > 0 and not too_long:
            samples.extend(ctypes.string_at(wave, 2 * count))
        return int(too_long)  # Anything but 0 stops the library.

    callback = _Callback(collect)
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(voice) != 0:
        return NO_VOICE, b""
    for parameter, value in parameters.items():
        library.espeak_SetParameter(parameter, value, 0)
    library.espeak_ng_SetRandSeed(ctypes.c_long(_NOISE_SEED))
    size = ctypes.c_size_t(len(text) + 1)  # With the NUL that ctypes passes on.
    failed = library.espeak_Synth(text, size, 0, _POSITION_CHARACTER, 0, _TEXT_IS_UTF8, None, None)
    if too_long:
        return TOO_LONG, b""
    if failed:
        raise RuntimeError(f"espeak_Synth: {failed}")
    return (SPOKEN, bytes(samples)) if samples.strip(b"\0") else (SILENT, b"")


def _read(size: int) -> bytes:
    """Exactly `size` bytes. End of file ends the process: whoever asked is gone."""
    data = b""
    while len(data) < size:
        if not (piece := os.read(0, size - len(data))):
            sys.exit(0)
        data += piece
    return data


def _answer(status: int, samples: bytes) -> None:
    rest = memoryview(ANSWER.pack(status, len(samples)) + samples)
    while rest:
        rest = rest[os.write(0, rest) :]


if __name__ == "__main__":
    main(*sys.argv[1:])
