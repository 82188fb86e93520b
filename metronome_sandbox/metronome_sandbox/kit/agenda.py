"""What a sandbox will do by itself, the earliest first."""

from datetime import datetime
from heapq import heapify, heappop, heappush

from metronome_sandbox.kit.records import Due
from metronome_sandbox.kit.store import Table


class Agenda:
    """Kept in a table, so that it outlives a restart."""

    def __init__(self, table: Table[Due]) -> None:
        self._table = table
        self._ahead = [(due.at, due.seq, due.id) for due in table]
        heapify(self._ahead)

    def add(self, due: Due) -> None:
        """The same thing at the same time is done once."""
        if due.id not in self._table:
            self._table.put(due)
            heappush(self._ahead, (due.at, due.seq, due.id))

    def take(self, now: datetime) -> Due | None:
        """The earliest thing due by now, which it forgets, or None."""
        while self._ahead and self._ahead[0][0] <= now:
            due = self._table.get(heappop(self._ahead)[2])
            if due is not None:
                self._table.remove(due.id)
                return due
        return None
