"""What a helper may still do when it reads a customer's text."""

import os
import sys
import time

import pytest

from usage.engines import rights
from usage.engines.espeak import Espeak
from usage.engines.hibari import Hibari
from usage.engines.process import HelperGone, HelperProcess, HelperSpec
from usage.engines.tests.test_engine_helpers import HELLO, children, is_alive, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
SETTINGS = {Espeak: {"variant": "en-us"}, Hibari: {}}
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture(scope="module", params=[Espeak, Hibari])
def helper(request):
    """The process number of a helper that has spoken."""
    engine = request.param(helpers=1)
    list(engine.speak([HELLO], settings=SETTINGS[request.param]))
    yield next(iter(engine._pool._running)).process.pid
    engine.close()


def status(pid):
    with open(f"/proc/{pid}/status") as file:
        lines = (line.partition(":") for line in file)
        return {name: value.strip() for name, _, value in lines}


def limits(pid):
    with open(f"/proc/{pid}/limits") as file:
        return {line[:26].strip(): line[26:].split()[0] for line in file}


def test_no_capabilities_no_new_ones_no_core_few_files_bounded_memory(helper):
    assert status(helper)["CapEff"].strip("0") == status(helper)["CapPrm"].strip("0") == ""
    assert status(helper)["NoNewPrivs"] == "1"
    assert limits(helper)["Max core file size"] == "0"
    assert limits(helper)["Max open files"] == str(rights.OPEN_FILES)
    assert int(limits(helper)["Max data size"]) <= 1_500 << 20


@as_root
def test_as_root_a_uid_of_its_own(helper):
    assert set(status(helper)["Uid"].split()) == set(status(helper)["Gid"].split()) == {"65534"}
    assert status(helper)["Groups"] == ""


@as_root
def test_as_root_no_network(helper):
    with open(f"/proc/{helper}/net/dev") as file:
        assert [line.split(":")[0].strip() for line in file if ":" in line] == ["lo"]
    assert os.stat(f"/proc/{helper}/ns/net").st_ino != os.stat("/proc/self/ns/net").st_ino


@as_root
def test_as_root_no_files_but_the_voices(helper):
    seen = set(os.listdir(f"/proc/{helper}/root/"))

    assert not seen or "phontab" in seen
    assert not seen & {"etc", "usr", "home", "proc"}


def test_cpu_time_is_bounded_piece_by_piece():
    """A helper that runs away is ended by the system even if nobody waits for it any more, and one
    that has worked for long in many pieces is not."""
    spec = HelperSpec("busy", "usage.engines.tests.busy", 16_000, 1 << 30, 1 << 30)
    helper = HelperProcess(spec)
    deadline = time.monotonic() + 300
    try:
        helper.wait_until_ready(deadline)
        for _ in range(3):
            assert helper.ask({"seconds": 0.1, "work_seconds": 1}, deadline) == ({"times": []}, b"")

        with pytest.raises(HelperGone, match="it died of SIGPROF"):
            helper.ask({"seconds": 0.1, "work_seconds": 600}, deadline)
    finally:
        helper.end()


def test_a_model_at_work_ends_with_the_other_side_of_its_socket():
    engine = Hibari(helpers=1)
    engine.warm()
    (running,) = engine._pool._running
    assert children(running.process.pid) == []

    running._socket.close()

    wait_until(lambda: not is_alive(running.process.pid))
    assert running.process.wait() == 0
    engine._pool._running.clear()
