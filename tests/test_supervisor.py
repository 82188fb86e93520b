"""What `make run` does about a process that ends by itself: it starts it again, and says so."""

from __future__ import annotations

import io
import os
import signal
import threading
import time

import pytest
from honcho.printer import Printer

from vocalis import supervisor

pytestmark = pytest.mark.process
WAIT_SECONDS = 40
FOR_EVER = "exec sleep 600"


class Run:
    """A supervisor in this process; what it printed and which processes it runs."""

    def __init__(self) -> None:
        self.output = io.StringIO()
        self.manager = supervisor.Supervisor(Printer(self.output, colour=False))
        self.is_over = False

    def pid(self, name: str) -> int | None:
        return self.manager._processes[name].get("pid")

    def until(self, done) -> None:
        until = time.monotonic() + WAIT_SECONDS
        while not done() and time.monotonic() < until:
            time.sleep(0.02)

    def loop(self, then) -> None:
        """Run until `then`, in a thread, is through; what goes wrong in there ends it too."""

        def act() -> None:
            try:
                self.until(lambda: all(map(self.pid, self.manager._processes)))
                then()
            finally:
                os.kill(os.getpid(), signal.SIGINT)

        acting = threading.Thread(target=act)
        acting.start()
        try:
            self.manager.loop()
        finally:
            self.is_over = True
            acting.join()  # its signal is for the loop: nobody else may get it


@pytest.fixture
def run():
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield Run()
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_a_killed_process_is_started_again_and_the_others_stay_up(run):
    run.manager.add_process("sandbox", FOR_EVER)
    run.manager.add_process("web", FOR_EVER)
    seen = {}

    def kill() -> None:
        seen["before"] = run.pid("sandbox"), run.pid("web")
        os.killpg(run.pid("sandbox"), signal.SIGKILL)
        run.until(lambda: run.pid("sandbox") != seen["before"][0])
        seen["after"] = run.pid("sandbox"), run.pid("web")
        os.killpg(run.pid("sandbox"), 0)  # raises if there is none

    run.loop(kill)

    assert seen["after"][0] != seen["before"][0]
    assert seen["after"][1] == seen["before"][1]
    assert "sandbox ended by itself (rc=-9) and is restarted" in run.output.getvalue()
    assert (run.manager.returncode, run.manager.given_up) == (130, "")
    for name in ("sandbox", "web"):
        with pytest.raises(ProcessLookupError):
            os.killpg(run.pid(name), 0)


def test_the_only_process_is_started_again_and_watched_for_ever(run):
    """honcho's loop ends for good once all have stopped, if nothing happens for a moment."""
    run.manager.add_process("web", FOR_EVER)
    seen = {}

    def kill() -> None:
        before = run.pid("web")
        os.killpg(before, signal.SIGKILL)
        run.until(lambda: run.pid("web") not in (before, None))
        time.sleep(0.5)
        seen["watched"] = not run.is_over

    run.loop(kill)

    assert seen["watched"]
    assert (run.manager.returncode, run.manager.given_up) == (130, "")


def test_a_process_that_ends_at_once_again_and_again_is_given_up(run):
    run.manager.add_process("web", FOR_EVER)
    run.manager.add_process("worker", "echo no database; exit 3")

    run.manager.loop()

    assert run.manager.given_up == "worker"
    assert run.manager.returncode == 3
    assert run.output.getvalue().count("no database") == supervisor.SOON_MAX
    assert run.output.getvalue().count("is restarted") == supervisor.SOON_MAX - 1


def test_a_process_that_worked_for_a_while_is_started_again_as_often_as_it_ends(run, monkeypatch):
    monkeypatch.setattr(supervisor, "SOON_SECONDS", 0)
    run.manager.add_process("worker", "exit 1")

    run.loop(lambda: run.until(lambda: run.output.getvalue().count("is restarted") > 5))

    assert (run.manager.returncode, run.manager.given_up) == (130, "")
