"""A checkout works in any folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from . import processes

ROOT = Path(settings.BASE_DIR)
UNLIKE_A_URL = ["c++", "v#1", "a?b", "50%25", "a b", "ä"]


def environment(**more: str) -> dict[str, str]:
    """What a process gets from a shell that has set none of our variables."""
    ours = {"DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE"}
    return {name: value for name, value in os.environ.items() if name not in ours} | {"ENV_FILE": ".env.example"} | more


@pytest.mark.process
@pytest.mark.parametrize("name", UNLIKE_A_URL)
def test_the_database_lies_inside_the_checkout_whatever_its_folder_is_called(tmp_path, name):
    folder = tmp_path / name
    shutil.copytree(ROOT / "vocalis", folder / "vocalis")
    shutil.copy(ROOT / ".env.example", folder)
    code = (
        "from vocalis.settings import DATABASES, MEDIA_ROOT; print(DATABASES['default']['NAME'], MEDIA_ROOT, sep='\\n')"
    )

    run = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment(), capture_output=True, text=True, check=True
    )

    assert run.stdout.splitlines() == [str(folder / "var/vocalis.sqlite3"), str(folder / "var/audio")]


@pytest.mark.parametrize("name", UNLIKE_A_URL)
def test_an_address_made_of_a_path_leads_back_to_it(tmp_path, name):
    import environ

    path = str(tmp_path / name / "x.sqlite3")

    assert environ.Env.db_url_config(processes.sqlite_url(path))["NAME"] == path


def test_an_empty_database_url_means_the_default():
    code = "from vocalis.settings import DATABASES; print(DATABASES['default']['NAME'])"
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment(DATABASE_URL=""), capture_output=True, text=True, check=True
    )

    assert run.stdout.strip() == str(ROOT / "var/vocalis.sqlite3")
