"""Which tests need the database. The others are the same on every one, and CI runs them on one.

A test needs it if it asks for it by a fixture or a mark. It then gets the mark `database`, by which
`-m database` selects. Every other test is kept from noticing which database and which Redis there
are: pytest-django lets it open no connection, and whatever else would tell fails it, on every
database. One that opens none but has to know asks for the fixture `database_known`.

A test that reads rows, but asks what no database can answer differently, has the mark
`any_database`: it is not marked `database`, and CI runs it on one. Its queries must be asked by
another test that is, and beside the mark stands why it cannot differ.

What is decided before a test runs may depend on the database too. So all tests of a module that
names what tells it need the database, and so does every test with the mark `skipif`. One that is
skipped where a program is missing does that in a fixture.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connections
from django.test import TransactionTestCase

VARIABLES = ("DATABASE_URL", "REDIS_URL", "TEST_DATABASE_URL", "TEST_REDIS_URL")
SETTINGS = ("DATABASES", "REDIS_URL", "CHANNEL_LAYERS")
TELLING = re.compile(
    rf"TEST_DATABASE_URL|TEST_REDIS_URL|\.vendor\b|settings\.({'|'.join(SETTINGS)})"
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if needs_database(item):
            item.add_marker("database")


def needs_database(item: pytest.Item) -> bool:
    marks = {mark.name for mark in item.iter_markers()}
    return "any_database" not in marks and bool(
        {"django_db_setup", "database_known"} & set(item.fixturenames)
        or {"django_db", "skipif"} & marks
        or issubclass(getattr(item, "cls", None) or object, TransactionTestCase)
        or names_database(item.path)
    )


@cache
def names_database(module: Path) -> bool:
    return bool(TELLING.search(module.read_text()))


@pytest.fixture
def database_known() -> None:
    """For tests that open no connection, and read which database or which Redis there is."""


@pytest.fixture(autouse=True)
def database_unknown(request, monkeypatch, django_db_blocker) -> None:
    """Keeps what they run on from tests without the mark `database`."""
    if any(map(request.node.get_closest_marker, ("database", "any_database"))):
        return
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name in SETTINGS:
        monkeypatch.setattr(LazySettings, name, refusing(f"settings.{name}"), raising=False)
    monkeypatch.setattr(type(connections["default"]), "vendor", refusing("connection.vendor"))
    monkeypatch.setattr(django_db_blocker, "unblock", lambda: refuse("the database"))


def refusing(what: str) -> property:
    return property(lambda owner: refuse(what))


def refuse(what: str) -> Any:
    pytest.fail(
        f"This test uses {what}, which is not the same in every run, so it must run on each "
        "database: ask for the fixture `db`, or for `database_known` if it opens no connection."
    )
