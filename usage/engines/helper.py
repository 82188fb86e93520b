"""A helper process: speaks one piece after the other, and answers each with samples and times.

Started by pool.py as `python -I -c START ROOT MODULE LIMITS` with a socket as standard input.
MODULE is the `model` of an engine. The process loads it, gives up its rights (rights.py), and only
then reads text of customers. It ends when the other end of the socket is closed, at work too. It
does not import Django.

Messages are those of wire.py. The first one is ours: {} if the model is loaded, {"problem": words}
if it cannot be. A request says what to speak and how, and has `seconds` of CPU time. The answer has
`times`, or `refused`: words for the customer; a model may answer in its own way too, as eSpeak's
does with phonemes. Any other error ends the process, so that a piece
that breaks it is seen as such.
"""

import ctypes
import json
import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from usage.engines import rights, wire

START = """
import sys
sys.path.append(sys.argv[1])
from usage.engines import helper
helper.main(*sys.argv[2:])
"""
ROOT = Path(__file__).resolve().parents[2]

Times = list[tuple[float, float]]
Answer = dict[str, Any]  # what a helper says that does not speak


class Refused(Exception):
    """The request can never be met. The message is for the customer."""


class Unusable(Exception):
    """The model cannot be used here. The message is for the operator."""


class Model(Protocol):
    """What `load()` of an engine's module `model` returns.

    Beside it the module says which FOLDER it still reads after `begin`, or None, and whether it
    FORKS.
    """

    def begin(self, folder: Path | None) -> None:
        """The rights are gone, and the folder is here now. Raises Unusable."""

    def speak(self, request: dict[str, Any]) -> tuple[Times | Answer, bytes]:
        """Begin and end of each word in seconds, and samples; or an answer of another kind and no
        samples. Raises Refused.
        """


def main(name: str, limits: str) -> None:
    # If nobody reads the response any more, end silently.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    limit = json.loads(limits)
    rights.leave_network()
    os.nice(limit["niceness"])
    try:
        module = import_module(name)
        model: Model = module.load()
        folder = rights.reduce(folder=module.FOLDER, memory_bytes_max=limit["memory_bytes_max"])
        model.begin(folder)
    except (ImportError, OSError, Unusable) as error:
        _send(wire.pack({"problem": str(error)}))
        return
    if not module.FORKS:
        end_when_closed()
        rights.stay_alone()
    release = _memory_release()
    _send(wire.pack({}))
    while True:
        request, _ = wire.unpack(_read, samples_bytes_max=0)
        rights.limit_cpu(request["seconds"])
        try:
            answer, samples = model.speak(request)
        except Refused as error:
            _send(wire.pack({"refused": str(error)}))
        else:
            header = answer if isinstance(answer, dict) else {"times": answer}
            _send(wire.pack(header, samples))
        release()


def end_when_closed(*, exit_code: int = 0) -> None:
    """End this process as soon as the other side has closed the socket, whatever it is doing."""

    def watch() -> None:
        poll = select.poll()
        poll.register(0, getattr(select, "POLLRDHUP", 0))  # POLLHUP is always reported
        poll.poll()
        os._exit(exit_code)

    threading.Thread(target=watch, daemon=True).start()


def _memory_release() -> Callable[[], object]:
    """What gives free memory back to the system: of glibc only."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return lambda: None
    return lambda: trim(0)


def _read(size: int) -> bytes:
    """Exactly `size` bytes. At end of file the process ends, because the other side has closed."""
    data = b""
    while len(data) < size:
        if not (part := os.read(0, size - len(data))):
            sys.exit(0)
        data += part
    return data


def _send(message: bytes) -> None:
    rest = memoryview(message)
    while rest:
        rest = rest[os.write(0, rest) :]
