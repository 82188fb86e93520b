"""A checkout works in any folder, on any ports, in any network."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

import metronome_sandbox

from . import processes

ROOT = Path(settings.BASE_DIR)
UNLIKE_A_URL = ["c++", "v#1", "a?b", "50%25", "a b", "ä"]


def environment(**more: str) -> dict[str, str]:
    """What a process gets from a shell that has set none of our variables."""
    ours = {
        "DATABASE_URL",
        "REDIS_URL",
        "DJANGO_SETTINGS_MODULE",
        "PORT",
        "SANDBOX_PORT",
        "MAKEFLAGS",
        "MFLAGS",
        "MAKELEVEL",
    }
    return (
        {name: value for name, value in os.environ.items() if name not in ours}
        | {"ENV_FILE": ".env.example"}
        | more
    )


@pytest.mark.process
@pytest.mark.parametrize("name", UNLIKE_A_URL)
def test_the_database_lies_inside_the_checkout_whatever_its_folder_is_called(tmp_path, name):
    folder = tmp_path / name
    shutil.copytree(ROOT / "vocalis", folder / "vocalis")
    shutil.copy(ROOT / ".env.example", folder)
    code = (
        "from vocalis.settings import DATABASES, MEDIA_ROOT; "
        "print(DATABASES['default']['NAME'], MEDIA_ROOT, sep='\\n')"
    )

    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )

    assert run.stdout.splitlines() == [
        str(folder / "var/vocalis.sqlite3"),
        str(folder / "var/audio"),
    ]


@pytest.mark.parametrize("name", UNLIKE_A_URL)
def test_an_address_made_of_a_path_leads_back_to_it(tmp_path, name):
    import environ

    path = str(tmp_path / name / "x.sqlite3")

    assert environ.Env.db_url_config(processes.sqlite_url(path))["NAME"] == path


def test_an_empty_database_url_means_the_default():
    code = "from vocalis.settings import DATABASES; print(DATABASES['default']['NAME'])"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(DATABASE_URL=""),
        capture_output=True,
        text=True,
        check=True,
    )

    assert run.stdout.strip() == str(ROOT / "var/vocalis.sqlite3")


def test_the_sandbox_in_use_is_the_one_of_this_checkout():
    """Where several checkouts share an environment, PYTHONPATH=metronome_sandbox makes it so."""
    assert Path(metronome_sandbox.__file__).is_relative_to(ROOT / "metronome_sandbox")


@pytest.fixture
def make():
    if not shutil.which("make") or not Path(sys.prefix, "bin/activate").exists():
        pytest.skip("needs make")


@pytest.mark.process
def test_make_run_works_in_an_odd_folder_on_other_ports_behind_a_proxy_with_blanks_in_lists(
    make, tmp_path, proxy
):
    folder, log = tmp_path / "c++ v#1", tmp_path / "run.log"
    left_out = shutil.ignore_patterns(
        ".git", ".venv", "var", ".env", "tests", "__pycache__", ".*_cache"
    )
    shutil.copytree(ROOT, folder, ignore=left_out)
    (folder / ".venv").symlink_to(sys.prefix)
    example = (folder / ".env.example").read_text()
    (folder / ".env").write_text(example + "PORT=1\nMETRONOME_WEBHOOK_SECRET= , old, new\n")
    port, sandbox_port = processes.free_port(), processes.free_port()
    command = [
        "make",
        "--old-file=.venv/run.stamp",
        "run",
        f"PORT={port}",
        f"SANDBOX_PORT={sandbox_port}",
    ]
    with log.open("wb") as output:
        run = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(ENV_FILE=".env"),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        processes.wait_until(
            lambda: "Ctrl-C stops everything" in log.read_text() or run.poll() is not None, "site"
        )
        assert f"Vocalis is ready:  http://localhost:{port}\n" in log.read_text(), log.read_text()
        assert f"Metronome sandbox: http://localhost:{sandbox_port}\n" in log.read_text()
        headers = {"Authorization": "Bearer sandbox"}
        with processes.direct(f"http://localhost:{sandbox_port}", headers=headers) as metronome:
            metronome.post("/_sandbox/webhooks/test")
            processes.wait_until(lambda: deliveries(metronome)[-1]["status"], "delivery")
            sent = deliveries(metronome)[-1]
            for name in ("sandbox", "worker"):
                pids = re.findall(rf"{name} started \(pid=(\d+)\)", log.read_text())
                os.killpg(int(pids[-1]), signal.SIGKILL)
                started = f"{name} started (pid="
                processes.wait_until(lambda: log.read_text().count(started) == 2, f"new {name}")  # noqa: B023
            processes.wait_until(lambda: processes.answers(metronome, "/_sandbox/clock"), "sandbox")
    finally:
        os.killpg(run.pid, signal.SIGINT)
        run.wait(processes.WAIT_SECONDS)

    assert run.returncode in (0, -signal.SIGINT), "what make itself ends with"
    output = log.read_text()
    assert output.count("web started") == 1
    stopped = re.findall(r"([\w-]+) stopped \(rc=0\)", output)
    assert {"web", "worker-speech"} <= set(stopped), "the others may just have begun"
    assert " stopped (rc=" in output.rstrip().splitlines()[-1] and "Error" not in output

    assert (sent["url"], sent["status"]) == (
        f"http://localhost:{port}/api/webhooks/metronome/alerts",
        200,
    )
    assert (folder / "var/vocalis.sqlite3").exists() and (folder / "var/sandbox.sqlite3").exists()
    assert proxy == []


def deliveries(metronome) -> list[dict]:
    return metronome.get("/_sandbox/deliveries").json()["data"]
