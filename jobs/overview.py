"""What operators ask of the queue: which workers live, and which rows need a person."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any

from django.db.models import QuerySet

from .exists import Exist, composed
from .models import Heartbeat, JobRow, job_models
from .worker import HEARTBEAT_STALE_SECONDS, queues


def alive(now: datetime) -> bool:
    """Whether any worker has beaten lately."""
    return _living(now).exists()


def unserved_queues(now: datetime) -> list[str]:
    """The queues that no living worker serves: what is due there waits."""
    served = {name for names in _living(now).values_list("queues", flat=True) for name in names}
    return [name for name in queues() if name not in served]


def _living(now: datetime) -> QuerySet[Heartbeat]:
    """A beat of the future says nothing, unless clocks differ a little."""
    stale = timedelta(seconds=HEARTBEAT_STALE_SECONDS)
    return Heartbeat.objects.filter(beat_at__gt=now - stale, beat_at__lt=now + stale)


def dead_rows() -> dict[type[JobRow], int]:
    """How many rows need a person, by kind; kinds without one are left out."""
    are_there = zip(job_models(), _dead_exist()(datetime.now(UTC)), strict=True)
    return {
        model: model._default_manager.dead().count() for model, is_there in are_there if is_there
    }


@cache
def _dead_exist() -> Exist:
    return Exist(*(composed(partial(_dead, model)) for model in job_models()))


def _dead(model: type[JobRow], now: datetime) -> QuerySet[Any]:
    return model._default_manager.dead()
