"""One test that `test_databases` runs in a process of its own: pytest keeps what a fixture of the
session raised, and would raise it for every later test of this process that uses the database."""

from __future__ import annotations

import pytest

from .test_databases import REFUSED


def test_a_fixture_of_the_database_that_is_asked_for_on_the_way_is_refused(request):
    """The first of a process is refused what the database is made from."""
    with pytest.raises(REFUSED, match="which is not the same in every run"):
        request.getfixturevalue("db")
