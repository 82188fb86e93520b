"""Installed in an empty environment of each Python it supports, it has all it needs."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .served import pip, run, serving

pytestmark = [pytest.mark.process, pytest.mark.timeout(400)]

PROJECT = Path(__file__).parents[2]
STORY = Path(__file__).parent / "stories/story.py"


@pytest.fixture(params=["3.11", "3.12", "3.13"])
def python(request):
    """One of this version: this very one, or what the PATH has."""
    if sys.version_info[:2] == tuple(map(int, request.param.split("."))):
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    names = [shutil.which(f"python{request.param}"), *pyenv.glob(f"{request.param}.*/bin/python")]
    for name in names:
        # A name may be there and say only that its version is not chosen (pyenv).
        if name and subprocess.run([name, "--version"], capture_output=True).returncode == 0:
            return name
    pytest.skip(f"no Python {request.param} here")


def test_its_tests_pass_alone(python, tmp_path):
    """Without the project around it. On this very Python they run anyway, beside this one."""
    if python == sys.executable:
        pytest.skip("the tests run on this Python already")
    venv, copy = tmp_path / "venv", tmp_path / "metronome_sandbox"
    run([python, "-m", "venv", "--without-pip", str(venv)])
    shutil.copytree(PROJECT, copy, ignore=shutil.ignore_patterns("__pycache__"))
    of_venv = ["--python", str(venv / "bin/python")]
    pip(*of_venv, "install", "--quiet", f"{copy}[test]")

    command = [str(venv / "bin/python"), "-m", "pytest", "-q", "-m", "not process"]
    alone = subprocess.run(command, cwd=copy, capture_output=True, text=True)

    assert alone.returncode == 0, alone.stdout[-4_000:]
    assert " passed" in alone.stdout


def test_an_empty_environment_has_the_command_and_it_serves(python, tmp_path):
    venv = tmp_path / "venv"
    run([python, "-m", "venv", "--without-pip", str(venv)])
    copy = tmp_path / "metronome_sandbox"
    left_out = shutil.ignore_patterns("__pycache__", "tests")
    shutil.copytree(PROJECT, copy, ignore=left_out)
    of_venv = ["--python", str(venv / "bin/python")]
    pip(*of_venv, "install", "--quiet", str(copy))

    packages = pip(*of_venv, "freeze")
    assert sorted(line.split("==")[0].split(" @ ")[0] for line in packages.splitlines()) == [
        "metronome-sandbox",
        "waitress",
    ]
    command = [str(venv / "bin/metronome-sandbox")]
    assert run([*command, "--version"]).startswith("metronome-sandbox 0.")
    options = ["--strict", "--now", "2026-03-10T09:00:00Z"]
    with serving(tmp_path / "sandbox.log", *options, command=command) as client:
        told = run([sys.executable, str(STORY), str(client.base_url)])
    assert json.loads(told)["after_recharge"] == 6000
