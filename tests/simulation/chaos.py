"""How the simulated world misbehaves, all of it drawn from one seeded random generator.

A process dies by raising `Died`, a BaseException no code of ours catches: before any SQL statement, right after any
commit, and before or after any call to Metronome or to the payment gateway.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from django.db import connection

DIE_BEFORE_STATEMENT = 0.004
DIE_AFTER_COMMIT = 0.03
DIE_AT_CALL = 0.03
CALL_FAILS = 0.10


class Died(BaseException):
    """The process is gone. What it had committed stays; what it was about to do never happens."""


class Chaos:
    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.calm = False  # no failures at all any more
        self.deaths = 0
        self._mortal = False

    @contextmanager
    def process(self) -> Iterator[None]:
        """Run as a process that may die at any of the points; its death ends the block quietly."""
        self._mortal = not self.calm
        try:
            with connection.execute_wrapper(self._before_statement):
                yield
        except Died:
            self.deaths += 1
            assert not connection.in_atomic_block, "a dead process holds no transaction"
        finally:
            self._mortal = False

    def may_die(self, chance: float) -> None:
        if self._mortal and self.dice.random() < chance:
            self._mortal = False  # the unwinding of a dead process executes nothing of its own will
            raise Died

    def _before_statement(self, execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if not sql.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK")):
            self.may_die(DIE_BEFORE_STATEMENT)
        return execute(sql, *rest)

    @contextmanager
    def commits_kill(self) -> Iterator[None]:
        """Inside, a process may die with a commit done and nothing after it."""
        commit = connection.commit

        def commit_and_perhaps_die() -> None:
            commit()
            self.may_die(DIE_AFTER_COMMIT)

        connection.commit = commit_and_perhaps_die  # type: ignore[method-assign]
        try:
            yield
        finally:
            del connection.commit  # back to the method of the class


class UnreliableNetwork(httpx.BaseTransport):
    """The way to Metronome: answers get lost before or after the effect, and sometimes the caller dies on it."""

    def __init__(self, inner: httpx.BaseTransport, chaos: Chaos) -> None:
        self.inner, self.chaos = inner, chaos

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        chaos = self.chaos
        chaos.may_die(DIE_AT_CALL)
        trouble = "" if chaos.calm or chaos.dice.random() > CALL_FAILS else chaos.dice.choice(TROUBLES)
        if trouble == "refused":
            raise httpx.ConnectError("connection refused", request=request)
        if trouble in ("429", "500"):
            return httpx.Response(int(trouble), json={"message": "not now"}, request=request)
        response = self.inner.handle_request(request)
        chaos.may_die(DIE_AT_CALL)
        if trouble == "lost":
            raise httpx.ReadTimeout("no answer in time", request=request)
        return response


TROUBLES = ("refused", "429", "500", "lost", "lost")
