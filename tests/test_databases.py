"""Which tests need a database, and that the others cannot know which one there is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.test import TestCase

from accounts.models import User

from . import databases, processes

REFUSED = pytest.fail.Exception


def is_marked(request) -> bool:
    return request.node.get_closest_marker("database") is not None


def test_a_test_that_asks_for_nothing_is_not_marked_and_knows_nothing(request, django_db_blocker):
    assert not is_marked(request)
    assert not set(databases.VARIABLES) & set(os.environ)
    for name in databases.SETTINGS:
        with pytest.raises(REFUSED, match=f"uses settings.{name}, which"):
            getattr(django_settings, name)
    with pytest.raises(REFUSED, match="uses connection.*database_known"):
        processes.own_database_url()
    with pytest.raises(REFUSED, match="uses the database"):
        django_db_blocker.unblock()
    with pytest.raises(REFUSED, match="database_known"):
        User.objects.exists()
    with pytest.raises(RuntimeError, match="Database access not allowed"):
        connection.cursor()


@pytest.mark.process
def test_a_fixture_of_the_database_that_is_asked_for_on_the_way_is_refused():
    alone = Path(__file__).with_name("asked_on_the_way.py")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", alone], capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0 and "1 passed" in run.stdout, run.stdout


def test_a_fixture_of_the_database_marks_a_test(request, alice):
    assert is_marked(request)
    assert processes.own_database_url()


@pytest.mark.django_db(transaction=True)
def test_so_does_the_mark_of_pytest_django(request):
    assert is_marked(request)


@pytest.mark.any_database
def test_one_that_asks_what_no_database_answers_differently_is_not_marked(request, alice):
    assert not is_marked(request)
    assert User.objects.exists()


class TestOfDjango(TestCase):
    def test_so_does_its_class(self):
        assert not User.objects.exists()


@pytest.mark.skipif(False, reason="")
def test_so_does_a_condition_which_may_be_of_the_database(request):
    assert is_marked(request)


def test_so_does_asking_what_the_database_is(request, database_known):
    assert is_marked(request)
    assert processes.own_database_url()
    for name in databases.SETTINGS:
        getattr(django_settings, name)


@pytest.mark.parametrize(
    ("line", "name", "is_told"),
    [
        ("if os.environ.get('TEST_{}'):", "DATABASE_URL", True),
        ("if os.environ.get('TEST_{}'):", "REDIS_URL", True),
        ("is_sqlite = connection.{} == 'sqlite'", "vendor", True),
        ("if settings.{}:", databases.SETTINGS[0], True),
        ("if settings.{}:", "DEBUG", False),
    ],
)
def test_so_does_a_module_that_names_what_tells_it(tmp_path, line, name, is_told):
    """Here in two parts, or this module would name it too."""
    module = tmp_path / "test_it.py"
    module.write_text(line.format(name))

    assert databases.names_database(module) is is_told
