"""Our end of a converter process; see converter.py for what runs in it and why."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time

from . import converter
from .converter import END, REQUEST_BYTES_MAX, SIZE

# For one request of at most REQUEST_BYTES_MAX, which takes some 50 ms; the first waits for the
# process to start.
ANSWER_SECONDS = 20
# NumPy would start a thread for each core.
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


class ConverterFailed(OSError):
    """The helper process ended, or did not answer in time. The sound may be tried again."""


class Converter:
    """One stream through one process. Used by one thread at a time; close it in every case."""

    def __init__(self, *, source_rate: int, target_rate: int, aac_bit_rate: int | None = None):
        wanted = {"from": source_rate, "to": target_rate}
        if aac_bit_rate is not None:
            wanted["aac"] = aac_bit_rate
        kept = {name: value for name, value in os.environ.items() if name == "LD_LIBRARY_PATH"}
        self._process = subprocess.Popen(
            [sys.executable, "-I", converter.__file__, json.dumps(wanted)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Without our secrets, which a codec does not need.
            env=kept | ENVIRONMENT,
            process_group=0,  # Ctrl-C must not reach it
            bufsize=0,
        )

    def feed(self, samples: bytes) -> bytes:
        """What is ready after these samples. Raises ConverterFailed."""
        pieces = range(0, len(samples), REQUEST_BYTES_MAX)
        return b"".join(
            self._ask(SIZE.pack(len(part)) + part)
            for part in (samples[at : at + REQUEST_BYTES_MAX] for at in pieces)
        )

    def finish(self) -> bytes:
        """The rest. Raises ConverterFailed."""
        rest = self._ask(SIZE.pack(END))
        self.close()
        return rest

    def close(self) -> None:
        """End the process. Twice does nothing."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _ask(self, request: bytes) -> bytes:
        # The helper reads a whole request before it answers, so that neither waits for the other.
        deadline = time.monotonic() + ANSWER_SECONDS
        assert self._process.stdin is not None
        try:
            rest = memoryview(request)
            while rest:
                self._wait(write=True, deadline=deadline)
                rest = rest[os.write(self._process.stdin.fileno(), rest[: select.PIPE_BUF]) :]
            (size,) = SIZE.unpack(self._read(SIZE.size, deadline))
            return self._read(size, deadline)
        except ValueError as error:  # its pipes are closed
            raise ConverterFailed("the sound converter is closed") from error
        except BrokenPipeError as error:
            raise ConverterFailed("the sound converter ended") from error

    def _read(self, size: int, deadline: float) -> bytes:
        assert self._process.stdout is not None
        data = bytearray()
        while len(data) < size:
            self._wait(write=False, deadline=deadline)
            if not (piece := os.read(self._process.stdout.fileno(), size - len(data))):
                raise ConverterFailed("the sound converter ended")
            data += piece
        return bytes(data)

    def _wait(self, *, write: bool, deadline: float) -> None:
        """Until the pipe is ready. `poll`, because `select` fails above 1,024 open files."""
        pipe = self._process.stdin if write else self._process.stdout
        assert pipe is not None
        ready = select.poll()
        ready.register(pipe.fileno(), select.POLLOUT if write else select.POLLIN)
        if not ready.poll(max(0, deadline - time.monotonic()) * 1_000):
            raise ConverterFailed("the sound converter did not answer")
