"""How the simulated world misbehaves, all of it drawn from one seeded random generator.

A process dies by raising `Died`, a BaseException no code of ours catches, and executes nothing
more: before any SQL statement, right after any commit, before or after any call to Metronome or
to Stripe, and while it speaks. Between two of its transactions, and while it waits for an
answer, it may stand still while others go on.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
from django.db import connection

from usage.engines import EngineFailed, Spoken
from usage.text.pieces import Piece

DIE_BEFORE_STATEMENT = 0.004
DIE_AFTER_COMMIT = 0.03
DIE_AT_CALL = 0.03
CALL_FAILS = 0.10
OTHERS_AT_STATEMENT = 0.01
OTHERS_AT_CALL = 0.04
OTHERS_AT_SPEECH = 0.15
WHERE_LENGTH = 100  # of a statement in the story

T = TypeVar("T")


class Died(BaseException):
    """The process is gone. What it had committed stays; what it was about to do never happens."""


@dataclass
class Process:
    mortal: bool
    dead: bool = False


class Chaos:
    def __init__(
        self, dice: random.Random, others: Callable[[], None], note: Callable[[str], None]
    ) -> None:
        self.dice, self.others, self.note = dice, others, note
        self.calm = False  # no failures at all any more
        self.is_metronome_down = False
        self.deaths = 0
        self._overtaking: tuple[str, Callable[[], None]] | None = None
        # The last one runs, the one before it stands still meanwhile.
        self._processes: list[Process] = []

    @contextmanager
    def process(self) -> Iterator[None]:
        """Run as a process that may die or be overtaken at any of the points; its death ends the
        block quietly."""
        watch = (
            nullcontext() if self._processes else connection.execute_wrapper(self._before_statement)
        )
        self._processes.append(Process(mortal=not self.calm))
        try:
            with watch:
                yield
        except Died:
            self.deaths += 1
            assert not connection.in_atomic_block, "a dead process holds no transaction"
        finally:
            self._processes.pop()

    @contextmanager
    def elsewhere(self) -> Iterator[None]:
        """Inside, another company's machine is at work, or a moment that is one: nothing of ours
        dies or goes on."""
        self._processes.append(Process(mortal=False))
        try:
            yield
        finally:
            self._processes.pop()

    @contextmanager
    def at_peace(self) -> Iterator[None]:
        """Inside, nothing goes wrong."""
        calm, self.calm = self.calm, True
        try:
            yield
        finally:
            self.calm = calm

    def may_die(self, chance: float, where: str) -> None:
        process = self._processes[-1] if self._processes else Process(mortal=False)
        if not process.dead and process.mortal and self.dice.random() < chance:
            self.note(f"  dies {where[:WHERE_LENGTH]}")
            process.dead = True
        if process.dead:
            raise Died  # again, from whatever its `finally` clauses still try

    def others_may_act(self, chance: float, where: str) -> None:
        """Let one other process do something now, if this one is in no transaction."""
        if len(self._processes) != 1 or not self._processes[0].mortal or connection.in_atomic_block:
            return
        if self._overtaking and where.startswith(self._overtaking[0]):
            act, self._overtaking = self._overtaking[1], None
            act()
        elif self.dice.random() < chance:
            self.note(f"  {where[:WHERE_LENGTH]}, meanwhile:")
            self.others()

    def may_end(self, where: str) -> None:
        """A call has had its effect: others may act before its answer is read, or nobody is left to
        read it."""
        self.others_may_act(OTHERS_AT_CALL, where)
        self.may_die(DIE_AT_CALL, where)

    @contextmanager
    def overtaken(self, where: str, act: Callable[[], None]) -> Iterator[None]:
        """Inside, another process does `act` when this one first comes to `where`."""
        self._overtaking = where, act
        try:
            yield
        finally:
            self._overtaking = None

    def _before_statement(self, execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if not sql.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK")):
            where = f"before {sql.lstrip()}"
            self.may_die(DIE_BEFORE_STATEMENT, where)
            self.others_may_act(OTHERS_AT_STATEMENT, where)
        return execute(sql, *rest)

    @contextmanager
    def commits_kill(self) -> Iterator[None]:
        """Inside, a process may die with a commit done and nothing after it."""
        commit = connection.commit

        def commit_and_perhaps_die() -> None:
            commit()
            self.may_die(DIE_AFTER_COMMIT, "after a commit")

        connection.commit = commit_and_perhaps_die  # type: ignore[method-assign]
        try:
            yield
        finally:
            del connection.commit  # back to the method of the class

    def call(
        self,
        what: str,
        effect: Callable[[], T],
        troubles: dict[str, Callable[[], T]],
        chance: float = CALL_FAILS,
    ) -> T:
        """Call the outside world. A trouble named "lost …" comes after the effect, any other
        instead of it."""
        assert not connection.in_atomic_block, f"a call inside a transaction: {what}"
        self.may_die(DIE_AT_CALL, f"before {what}")
        self.others_may_act(OTHERS_AT_CALL, f"before {what}")
        trouble = (
            "" if self.calm or self.dice.random() > chance else self.dice.choice(list(troubles))
        )
        if trouble:
            self.note(f"  {trouble}: {what}")
        if not trouble or trouble.startswith("lost"):
            with self.elsewhere():
                answer = effect()
            self.may_end(f"after {what}")
        return troubles[trouble]() if trouble else answer


class UnreliableNetwork(httpx.BaseTransport):
    """The way to Metronome."""

    def __init__(self, inner: httpx.BaseTransport, chaos: Chaos) -> None:
        self.inner, self.chaos = inner, chaos

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        def fail(error: type[httpx.TransportError]) -> Callable[[], httpx.Response]:
            def raises() -> httpx.Response:
                raise error("no answer", request=request)

            return raises

        def answer(status: int) -> Callable[[], httpx.Response]:
            return lambda: httpx.Response(status, json={"message": "not now"}, request=request)

        troubles = {
            "refused": fail(httpx.ConnectError),
            "timed out before": fail(httpx.ReadTimeout),
            "429": answer(429),
            "500": answer(500),
            "lost by a time-out": fail(httpx.ReadTimeout),
            "lost by a 500": answer(500),
        }
        chance = CALL_FAILS
        if self.chaos.is_metronome_down:
            del troubles["lost by a time-out"], troubles["lost by a 500"]
            chance = 1
        return self.chaos.call(
            request.url.path, lambda: self.inner.handle_request(request), troubles, chance
        )


UNSPEAKABLE = "z"  # what a passage begins with that no engine can speak


class QuickEngine:
    """A third engine: instant silence, or a failure when the dice say so. Speech itself is tested
    elsewhere."""

    def __init__(self, chaos: Chaos) -> None:
        self.chaos = chaos

    sample_rate = 24_000
    scripts = None
    characters_max = first_characters_max = 5_000
    characters_a_second: int | None = None

    def speak(
        self, pieces: Sequence[Piece], *, settings: Any, speed: float = 1, piece_seconds: float = 20
    ) -> Iterator[Spoken]:
        for piece in pieces:
            yield self._speak(piece)

    def _speak(self, piece: Piece) -> Spoken:
        self.chaos.may_die(DIE_AT_CALL, "while it speaks")
        self.chaos.others_may_act(OTHERS_AT_SPEECH, "while it speaks")
        if piece.spoken.startswith(UNSPEAKABLE):
            raise EngineFailed("the engine crashed again", permanent=True)
        if not self.chaos.calm and self.chaos.dice.random() < 0.05:
            raise EngineFailed("the engine had a bad day")
        return Spoken(piece, bytes(480), tuple((0.0, 0.01) for _ in piece.words))


class SlowEngine(QuickEngine):
    """The same, in pieces, and so slow that a worker speaks what is longer than 900 characters."""

    characters_max = first_characters_max = 600
    characters_a_second = 30
