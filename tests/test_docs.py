"""Documents that can be wrong are checked: names of variables, commands, files and checks."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.core.management import get_commands

from tests.test_architecture import LAYERS

ROOT = Path(settings.BASE_DIR)
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "metronome_sandbox").glob("*.md")),
    ROOT / "billing/README.md",
]
OPERATIONS = (ROOT / "docs/operations.md").read_text()


def names_read_by_settings() -> set[str]:
    source = (ROOT / "vocalis/settings.py").read_text()
    return set(re.findall(r"""env(?:\.\w+)?\(\s*["']([A-Z_]+)["']""", source))


def test_every_variable_is_explained_in_the_example_and_in_operations():
    example = (ROOT / ".env.example").read_text()
    explained = set(re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE))

    assert len(names_read_by_settings()) > 20
    assert names_read_by_settings() - explained == set()
    assert {name for name in names_read_by_settings() if f"`{name}`" not in OPERATIONS} == set()


def test_the_example_explains_nothing_that_nobody_reads():
    example = (ROOT / ".env.example").read_text()
    others = (ROOT / "Procfile").read_text()
    unread = {
        name
        for name in re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE)
        if name not in names_read_by_settings() and name not in others
    }

    assert unread == set()


def test_every_command_is_in_operations():
    ours = {name for name, app in get_commands().items() if app in LAYERS}

    assert {"run_worker", "bootstrap_metronome", "run_all"} <= ours
    assert {name for name in ours if f"`{name}`" not in OPERATIONS} == set()


def test_every_system_check_is_counted_in_operations():
    ids = re.findall(r"vocalis\.(E\d+)", (ROOT / "vocalis/checks.py").read_text())

    assert f"`vocalis.{min(ids)}` to `{max(ids)}`" in OPERATIONS


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_documents_name_no_missing_file(document):
    text = document.read_text()
    links = {
        link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link
    }
    paths = set(re.findall(r"`((?:[\w.-]+/)+[\w.-]*\.(?:py|md|html|js|css|toml|txt))`", text))

    missing = {link for link in links if link and not (document.parent / link).exists()}
    missing |= {
        path
        for path in paths
        if not any((base / path).exists() for base in (ROOT, document.parent))
    }
    assert missing == set()


def test_every_target_of_make_that_documents_name_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        target
        for document in DOCUMENTS
        for code in re.findall(
            r"`make ([a-z-]+)|^make ([a-z-]+)", document.read_text(), re.MULTILINE
        )
        for target in code
        if target
    }

    assert named - targets == set()


def test_every_place_that_names_the_pythons_names_those_of_pyproject():
    first, end = map(
        int, re.findall(r">=3\.(\d+),<3\.(\d+)", (ROOT / "pyproject.toml").read_text())[0]
    )
    *others, last = (f"3.{minor}" for minor in range(first, end))
    for name in ("Makefile", "README.md", ".ci/run"):
        assert f"Python {', '.join(others)} or {last}" in (ROOT / name).read_text(), name


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ((3, 10, 13), 1),
        ((3, 11, 0), 0),
        ((3, 12, 1), 0),
        ((3, 13, 0), 0),
        ((3, 14, 0), 1),
        ((2, 7, 18), 1),
    ],
)
def test_make_takes_the_pythons_of_pyproject_and_no_other(version, expected):
    (condition,) = re.findall(r"sys\.exit\((.+)\)'", (ROOT / "Makefile").read_text())

    assert int(eval(condition, {"sys": SimpleNamespace(version_info=version)})) == expected


def test_the_table_of_health_checks_in_operations_is_whole():
    from billing.metronome import catalogue

    source = "".join(path.read_text() for path in (ROOT / "vocalis/health").glob("*.py"))
    named = r'(?:Check|_open_ones)\(\s*f?"([a-z, -]+?)(?:"| \{)'
    names = set(re.findall(named, source)) | set(catalogue.CHECKS)
    table = OPERATIONS.partition("\n| check | warn | error |\n")[2].partition("\n\n")[0]
    cells = {row.split("|")[1].strip() for row in table.splitlines()[1:]}
    listed = {name for cell in cells for name in ([cell] if cell in names else cell.split(", "))}

    assert listed == names - {"database"}
