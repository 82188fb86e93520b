"""A database with every table and no row, migrated once and copied from then on.

Migrating takes seven seconds of processor time, and each worker of each run, and each run of one
test, would do it. The copy's original is kept from run to run: on SQLite as a file in `var/`, on
PostgreSQL as a database beside the tests' own. Its name says what it was made of, so that it is
made anew, and the old one removed, once a migration or Django is another.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, urlsplit

import django
from django.apps import apps
from django.db import connection

from vocalis.settings import VAR_DIR

NAME = "test-migrated-"
LOCK = 0x766F63  # any number that every run takes


def made_of(folders: Iterable[str | Path] | None = None) -> str:
    """A short hash of what decides how a migrated database looks: the migrations in the folders of
    these apps (default: all that are installed), and Django, which carries them out."""
    digest = hashlib.sha256(django.get_version().encode())
    for folder in folders if folders is not None else [app.path for app in apps.get_app_configs()]:
        for path in sorted(Path(folder).glob("migrations/*.py")):
            digest.update(f"\n{Path(folder).name}/{path.name}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def copy_sqlite(target: str | Path) -> None:
    """Write a migrated database of SQLite to this file."""
    path = VAR_DIR / f"{NAME}{made_of()}.sqlite3"
    with (VAR_DIR / f"{NAME}lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other workers wait for the first
        if not path.exists():
            for old in VAR_DIR.glob(f"{NAME}*.sqlite3*"):
                old.unlink()
            unfinished = path.with_suffix(".sqlite3-unfinished")
            _migrate(f"sqlite:///{quote(str(unfinished))}")
            unfinished.rename(path)
        shutil.copy(path, target)


def postgresql_template() -> str:
    """The name of a migrated database on the server of TEST_DATABASE_URL, which has no rows."""
    url = urlsplit(os.environ["TEST_DATABASE_URL"])
    prefix = f"test_{url.path.strip('/')}_migrated_"
    name, unfinished = prefix + made_of(), f"{prefix}unfinished"
    quoted = connection.ops.quote_name
    with connection._nodb_cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])  # until this connection closes
        cursor.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [prefix])
        found = [found for (found,) in cursor]
        if name not in found:
            for old in found:
                cursor.execute(f"DROP DATABASE {quoted(old)}")
            cursor.execute(f"CREATE DATABASE {quoted(unfinished)}")
            _migrate(url._replace(path=f"/{unfinished}").geturl())
            cursor.execute(f"ALTER DATABASE {quoted(unfinished)} RENAME TO {quoted(name)}")
    return name


def _migrate(database_url: str) -> None:
    from . import processes  # with much that most tests do without

    env = processes.settings_env(database_url=database_url, metronome_url=processes.NOBODY)
    migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(migrate, env=env, check=True)
