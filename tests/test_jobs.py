"""The jobs of the product: what a worker does, and in which order."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from django.conf import settings

from accounts.jobs import JOBS as ACCOUNTS
from billing.jobs import JOBS as BILLING
from billing.jobs import SYNCHRONISE
from jobs.worker import all_jobs
from mails.jobs import JOBS as MAILS
from notifications.jobs import JOBS as NOTIFICATIONS
from usage.jobs import JOBS as USAGE
from vocalis.jobs import JOBS as VOCALIS


def test_a_worker_runs_the_jobs_of_every_app_in_the_order_of_the_apps():
    assert all_jobs() == [*ACCOUNTS, *MAILS, *NOTIFICATIONS, *BILLING, *USAGE, *VOCALIS]


def test_a_contract_is_synchronised_after_all_else_of_billing():
    assert BILLING[-1] is SYNCHRONISE


def test_no_two_jobs_have_one_name():
    names = [job.name for job in all_jobs()]

    assert len(set(names)) == len(names)


def test_every_job_is_in_operations():
    operations = (Path(settings.BASE_DIR) / "docs/operations.md").read_text()

    assert {job.name for job in all_jobs() if f"`{job.name}`" not in operations} == set()


def test_name_function_and_constant_of_a_job_are_one_name():
    """`grants.start_or_end` is START_OR_END, calls start_or_end; with the noun if there are two."""
    for job in all_jobs():
        perform: Any = job.perform
        noun, _, verb = job.name.partition(".")
        assert re.fullmatch(r"[a-z_]+\.[a-z_]+", job.name)
        assert perform.__name__ in {verb, f"{verb}_{noun}"}, job.name
        assert getattr(sys.modules[perform.__module__], perform.__name__.upper()) is job
