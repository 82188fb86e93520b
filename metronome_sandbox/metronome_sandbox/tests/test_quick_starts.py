"""What the README shows runs as it stands there."""

import os
import re
import sys
from pathlib import Path

import pytest

from .served import node, npm_installed, run, serving  # noqa: F401

README = (Path(__file__).parents[2] / "README.md").read_text()
pytestmark = pytest.mark.process


@pytest.fixture
def address(tmp_path):
    with serving(tmp_path / "sandbox.log", "--strict") as client:
        yield str(client.base_url)


def shown(title: str) -> str:
    """The first program under a heading."""
    return re.search(r"```\w+\n(.*?)```", README.partition(f"\n{title}\n")[2], re.DOTALL)[1]


def program(title: str, address: str, path: Path) -> tuple[Path, str]:
    """The program in a file, and what the README says that it prints."""
    code = shown(title)
    assert code.count("http://localhost:8100") == 1
    path.write_text(code.replace("http://localhost:8100", address))
    return path, re.split("# |// ", code.strip())[-1] + "\n"


def test_python(address, tmp_path):
    script, expected = program("### Python", address, tmp_path / "example.py")

    assert run([sys.executable, str(script)]) == expected == "4500.0\n"


def test_curl(address, tmp_path):
    script, expected = program("### curl", address, tmp_path / "example.sh")

    assert run(["bash", "-eo", "pipefail", str(script)]) == expected == '"balance":4500\n'


@pytest.mark.timeout(400)
def test_typescript(address, npm_installed):  # noqa: F811
    script, expected = program("### TypeScript", address, npm_installed / "example.mts")

    assert node(script) == expected == "4500\n"


def test_the_fixture_for_pytest(tmp_path):
    (tmp_path / "test_example.py").write_text(shown("## In your tests"))
    kept = {name: os.environ.get(name, "") for name in ("PATH", "PYTHONPATH")}

    assert "1 passed" in run([sys.executable, "-m", "pytest", "-q"], cwd=tmp_path, env=kept)
