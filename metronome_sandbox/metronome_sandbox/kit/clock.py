"""A sandbox's time: everything in it that depends on time asks this clock."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any


class Clock:
    """Real time plus an offset, or, given a start, a virtual clock that stands until moved."""

    def __init__(self, now: datetime | None = None) -> None:
        if now is not None and now.tzinfo is None:
            raise ValueError("the clock needs an aware datetime")
        self._began_at = now
        self._lock = threading.Lock()
        self._begin(now)

    def _begin(self, now: datetime | None) -> None:
        self.virtual = now is not None
        self._frozen = (now or datetime.now(UTC)).astimezone(UTC)
        self._offset = timedelta()

    def now(self) -> datetime:
        with self._lock:
            return self._frozen if self.virtual else datetime.now(UTC) + self._offset

    def wall(self) -> datetime:
        """When a request really leaves.

        A receiver in another process judges freshness by its own clock, so the offset of a moved
        real clock must not show in the date of a delivery."""
        return self.now() if self.virtual else datetime.now(UTC)

    def advance(self, by: timedelta | None = None, *, seconds: float = 0) -> datetime:
        step = (by or timedelta()) + timedelta(seconds=seconds)
        if step < timedelta():
            raise ValueError("time only moves forward")
        with self._lock:
            if self.virtual:
                self._frozen += step
            else:
                self._offset += step
        return self.now()

    def move_to(self, moment: datetime) -> datetime:
        """Raises ValueError for a moment already past."""
        return self.advance(moment.astimezone(UTC) - self.now())

    def reset(self, now: datetime | None = None) -> None:
        """Back to where it began, or to a moment, at which it then stands."""
        with self._lock:
            self._begin(now or self._began_at)

    @property
    def offset(self) -> timedelta:
        return self._offset

    def kept(self) -> dict[str, Any]:
        """What a store keeps of it."""
        offset = str(self._offset.total_seconds())
        return {"now": self.now(), "offset": offset, "stands": self.virtual}

    def restore(self, kept: dict[str, Any]) -> None:
        """Continue where a stored sandbox stopped:
        its offset, or its virtual moment if that is later."""
        with self._lock:
            if kept.get("stands") and not self.virtual:
                self.virtual, self._frozen = True, kept["now"]
            elif self.virtual:
                self._frozen = max(self._frozen, kept["now"])
            else:
                self._offset = timedelta(seconds=float(kept["offset"]))
