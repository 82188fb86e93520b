"""The job of notifications."""

from __future__ import annotations

from jobs.job import Job

from . import delivery

JOBS: list[Job] = [delivery.DELIVER]
