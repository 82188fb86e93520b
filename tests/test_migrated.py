"""That the tests' database is the one which today's migrations make."""

from __future__ import annotations

import sqlite3

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from . import migrated


@pytest.fixture
def app(tmp_path):
    folder = tmp_path / "shop"
    (folder / "migrations").mkdir(parents=True)
    (folder / "migrations/0001_initial.py").write_text("one")
    return folder


def test_another_migration_makes_another_database(app):
    before = migrated.made_of([app])
    assert migrated.made_of([app]) == before

    (app / "migrations/0001_initial.py").write_text("one, regenerated in place")
    regenerated = migrated.made_of([app])
    (app / "migrations/0002_more.py").write_text("two")

    assert len({before, regenerated, migrated.made_of([app])}) == 3


def test_so_does_another_django(app, monkeypatch):
    before = migrated.made_of([app])
    monkeypatch.setattr("django.get_version", lambda: "5.2.0")

    assert migrated.made_of([app]) != before


def test_a_copy_has_every_table_and_no_row(tmp_path):
    path = tmp_path / "copy.sqlite3"
    migrated.copy_sqlite(path)

    rows = sqlite3.connect(path)
    for model in apps.get_models():
        table = model._meta.db_table
        [count] = rows.execute(f"SELECT COUNT(*) FROM {table}").fetchone()
        filled = table in ("django_content_type", "auth_permission")
        assert (count > 0) is filled, table
    rows.close()


@pytest.mark.django_db
def test_nothing_is_left_to_migrate_or_to_make_a_migration_of():
    executor = MigrationExecutor(connection)
    assert executor.migration_plan(executor.loader.graph.leaf_nodes()) == []
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
