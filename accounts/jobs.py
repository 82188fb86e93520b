"""The jobs of accounts, in the order of a worker pass."""

from __future__ import annotations

from jobs.job import Job

from . import password_reset

JOBS: list[Job] = [password_reset.WRITE]
