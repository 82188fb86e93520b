"""The job of what touches every app."""

from __future__ import annotations

from jobs.job import Job

from .operations import closing

JOBS: list[Job] = [closing.DELETE]
