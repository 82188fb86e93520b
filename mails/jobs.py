"""The job of mails."""

from __future__ import annotations

from jobs.job import Job

from . import sending

JOBS: list[Job] = [sending.SEND]
