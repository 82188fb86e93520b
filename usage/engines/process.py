"""One helper process, as the pool sees it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from usage.engines import helper, wire

# Of the audio of one piece: 79 MB at 22,050 Hz, to bound memory. Only text that is spelled out
# character by character takes more than a minute.
AUDIO_SECONDS_MAX = 30 * 60
# One thread each for libraries that would start one for every core.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}


class HelperGone(Exception):
    """A helper ended before its answer was complete, or its answer is none."""


class Unusable(Exception):
    """The helper says that its model cannot be used here."""


@dataclass(frozen=True, slots=True)
class HelperSpec:
    """What helpers of an engine run."""

    name: str  # of the engine, for the log
    module: str  # see `helper`
    sample_rate: int
    memory_bytes_max: int  # resident; above it a helper is replaced after its piece
    data_bytes_max: int  # private and writable; above it allocations fail
    niceness: int = 0


class HelperProcess:
    """The process and our end of its socket. Used by one thread at a time, except `end`."""

    def __init__(self, spec: HelperSpec) -> None:
        self._samples_bytes_max = 2 * spec.sample_rate * AUDIO_SECONDS_MAX
        self._socket, theirs = socket.socketpair()
        limits = {"memory_bytes_max": spec.data_bytes_max, "niceness": spec.niceness}
        command = [sys.executable, "-I", "-c", helper.START, str(helper.ROOT), spec.module]
        with theirs:
            try:
                self.process = subprocess.Popen(
                    [*command, json.dumps(limits)],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    # Without our secrets, because the process parses text of customers.
                    env={
                        name: value
                        for name, value in os.environ.items()
                        if name in ("LANG", "LD_LIBRARY_PATH")
                    }
                    | ONE_THREAD,
                    # A process group of its own: Ctrl-C must not reach the helper, and `end` must
                    # reach its forks, too.
                    process_group=0,
                )
            except OSError:
                self._socket.close()
                raise

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    def wait_until_ready(self, deadline: float) -> None:
        """Raises Unusable, HelperGone or TimeoutError; end the helper after any of them."""
        header, _ = self._receive_message(deadline)
        if problem := header.get("problem"):
            raise Unusable(str(problem))

    def ask(self, request: Mapping[str, Any], deadline: float) -> tuple[dict[str, Any], bytes]:
        """Header and samples. Raises HelperGone or TimeoutError; end the helper after either."""
        try:
            self._socket.settimeout(_time_left(deadline))
            self._socket.sendall(wire.pack(request))
        except TimeoutError:
            raise
        except OSError as error:
            raise HelperGone(str(error)) from error
        return self._receive_message(deadline)

    def memory_bytes(self) -> int:
        """Resident memory; 0 where the system does not say."""
        try:
            with open(f"/proc/{self.process.pid}/statm") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
        except (OSError, IndexError, ValueError):
            return 0

    def end(self) -> None:
        """Twice is an error: the number may belong to another process by then."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._socket.close()

    def _receive_message(self, deadline: float) -> tuple[dict[str, Any], bytes]:
        try:
            return wire.unpack(
                lambda size: self._receive(size, deadline),
                samples_bytes_max=self._samples_bytes_max,
            )
        except TimeoutError:
            raise
        except (OSError, wire.Malformed) as error:
            raise HelperGone(str(error)) from error

    def _receive(self, size: int, deadline: float) -> bytearray:
        data = bytearray(size)
        rest = memoryview(data)
        while rest:
            self._socket.settimeout(_time_left(deadline))
            if not (received := self._socket.recv_into(rest)):
                raise HelperGone(f"it died {self._cause()}".rstrip())
            rest = rest[received:]
        return data

    def _cause(self) -> str:
        try:
            code = self.process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return ""
        return f"of {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"


def _time_left(deadline: float) -> float:
    if (left := deadline - time.monotonic()) <= 0:
        raise TimeoutError("timed out")
    return left
