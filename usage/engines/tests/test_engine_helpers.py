"""What happens to a piece when its helper process dies, freezes or is busy,
and to the helpers when their parent goes. With eSpeak NG, the quickest to start."""

import dataclasses
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from usage.engines import EngineFailed
from usage.engines.espeak import Espeak
from usage.engines.pool import Pool
from usage.text.pieces import Piece, Word

AMERICAN = {"variant": "en-us"}


def piece(text):
    words = text.split()
    return Piece(0, len(text), tuple(Word(0, len(text), word) for word in words), 0.3)


HELLO = piece("hello")
LONG = piece("Copper rivers wind past seven quiet towns. " * 116)  # about half a second of work


@pytest.fixture
def espeak():
    engine = Espeak(helpers=1)
    yield engine
    engine.close()


def speak(engine, what=HELLO, **how):
    (spoken,) = engine.speak([what], settings=AMERICAN, **how)
    return spoken


def helper_pid(engine):
    (helper,) = engine._pool._running
    return helper.process.pid


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition):
    give_up_at = time.monotonic() + 20
    while not (result := condition()):
        assert time.monotonic() < give_up_at
        time.sleep(0.002)
    return result


def test_a_request_whose_helper_is_killed_half_way_is_answered_by_another(espeak):
    expected = speak(espeak, LONG)
    first = helper_pid(espeak)

    with ThreadPoolExecutor(1) as pool:
        speech = pool.submit(speak, espeak, LONG)
        (fork,) = wait_until(lambda: children(first))
        os.kill(first, signal.SIGKILL)

        assert speech.result() == expected
    assert helper_pid(espeak) != first
    wait_until(lambda: not is_alive(fork))


def test_a_request_whose_fork_crashes_is_answered_by_another_helper(espeak):
    expected = speak(espeak, LONG)
    first = helper_pid(espeak)

    with ThreadPoolExecutor(1) as pool:
        speech = pool.submit(speak, espeak, LONG)
        (fork,) = wait_until(lambda: children(first))
        os.kill(fork, signal.SIGSEGV)

        assert speech.result() == expected
    assert helper_pid(espeak) != first


def test_a_helper_that_died_while_idle_is_replaced_unnoticed(espeak, caplog):
    speak(espeak)
    first = helper_pid(espeak)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not is_alive(first))

    assert speak(espeak).samples
    assert not caplog.records


def test_a_frozen_helper_is_noticed_by_the_deadline_killed_and_replaced(espeak):
    expected = speak(espeak)
    first = helper_pid(espeak)
    os.kill(first, signal.SIGSTOP)

    started = time.monotonic()
    assert speak(espeak, piece_seconds=3) == expected

    assert 2.9 < time.monotonic() - started < 6
    assert not is_alive(first)
    assert espeak.status().restarts == 1


def test_two_lost_helpers_in_a_row_fail_the_request_but_not_the_next(espeak):
    class Doomed(Pool):
        def _start(self):
            helper = super()._start()
            os.kill(helper.process.pid, signal.SIGSTOP)
            return helper

    doomed = Espeak(helpers=1)
    doomed._pool.__class__ = Doomed
    with pytest.raises(EngineFailed, match="did not answer") as failure:
        speak(doomed, piece_seconds=0.1)

    assert not failure.value.permanent
    assert not doomed._pool._running
    doomed._pool.__class__ = Pool
    assert speak(doomed) == speak(espeak)
    doomed.close()


def test_a_piece_that_kills_two_helpers_is_refused_for_good_in_words(espeak):
    speak(espeak)

    with ThreadPoolExecutor(1) as pool:
        speech = pool.submit(speak, espeak, LONG)
        former = 0
        for _ in range(2):
            pid = wait_until(
                lambda old=former: (
                    espeak._pool._running and (new := helper_pid(espeak)) != old and new
                )
            )
            (fork,) = wait_until(lambda pid=pid: children(pid))
            os.kill(fork, signal.SIGSEGV)
            former = pid
        with pytest.raises(EngineFailed, match="cannot speak this passage: 'Copper riv") as failure:
            speech.result()

    assert failure.value.permanent
    assert len(str(failure.value)) < 120
    assert speak(espeak).samples


def test_a_long_text_stops_no_short_one(espeak):
    """One helper, and the long text was there first: it takes a place in the queue for each of
    its pieces."""
    speak(espeak)
    finished = []

    def long():
        for _ in espeak.speak([LONG] * 6, settings=AMERICAN):
            finished.append("piece")

    def short():
        speak(espeak)
        finished.append("short")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(long)
        wait_until(lambda: finished)
        second = pool.submit(short)
        first.result(), second.result()

    assert finished.index("short") <= 3


def test_whoever_leaves_gives_the_helper_back_between_two_pieces(espeak):
    speech = espeak.speak([HELLO] * 1000, settings=AMERICAN)
    next(speech)
    assert len(espeak._pool._idle) == 1
    speech.close()

    assert list(speech) == []
    assert speak(espeak).samples


def test_a_helper_that_uses_too_much_memory_is_replaced_after_its_piece_and_that_is_said(
    espeak, caplog
):
    expected = speak(espeak)
    first = helper_pid(espeak)
    espeak._pool.spec = dataclasses.replace(espeak.spec, memory_bytes_max=1 << 20)

    assert speak(espeak) == expected

    assert not is_alive(first) and not espeak._pool._running
    assert "MB of memory, of 1 allowed" in caplog.text
    assert espeak.status().restarts == 1


def test_a_model_that_cannot_be_loaded_is_said_to_operators_and_fails_no_text_for_good(caplog):
    engine = Espeak(helpers=1)
    engine._pool.spec = dataclasses.replace(engine.spec, module="usage.engines.nothing")

    with pytest.raises(EngineFailed, match="does not start: No module named") as failure:
        speak(engine)

    assert not failure.value.permanent
    assert "No module named" in engine.status().problem and "No module named" in caplog.text
    engine._pool.spec = engine.spec
    assert speak(engine).samples
    assert engine.status().problem == ""
    engine.close()


def test_an_engine_that_could_not_be_warmed_has_all_its_helpers_once_it_can_start():
    engine = Espeak(helpers=3)
    engine._pool.spec = dataclasses.replace(engine.spec, module="usage.engines.nothing")
    with pytest.raises(EngineFailed, match="No module named"):
        engine.warm()
    assert engine.status().alive == 0

    engine._pool.spec = engine.spec
    engine.warm()
    assert (engine.status().alive, engine.status().problem) == (3, "")
    assert speak(engine).samples
    engine.close()


def test_operators_see_how_an_engine_is():
    engine = Espeak(helpers=2)
    assert dataclasses.astuple(engine.status()) == (0, 0, 0, None, "")
    engine.warm()
    assert engine.status().alive == 2
    speak(engine, LONG)
    assert 0 < engine.status().real_time_factor < 0.5

    slots = [engine._pool._take_slot(time.monotonic()) for _ in range(2)]
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(speak, engine)
        wait_until(lambda: engine.status().waiting == 1)
        for slot in slots:
            engine._pool._give_slot(slot)
        waits.result()
    assert engine.status().waiting == 0
    engine.close()
    assert engine.status().alive == 0


def test_a_request_waits_for_a_busy_helper_no_longer_than_its_deadline(espeak):
    speak(espeak)
    helper = helper_pid(espeak)
    os.kill(helper, signal.SIGSTOP)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(speak, espeak)
        wait_until(lambda: not espeak._pool._idle)
        with pytest.raises(EngineFailed, match="busy") as failure:
            speak(espeak, piece_seconds=0.05)
        os.kill(helper, signal.SIGCONT)

        assert first.result().samples
    assert not failure.value.permanent
    assert helper_pid(espeak) == helper


def test_whoever_waits_first_is_served_first(espeak):
    slot = espeak._pool._take_slot(time.monotonic())
    served = queue.Queue()

    def wait(number):
        served.put((number, espeak._pool._take_slot(time.monotonic() + 20)))

    with ThreadPoolExecutor(5) as pool:
        for number in range(5):
            pool.submit(wait, number)
            wait_until(lambda count=number + 1: len(espeak._pool._waiting) == count)
        for number in range(5):
            espeak._pool._give_slot(slot)
            assert espeak._pool._idle == []
            assert served.get(timeout=20) == (number, slot)


def test_a_turn_nobody_waits_for_any_more_goes_to_the_next(espeak):
    slot = espeak._pool._take_slot(time.monotonic())
    with pytest.raises(EngineFailed, match="busy"):
        espeak._pool._take_slot(time.monotonic())

    espeak._pool._give_slot(slot)

    assert espeak._pool._take_slot(time.monotonic()) == slot


def test_helpers_are_started_when_needed_and_no_more_than_allowed():
    engine = Espeak(helpers=2)
    assert not engine._pool._running
    speak(engine)
    speak(engine)
    assert len(engine._pool._running) == 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: speak(engine), range(24)))
    assert len(engine._pool._running) == 2
    engine.close()


def test_closing_ends_the_helpers_and_speech_under_way():
    engine = Espeak(helpers=1)
    speak(engine, LONG)
    pid = helper_pid(engine)

    with ThreadPoolExecutor(1) as pool:
        speech = pool.submit(speak, engine, LONG)
        wait_until(lambda: children(pid))
        engine.close()

        with pytest.raises(EngineFailed, match="closed"):
            speech.result()
    assert not is_alive(pid)


def test_a_helper_has_none_of_our_secrets(espeak, monkeypatch):
    monkeypatch.setenv("METRONOME_API_KEY", "a-secret")
    speak(espeak)

    with open(f"/proc/{helper_pid(espeak)}/environ") as file:
        assert "a-secret" not in file.read()


PARENT = """
import os, sys, threading
from usage import engines
from usage.engines.tests.test_engine_helpers import HELLO, LONG, speak
speak(engines.engine())
(helper,) = engines.engine()._pool._running
{then}
"""


def run_parent(then):
    command = [sys.executable, "-W", "error", "-c", PARENT.format(then=then)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("ending", ["sys.exit()", "os.kill(os.getpid(), 9)"])
def test_helpers_end_with_their_parent_however_it_ends(ending):
    parent = run_parent(f"print(helper.process.pid, flush=True)\n{ending}")

    assert parent.stderr == ""
    wait_until(lambda: not is_alive(int(parent.stdout)))


def test_a_helper_at_work_ends_with_its_parent_too():
    parent = run_parent(
        "ask = lambda: [speak(engines.engine(), LONG) for _ in range(1000)]\n"
        "threading.Thread(target=ask, daemon=True).start()\n"
        "children = f'/proc/{helper.process.pid}/task/{helper.process.pid}/children'\n"
        "while not (fork := open(children).read()): pass\n"
        "print(helper.process.pid, fork, flush=True)\n"
        "os.kill(os.getpid(), 9)"
    )

    for pid in parent.stdout.split():
        wait_until(lambda pid=int(pid): not is_alive(pid))


def test_a_helper_outlives_the_thread_that_started_it():
    engine = Espeak(helpers=1)
    thread = threading.Thread(target=speak, args=(engine,))
    thread.start()
    thread.join()
    pid = helper_pid(engine)

    speak(engine)

    assert helper_pid(engine) == pid
    engine.close()


def test_a_forked_copy_of_the_process_makes_its_own_helpers():
    parent = run_parent(
        "if os.fork() == 0:\n"
        "    speak(engines.engine())\n"
        "    (other,) = engines.engine()._pool._running\n"
        "    engines.close()\n"
        "    os._exit(other.process.pid == helper.process.pid)\n"
        "assert os.wait()[1] == 0\n"
        "speak(engines.engine())\n"
        "assert engines.engine()._pool._running == {helper}"
    )

    assert (parent.returncode, parent.stderr) == (0, "")
