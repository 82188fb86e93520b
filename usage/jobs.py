"""The jobs of usage, in the order of a worker pass.

The schedule, which says what is done hourly and daily, is in `usage/metering/schedule.py`.
"""

from __future__ import annotations

from jobs.job import Job

from .metering import reconciliation, reporter
from .speech import abandoned, copies, expiry, long, renewal

JOBS: list[Job] = [
    reporter.REPORT,
    renewal.RENEW,
    abandoned.GIVE_UP_GENERATIONS,
    abandoned.GIVE_UP_VOICES,
    abandoned.GIVE_UP_MATCHES,
    abandoned.FORGET_MATCHES,
    reconciliation.RECONCILE,
    reconciliation.RECHECK,
    long.SPEAK,
    copies.DELETE_COPIES,
    expiry.EXPIRE,
    expiry.LENGTHEN,
    expiry.GIVE_UP_AUDIO,
]
