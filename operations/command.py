"""What the operations commands share: things looked at one by one, and a way to see how far it is.

A command yields one `Outcome` for each thing. It may be interrupted after any of them and be run
again: what is done is passed over or done to no effect. Exit code 0 means that nothing is left to
do, 1 that something is (with --dry-run: would be), 130 that it was interrupted: by Ctrl-C, by
SIGTERM, or by a reader that went away (`| head`).
"""

from __future__ import annotations

import os
import re
import signal
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, TypeVar

from django.core.management.base import BaseCommand, CommandError, OutputWrapper
from django.db.models import QuerySet
from django.utils import timezone

from jobs.errors import Rejected, Snooze, Unavailable
from jobs.models import JobRow
from jobs.overview import alive
from jobs.walk import CHUNK, walk

J = TypeVar("J", bound=JobRow)

# Waits before an unavailable other side ends the run.
PATIENCE_SECONDS: tuple[float, ...] = (1, 5, 20)
LINE_SECONDS = 10  # between lines of progress in a pipe
BAR_SECONDS = 0.1
BAR_CHARACTERS = 30
REASON_LETTERS = 3
UNITS = {"m": "minutes", "h": "hours", "d": "days"}
MOMENTS = "2026-01-31T10:00 (UTC) nor an age like 30m, 36h or 34d"


class Refused(Exception):
    """The command cannot do what it was asked for, and has changed nothing. The text says why."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one thing.

    `word` is counted in the summary; `detail` makes it a line of its own."""

    subject: object
    word: str
    detail: str = ""
    is_open: bool = False  # something is left to do about it: exit code 1
    is_part: bool = False  # of the thing before it: no step of progress


class Operation(BaseCommand):
    """A command that is a series of outcomes."""

    # Words of outcomes after which a worker does the rest.
    leaves_work: ClassVar[frozenset[str]] = frozenset()
    progress: Progress

    def outcomes(self, *args: Any, **options: Any) -> Iterable[Outcome]:
        """The work. `options` are the command's, and `now`."""
        raise NotImplementedError

    def total(self, *args: Any, **options: Any) -> int | None:
        """How many outcomes there will be, if that is known beforehand.

        `outcomes` may find out and set `progress.total`."""
        return None

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--dry-run", action="store_true", help="change nothing; say what would be done"
        )

    def run_from_argv(self, argv: list[str]) -> None:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        super().run_from_argv(argv)

    def handle(self, *args: Any, **options: Any) -> None:
        tally: Counter[str] = Counter()
        still_open = 0
        last: object = None
        progress = self.progress = Progress(self.stderr)
        try:
            progress.total = self.total(**options)
            for outcome in self.outcomes(now=timezone.now(), **options):
                tally[outcome.word] += 1
                still_open += outcome.is_open
                last = outcome.subject
                if outcome.detail or options["verbosity"] > 1:
                    progress.clear()
                    self._say(f"{outcome.subject}: {outcome.word} {outcome.detail}".rstrip())
                progress.step(0 if outcome.is_part else 1)
            self._close(progress, tally, dry_run=options["dry_run"])
        except (KeyboardInterrupt, BrokenPipeError) as error:
            if isinstance(error, BrokenPipeError):
                # Or the flush at exit fails again.
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.stdout.fileno())
            self._close(progress, tally, dry_run=options["dry_run"], empty="nothing done")
            raise CommandError(
                f"Interrupted {where(last)}. Run it again to go on.", returncode=130
            ) from None
        except Refused as error:
            progress.clear()
            raise CommandError(str(error)) from error
        except (Unavailable, Rejected) as error:
            self._close(progress, tally, dry_run=options["dry_run"], empty="nothing done")
            raise CommandError(f"Stopped {where(last)}: {error}. Run it again to go on.") from error
        if still_open:
            raise CommandError(f"Left to do: {still_open:,}.")

    def _close(
        self,
        progress: Progress,
        tally: Counter[str],
        *,
        dry_run: bool,
        empty: str = "nothing to do",
    ) -> None:
        progress.clear()
        counts = ", ".join(f"{count:,} {word}" for word, count in sorted(tally.items())) or empty
        self._say(f"Summary: {counts}." + (" Nothing was changed." if dry_run else ""))
        if self.leaves_work & tally.keys() and not alive(timezone.now()):
            self._say("No worker is running: it goes on when one does.")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()  # a pipe shows it now, not after the next 8 KiB


def where(last: object) -> str:
    return f"after {last}" if last is not None else "at the start"


class Progress:
    """How far a run is: a bar on a terminal, else a plain line now and then."""

    def __init__(self, out: OutputWrapper) -> None:
        self.out, self.done = out, 0
        self.total: int | None = None
        self.on_terminal = out.isatty()
        self.seconds = BAR_SECONDS if self.on_terminal else LINE_SECONDS
        self.show_at = time.monotonic() + self.seconds

    def step(self, things: int = 1) -> None:
        self.done += things
        if time.monotonic() >= self.show_at:
            self.show()

    def show(self) -> None:
        self.show_at = time.monotonic() + self.seconds
        text = f"{self.done:,}" + (f" of {self.total:,}" if self.total else "")
        if self.on_terminal:
            filled = (
                min(BAR_CHARACTERS, BAR_CHARACTERS * self.done // self.total) if self.total else 0
            )
            bar = f"[{'#' * filled:.<{BAR_CHARACTERS}}] " if self.total else ""
            self.out.write(f"\r{bar}{text}\x1b[K\r", str, "")  # a line of the log then covers it
        else:
            self.out.write(text, str)

    def clear(self) -> None:
        if self.on_terminal:
            self.out.write("\r\x1b[K", str, "")


# --- What the operations are made of --------------------------------------------------------------


def attempt(subject: object, act: Callable[[], Outcome]) -> Outcome:
    """Do something that calls the outside world. What that refuses is this thing's failure.

    Raises Unavailable after some patience: then the next thing would fare no better.
    """
    for seconds in (*PATIENCE_SECONDS, None):
        try:
            return act()
        except Unavailable as error:
            if seconds is None or error.pause_seconds:
                raise
            time.sleep(max(seconds, error.retry_after_seconds))
        except (Rejected, Snooze) as error:
            return Outcome(
                subject,
                "failed" if isinstance(error, Rejected) else "waiting",
                str(error),
                is_open=True,
            )
    raise AssertionError("unreachable")


def make_due(rows: QuerySet[J], *, dry_run: bool, now: datetime, word: str) -> Iterator[Outcome]:
    """Make rows due now, CHUNK by CHUNK, each in one UPDATE."""
    chunk: list[J] = []
    for row in walk(rows):
        chunk.append(row)
        if len(chunk) == CHUNK:
            yield from _make_due(chunk, dry_run, now, word)
            chunk = []
    if chunk:
        yield from _make_due(chunk, dry_run, now, word)


def _make_due(chunk: list[J], dry_run: bool, now: datetime, word: str) -> Iterator[Outcome]:
    if not dry_run:
        manager: Any = type(chunk[0])._default_manager
        manager.filter(pk__in=[row.pk for row in chunk]).run_now(now)
    for row in chunk:
        yield Outcome(row, f"would be {word}" if dry_run else word, is_open=dry_run)


def reason(text: str) -> str:
    """The type of an argument that says why."""
    if sum(character.isalpha() for character in text) < REASON_LETTERS:
        raise ArgumentTypeError(
            f"say why, in {REASON_LETTERS} letters at least; it is kept in the log"
        )
    return text.strip()


def days(text: str) -> int:
    """The type of an argument that is a number of days, such as 90d."""
    if not (found := re.fullmatch(r"([1-9]\d{0,4})d", text)):
        raise ArgumentTypeError(f"{text!r} is no number of days like 90d")
    return int(found[1])


def moment(text: str) -> datetime:
    """The type of an argument that is a time: ISO 8601 (without a zone: UTC), or an age such as
    90m, 36h or 7d."""
    try:
        if age := re.fullmatch(r"(\d{1,6})([mhd])", text):
            return timezone.now() - timedelta(**{UNITS[age[2]]: int(age[1])})
        parsed = datetime.fromisoformat(text)
        return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ArgumentTypeError(f"{text!r} is neither a time like {MOMENTS}") from None
