"""That what tests have planned once a connection stays planned."""

from __future__ import annotations

import pytest
from django.db import connection, transaction

from jobs.worker import Worker

from . import prepared


@pytest.mark.django_db
@pytest.mark.skipif(connection.vendor != "postgresql", reason="prepared on PostgreSQL only")
def test_a_savepoint_that_is_gone_back_to_takes_no_statement_with_it():
    worker = Worker([])

    def ask_both():
        assert worker.run_pass() == 0
        assert prepared.ask("SELECT %s + 1", (1,)) == (2,)
        with connection.cursor() as cursor:
            cursor.execute("SELECT name, generic_plans + custom_plans FROM pg_prepared_statements")
            return dict(cursor.fetchall())

    before = ask_both()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        ask_both()
        1 / 0  # noqa: B018 - the block is left with an error
    after = ask_both()

    assert set(after) == set(before)
    assert sum(times > before[name] for name, times in after.items()) == 2
