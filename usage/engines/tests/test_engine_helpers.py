"""What happens to a request when its helper process dies, freezes or is busy,
and to the helpers when their parent goes."""

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

AMERICAN = {"variant": "en-us"}
LONG = "Copper rivers wind past seven quiet towns. " * 116  # about half a second of work


@pytest.fixture
def espeak():
    engine = Espeak(helpers=1)
    yield engine
    engine.close()


def helper_pid(engine):
    (helper,) = engine._running
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


def speak_whole(engine):
    """LONG, with the fork that spoke it gone too: it still ends when its answer is here already."""
    speech = engine.speak(text=LONG, settings=AMERICAN)
    wait_until(lambda: not children(helper_pid(engine)))
    return speech


def test_a_request_whose_helper_is_killed_half_way_is_answered_by_another(espeak):
    expected = speak_whole(espeak)
    first = helper_pid(espeak)

    with ThreadPoolExecutor(1) as pool:
        speech = pool.submit(espeak.speak, text=LONG, settings=AMERICAN)
        (fork,) = wait_until(lambda: children(first))
        os.kill(first, signal.SIGKILL)

        assert speech.result() == expected
    assert helper_pid(espeak) != first
    wait_until(lambda: not is_alive(fork))


def test_a_request_whose_fork_crashes_is_answered_by_another_helper(espeak):
    expected = speak_whole(espeak)
    first = helper_pid(espeak)

    with ThreadPoolExecutor(1) as pool:
        speech = pool.submit(espeak.speak, text=LONG, settings=AMERICAN)
        (fork,) = wait_until(lambda: children(first))
        os.kill(fork, signal.SIGSEGV)

        assert speech.result() == expected
    assert helper_pid(espeak) != first


def test_a_helper_that_died_while_idle_is_replaced_unnoticed(espeak, caplog):
    espeak.speak(text="hello", settings=AMERICAN)
    first = helper_pid(espeak)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not is_alive(first))

    assert espeak.speak(text="hello", settings=AMERICAN).audio
    assert not caplog.records


def test_a_frozen_helper_is_noticed_by_the_deadline_killed_and_replaced(espeak):
    expected = espeak.speak(text="hello", settings=AMERICAN)
    first = helper_pid(espeak)
    os.kill(first, signal.SIGSTOP)

    started = time.monotonic()
    assert espeak.speak(text="hello", settings=AMERICAN, deadline_seconds=3) == expected

    assert 1.4 < time.monotonic() - started < 3
    assert not is_alive(first)


def test_two_lost_helpers_in_a_row_fail_the_request_but_not_the_next(espeak):
    class Doomed(Espeak):
        def _start(self):
            helper = super()._start()
            os.kill(helper.process.pid, signal.SIGSTOP)
            return helper

    doomed = Doomed(helpers=1)
    with pytest.raises(EngineFailed, match="did not answer") as failure:
        doomed.speak(text="hello", settings=AMERICAN, deadline_seconds=0.2)

    assert not failure.value.permanent
    assert not doomed._running
    doomed.__class__ = Espeak
    assert doomed.speak(text="hello", settings=AMERICAN) == espeak.speak(
        text="hello", settings=AMERICAN
    )
    doomed.close()


def test_a_request_waits_for_a_busy_helper_no_longer_than_its_deadline(espeak):
    espeak.speak(text="hello", settings=AMERICAN)
    helper = helper_pid(espeak)
    os.kill(helper, signal.SIGSTOP)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(espeak.speak, text="hello", settings=AMERICAN)
        wait_until(lambda: not espeak._idle)
        with pytest.raises(EngineFailed, match="busy") as failure:
            espeak.speak(text="hello", settings=AMERICAN, deadline_seconds=0.05)
        os.kill(helper, signal.SIGCONT)

        assert first.result().audio
    assert not failure.value.permanent
    assert helper_pid(espeak) == helper


def test_whoever_waits_first_is_served_first(espeak):
    slot = espeak._take_slot(time.monotonic())
    served = queue.Queue()

    def wait(number):
        served.put((number, espeak._take_slot(time.monotonic() + 20)))

    with ThreadPoolExecutor(5) as pool:
        for number in range(5):
            pool.submit(wait, number)
            wait_until(lambda count=number + 1: len(espeak._waiting) == count)
        for number in range(5):
            espeak._give_slot(slot)
            assert espeak._idle == []
            assert served.get(timeout=20) == (number, slot)


def test_a_slot_nobody_waits_for_any_more_goes_to_the_next(espeak):
    slot = espeak._take_slot(time.monotonic())
    with pytest.raises(EngineFailed, match="busy"):
        espeak._take_slot(time.monotonic())

    espeak._give_slot(slot)

    assert espeak._take_slot(time.monotonic()) == slot


def test_helpers_are_started_when_needed_and_no_more_than_allowed():
    engine = Espeak(helpers=2)
    assert not engine._running
    engine.speak(text="hello", settings=AMERICAN)
    engine.speak(text="hello", settings=AMERICAN)
    assert len(engine._running) == 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: engine.speak(text="hello there", settings=AMERICAN), range(24)))
    assert len(engine._running) == 2
    engine.close()


def test_closing_ends_the_helpers_and_speech_under_way():
    engine = Espeak(helpers=1)
    speak_whole(engine)
    pid = helper_pid(engine)

    with ThreadPoolExecutor(1) as pool:
        speech = pool.submit(engine.speak, text=LONG, settings=AMERICAN)
        wait_until(lambda: children(pid))
        engine.close()

        with pytest.raises(EngineFailed, match="closed"):
            speech.result()
    assert not is_alive(pid)


def test_a_helper_has_none_of_our_secrets(espeak, monkeypatch):
    monkeypatch.setenv("METRONOME_API_KEY", "a-secret")
    espeak.speak(text="hello", settings=AMERICAN)

    with open(f"/proc/{helper_pid(espeak)}/environ") as file:
        assert "a-secret" not in file.read()


PARENT = """
import os, sys, threading
from usage import engines
voice = dict(variant="en-us")
engines.engine().speak(text="hello", settings=voice)
(helper,) = engines.engine()._running
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
        "ask = lambda: engines.engine().speak(text='漢' * 1500, settings=voice)\n"
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
    thread = threading.Thread(target=engine.speak, kwargs={"text": "hello", "settings": AMERICAN})
    thread.start()
    thread.join()
    pid = helper_pid(engine)

    engine.speak(text="hello", settings=AMERICAN)

    assert helper_pid(engine) == pid
    engine.close()


def test_a_forked_copy_of_the_process_makes_its_own_helpers():
    parent = run_parent(
        "if os.fork() == 0:\n"
        "    engines.engine().speak(text='hello', settings=voice)\n"
        "    (other,) = engines.engine()._running\n"
        "    engines.close()\n"
        "    os._exit(other.process.pid == helper.process.pid)\n"
        "assert os.wait()[1] == 0\n"
        "engines.engine().speak(text='hello', settings=voice)\n"
        "assert engines.engine()._running == {helper}"
    )

    assert (parent.returncode, parent.stderr) == (0, "")
