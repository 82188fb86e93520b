"""Shares pieces out among speech servers: to the least busy one, then to the one idle for longest.

Pieces wait in order of arrival. A server that fails is left out for a pause that grows with every
failure in a row. After it, one that did not answer is asked for its models, which costs nothing;
the others are given one piece. The first piece that succeeds brings a server back.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from usage.engines import EngineFailed, Status

from .client import Client
from .failures import Broken, Busy, Misconfigured, Refused, ServerFailed, TimedOut, Unreachable

logger = logging.getLogger(__name__)

PAUSES = (1.0, 60.0)  # seconds: the first one, which doubles, and the longest
MISCONFIGURED_SECONDS = 300
REMEMBERED_PIECES = 50  # for the real-time factor


@dataclass(eq=False, slots=True)
class Standing:
    """How a server does. Guarded by the lock of its `Sharing`."""

    client: Client
    outstanding: int = 0
    used_at: float = 0.0  # all times by the monotonic clock
    problem: ServerFailed | None = None  # why it is left out, or on trial after its pause
    failures: int = 0  # in a row
    failed_at: float = 0.0
    out_until: float = 0.0
    is_looked_at: bool = False
    was_found: bool = False  # by the look after its pause
    is_on_trial: bool = False  # a piece given after the failure is with it

    @property
    def must_be_looked_at(self) -> bool:
        return isinstance(self.problem, Unreachable | TimedOut) and not self.was_found

    def has_room(self, now: float) -> bool:
        if self.problem is None:
            return self.outstanding < self.client.server.at_once
        return now >= self.out_until and not self.must_be_looked_at and not self.is_on_trial

    def may_have_room(self, now: float, until: float) -> bool:
        """Whether it is worth waiting for."""
        return (
            self.problem is None
            or self.is_looked_at
            or now >= self.out_until
            or (isinstance(self.problem, Busy) and self.out_until <= until)
        )

    @property
    def is_last_resort(self) -> bool:
        """It answers, if badly. When no other can, it is asked all the same: what it failed at may
        have been one text that no server can speak.
        """
        return isinstance(self.problem, Broken)


@dataclass(eq=False, slots=True)
class _Waiter:
    candidates: Sequence[Standing]
    avoid: Standing | None
    until: float
    given: Standing | None = None


class Sharing:
    def __init__(self, clients: Sequence[Client], *, pauses: tuple[float, float] = PAUSES) -> None:
        self.standings = [Standing(client) for client in clients]
        self._pauses = pauses
        self._changed = threading.Condition()
        self._waiting: deque[_Waiter] = deque()
        self._closed = False
        self._times_out = 0
        self._recent: deque[tuple[float, float]] = deque(maxlen=REMEMBERED_PIECES)

    def take(
        self, candidates: Sequence[Standing], *, avoid: Standing | None, until: float
    ) -> Standing:
        """A server for one piece, until `succeeded`, `refused` or `failed`. Not `avoid`, if another
        one will do.

        Raises EngineFailed if none has room by `until`, and at once if none is to be expected.
        """
        waiter = _Waiter(candidates, avoid, until)
        with self._changed:
            self._waiting.append(waiter)
            try:
                while True:
                    if self._closed:
                        raise EngineFailed("The speech engine is closed.")
                    now = time.monotonic()
                    self._look_at(candidates, now)
                    self._hand_out(now)
                    if waiter.given:
                        return waiter.given
                    if now >= until:
                        raise EngineFailed("The speech servers are busy. Try again in a moment.")
                    if not self._is_hopeful(waiter, now):
                        raise EngineFailed("No speech server answers. Try again in a moment.")
                    self._changed.wait(self._wait_seconds(waiter, now))
            finally:
                if waiter in self._waiting:
                    self._waiting.remove(waiter)

    # `began_at` is when the piece was sent. One sent before the server failed says nothing of how
    # it does since.

    def succeeded(self, standing: Standing, *, began_at: float, audio_seconds: float) -> None:
        with self._changed:
            self._recent.append((time.monotonic() - began_at, audio_seconds))
            self._give_back(standing, began_at, is_well=True)

    def refused(self, standing: Standing, error: Refused, *, began_at: float) -> None:
        """The server is well."""
        name = standing.client.server.name
        logger.warning("The speech server %s refuses a piece: %s", name, error)
        with self._changed:
            self._give_back(standing, began_at, is_well=True)

    def failed(self, standing: Standing, error: ServerFailed, *, began_at: float) -> None:
        """Of several pieces that fail with their server one counts."""
        self.blame(standing, error, began_at=began_at)
        with self._changed:
            self._give_back(standing, began_at)

    def abandoned(self, standing: Standing, *, began_at: float) -> None:
        """The piece ended for a reason that says nothing about the server."""
        with self._changed:
            self._give_back(standing, began_at)

    def blame(self, standing: Standing, error: ServerFailed, *, began_at: float) -> None:
        """For a piece given back before, of which it has come out that the server was to blame."""
        with self._changed:
            if not self._closed and (standing.problem is None or began_at >= standing.failed_at):
                self._leave_out(standing, error)

    def status(self) -> Status:
        with self._changed:
            work = sum(seconds for seconds, _ in self._recent)
            audio = sum(seconds for _, seconds in self._recent)
            return Status(
                alive=sum(each.problem is None for each in self.standings),
                waiting=len(self._waiting),
                restarts=self._times_out,
                real_time_factor=work / audio if audio else None,
                problem="; ".join(
                    f"{each.client.server.name}: {each.problem}"
                    for each in self.standings
                    if each.problem and not isinstance(each.problem, Busy)
                ),
            )

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for each in self.standings:
            each.client.close()

    def _hand_out(self, now: float) -> None:
        for waiter in list(self._waiting):
            if standing := self._pick(waiter, now):
                standing.outstanding += 1
                standing.is_on_trial = standing.problem is not None
                standing.used_at = now
                waiter.given = standing
                self._waiting.remove(waiter)
                self._changed.notify_all()

    def _pick(self, waiter: _Waiter, now: float) -> Standing | None:
        wanted = [each for each in waiter.candidates if each is not waiter.avoid]
        wanted = wanted or list(waiter.candidates)
        free = [each for each in wanted if each.has_room(now)]
        if not free and not any(each.may_have_room(now, waiter.until) for each in wanted):
            free = [
                each
                for each in waiter.candidates
                if each.has_room(now) or (each.is_last_resort and not each.is_on_trial)
            ]
        return min(free, key=lambda each: (each.outstanding, each.used_at), default=None)

    def _is_hopeful(self, waiter: _Waiter, now: float) -> bool:
        return any(
            each.may_have_room(now, waiter.until) or each.is_last_resort
            for each in waiter.candidates
        )

    def _wait_seconds(self, waiter: _Waiter, now: float) -> float:
        ends = [each.out_until for each in waiter.candidates if each.out_until > now]
        return min([waiter.until, *ends]) - now

    def _leave_out(self, standing: Standing, error: ServerFailed) -> None:
        now = time.monotonic()
        standing.failures += 1
        standing.failed_at = now
        standing.was_found = standing.is_on_trial = False
        least, most = self._pauses
        pause = min(most, least * 2.0 ** min(standing.failures - 1, 20))
        if isinstance(error, Misconfigured):
            pause = MISCONFIGURED_SECONDS
        if error.wait_seconds is not None:
            pause = max(error.wait_seconds, least if standing.failures > 1 else 0)
        standing.out_until = now + pause
        self._tell(standing, error)
        if standing.problem is None:
            self._times_out += 1
        standing.problem = error

    def _tell(self, standing: Standing, error: ServerFailed) -> None:
        """In the log, once for all the failures in a row that a person would call the same."""

        def kind(error: ServerFailed | None) -> type:
            own = isinstance(error, Busy | Misconfigured | None)
            return type(error) if own else ServerFailed

        if kind(error) is kind(standing.problem):
            return
        name = standing.client.server.name
        if isinstance(error, Busy):
            logger.info("The speech server %s is busy: %s", name, error)
        else:
            logger.warning("The speech server %s is left out: %s", name, error)

    def _back(self, standing: Standing) -> None:
        if standing.problem:
            logger.info("The speech server %s is back.", standing.client.server.name)
        standing.problem = None
        standing.failures = 0
        standing.out_until = 0

    def _give_back(self, standing: Standing, began_at: float, *, is_well: bool = False) -> None:
        standing.outstanding -= 1
        if began_at >= standing.failed_at:
            standing.is_on_trial = False
            if is_well:
                self._back(standing)
        self._changed.notify_all()

    def _look_at(self, candidates: Sequence[Standing], now: float) -> None:
        """In a thread: nobody whom another server can serve waits for a dead one."""
        for each in candidates:
            if each.must_be_looked_at and now >= each.out_until and not each.is_looked_at:
                each.is_looked_at = True
                threading.Thread(target=self._look, args=[each], daemon=True).start()

    def _look(self, standing: Standing) -> None:
        error: ServerFailed | None = None
        try:
            standing.client.look()
        except ServerFailed as failed:
            error = failed
        with self._changed:
            standing.is_looked_at = False
            if error is None:
                standing.was_found = True
            elif not self._closed:
                self._leave_out(standing, error)
            self._changed.notify_all()
