"""The helper process that runs eSpeak NG.

Started as `python -I -S espeak_helper.py LIBRARY DATA` with a socket as standard input. It is a
separate process because the library is licensed under the GPL and is not thread-safe. It
initialises the library once and forks for each request, because the library gives different bytes
for the same text once it has spoken. It ends when the other end of the socket is closed. It does
not import Django.

Protocol: a request is REQUEST, then the voice's name and the text in UTF-8. A response is ANSWER,
then the samples (16 bit, mono) if the status is SPOKEN.
"""

import ctypes
import os
import signal
import struct
import sys

# Seconds to live, pitch, pitch range, pace, bytes of voice name, bytes of text.
REQUEST = struct.Struct("!6I")
ANSWER = struct.Struct("!BI")  # status (see below), number of bytes that follow
SPOKEN, SILENT, TOO_LONG, NO_VOICE = range(4)

SAMPLE_RATE = 22_050
# 79 MB of samples, to bound memory. 5,000 characters of prose take 5 minutes, 11 at the slowest
# pace; only text that is spelled out character by character takes longer.
MAX_AUDIO_SECONDS = 30 * 60

# From the library's speak_lib.h. The flags for SSML and phonemes are not set: markup is read as
# text.
_OUTPUT_SYNCHRONOUS, _DONT_EXIT = 2, 0x8000
_POSITION_CHARACTER, _TEXT_IS_UTF8 = 1, 1
_RATE, _PITCH, _RANGE = 1, 3, 4
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux
# Seed for the noise in breathy voices. The library uses its start time, which differs between
# helpers.
_NOISE_SEED = 1

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


def main(library_path: str, data_path: str) -> None:
    # The library writes to file descriptor 2, which is discarded; Python's sys.stderr is the log.
    sys.stderr = os.fdopen(os.dup(2), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    # If nobody reads the response any more, end silently.
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
            # Part of a response may have been sent. End, so that the reader does not take the next
            # one for its rest.
            sys.exit(1)


def _limit_child(parent: int, seconds: int) -> None:
    """End the child at the deadline of its request, when its helper ends, and at the first error in
    the library's callback."""
    signal.alarm(seconds)
    # ctypes ignores errors in callbacks, so the audio would have a gap.
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
    """Exactly `size` bytes. At end of file the process ends, because the other side has closed."""
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
