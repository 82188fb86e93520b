"""The jobs of the product: what a worker does, and in which order."""

from __future__ import annotations

from accounts.jobs import JOBS as ACCOUNTS
from billing.jobs import JOBS as BILLING
from billing.jobs import SYNC
from jobs.worker import all_jobs
from usage.jobs import JOBS as USAGE


def test_a_worker_runs_the_jobs_of_every_app_in_the_order_of_the_apps():
    assert all_jobs() == [*ACCOUNTS, *BILLING, *USAGE]


def test_a_contract_is_synchronised_after_all_else_of_billing():
    assert BILLING[-1] is SYNC


def test_no_two_jobs_have_one_name():
    names = [job.name for job in all_jobs()]

    assert len(set(names)) == len(names)
