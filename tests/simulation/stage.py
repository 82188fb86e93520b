"""The stage: a virtual clock, Metronome, Stripe, two workers and a web process, in one process."""

from __future__ import annotations

import gc
import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from types import SimpleNamespace
from typing import Any, Self
from unittest.mock import patch

import httpx
import time_machine
from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.core.files.storage import InMemoryStorage
from django.db import connection, connections
from django.db.backends.sqlite3.base import FORMAT_QMARK_REGEX, SQLiteCursorWrapper
from django.test import RequestFactory
from django.urls import resolve
from metronome import Metronome
from pydantic._internal._generics import _GENERIC_TYPES_CACHE

from accounts.models import Customer, User
from billing import metronome, plans
from billing.inbox import sweep
from billing.payments.gateways.stripe import pay_page
from jobs import clock, queue, worker
from metronome_sandbox import Sandbox
from operations import command
from tests.catalogue import sdk, state_path
from tests.emptying import empty_tables
from usage.metering import schedule as usage_days
from usage.speech import audio, long, own_voice, speak

from . import mails
from .chaos import Chaos, QuickEngine, SlowEngine, UnreliableNetwork
from .metronome_side import MetronomeSide
from .once import worked_out_once
from .rows_written import RowsWritten
from .stripe_side import StripeSide

START = datetime(2026, 1, 31, 9, 47, tzinfo=UTC)  # the anchor day every month clamps
# Small, so that they are used up.
PLAN_CREDITS = {"trial": 20_000, "creator": 30_000, "pro": 90_000}
PLAN_AUDIO_DAYS = {"trial": 1, "creator": 3, "pro": 20}  # short, so that audio is made again
UNSYNCED = {
    "sqlite": "PRAGMA synchronous=OFF",
    "postgresql": "SET synchronous_commit = off",
}
LONGEST_WAIT_MINUTES = 11  # reservations and the longest lease last ten
# 34 days are longer by more than the longest gap between workers.
USAGE_LATE_AFTER = timedelta(days=14)
WEBHOOK_URL = "http://testserver/api/webhooks/metronome/alerts"
_generic_models: set[type] = set()  # of the SDK: pydantic itself forgets and makes them again


class Stage(MetronomeSide, StripeSide):
    """What is the same whatever happens: the clock, both sides, the processes, who is there."""

    began_at = START

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.dice = random.Random(seed)
        self.log: list[str] = []
        self.chaos = Chaos(self.dice, self.meanwhile, self.log.append)
        self.spoken: list[tuple[Customer, str, str, str]] = []
        self.keys = 0
        self.changes = RowsWritten()
        self.mails = mails.Sent()
        # Commits archived at Metronome: whose, and credits.
        self.taken_away: dict[str, tuple[Any, int]] = {}
        self.seen_final: set[str] = set()  # ids of final invoices at Metronome

    @contextmanager
    def running(self) -> Iterator[Self]:
        # Before anything is drawn from the seed: only the first run of a process makes it.
        catalogue = state_path(START, seed=0)
        with ExitStack() as stack:
            stack.enter_context(_at_full_speed())
            stack.enter_context(self.changes.counted())
            stack.enter_context(self.mails.counted())
            random.seed(self.seed)  # the back-off's jitter
            # The ids of our rows.
            stack.enter_context(patch("os.urandom", random.Random(self.seed).randbytes))
            # A lease's token says in microseconds when it ends, and so who is claimed first.
            tokens = random.Random(self.seed)
            named = SimpleNamespace(token_hex=lambda size: tokens.randbytes(size).hex())
            stack.enter_context(patch.object(queue, "secrets", named))
            _empty_tables()
            self.traveller = stack.enter_context(time_machine.travel(START, tick=False))
            # Metronome's known delay is up to 15 seconds. A hundred and ten is more than what is
            # allowed for as being under way: then only waiting for a difference to stand keeps a
            # wrong adjustment away.
            self.sandbox = Sandbox(
                credit_type_id=settings.VOCALIS_CREDIT_TYPE_ID,
                unit=plans.PRICING_UNIT_NAME,
                now=START,
                seed=self.seed,
                sender=self._receive,
                webhooks=[(WEBHOOK_URL, settings.METRONOME_WEBHOOK_SECRETS[0])],
                state_path=catalogue,
                evaluate_every_seconds=self.dice.choice([0, 1, 180]),
                latency_seconds=self.dice.choice([0, 5, 15, 110]),
            )
            # The file stays as it is; from here on everything is in memory.
            self.sandbox.world.store.close()
            stack.enter_context(self.stripe_running(self.sandbox.clock, self._receive))
            monotonic = SimpleNamespace(monotonic=lambda: self.now().timestamp())
            stack.enter_context(patch.object(clock, "time", monotonic))
            stack.enter_context(patch.object(worker, "time", monotonic))
            patient = SimpleNamespace(
                monotonic=monotonic.monotonic, sleep=lambda seconds: self.advance(seconds=seconds)
            )
            stack.enter_context(patch.object(command, "time", patient))
            stack.enter_context(patch.object(pay_page, "time", patient))
            self.line = httpx.Client(
                transport=self.sandbox.transport(),
                base_url="http://sandbox",
                headers={"Authorization": "Bearer sandbox"},
            )
            self.client, self.hotline = self._client(reliable=False), self._client(reliable=True)
            stack.enter_context(patch.object(metronome.client, "client", lambda: self.client))
            small = {
                key: replace(plans.PLANS[key], credits=credits, audio_days=PLAN_AUDIO_DAYS[key])
                for key, credits in PLAN_CREDITS.items()
            }
            # A third price, for a second upgrade in one period.
            small["studio"] = replace(
                small["pro"], key="studio", name="Studio", credits=200_000, price_cents=39_900
            )
            stack.enter_context(patch.dict(plans.PLANS, small))
            stack.enter_context(patch.object(plans, "AUDIO_DAYS_WITHOUT_PLAN", 1))
            for module in (speak, long, own_voice):
                stack.enter_context(patch.object(module, "engine", self._engine))
            stack.enter_context(patch.object(long, "PART_SECONDS", -1))  # so that more can go wrong
            self.files = InMemoryStorage()
            stack.enter_context(patch.object(audio, "default_storage", self.files))
            usage_days.make_rows(START)
            sweep.make_rows(START)
            self.staff = User.objects.create(email="staff@example.com", is_staff=True)
            stack.enter_context(self.chaos.commits_kill())
            self.workers = [
                worker.Worker(worker.all_jobs(), clock=self.sandbox.clock.now) for _ in range(2)
            ]
            stack.enter_context(patch.object(worker.logger, "exception", _unforeseen))
            for number, one in enumerate(self.workers):
                one.name = f"worker-{number}"
            yield self

    def _client(self, *, reliable: bool) -> Metronome:
        direct = self.sandbox.transport()
        return sdk(direct if reliable else UnreliableNetwork(direct, self.chaos))

    def _engine(self, name: str) -> QuickEngine:
        return (SlowEngine if name == "kokoro" else QuickEngine)(self.chaos)

    def stored(self) -> set[str]:
        """The names of all files of audio."""
        folders, _ = self.files.listdir("")
        return {f"{folder}/{name}" for folder in folders for name in self.files.listdir(folder)[1]}

    def now(self) -> datetime:
        return self.sandbox.clock.now()

    def advance(self, **delta: float) -> None:
        self.sandbox.clock.advance(timedelta(**delta))
        self.traveller.move_to(self.now())
        self.sandbox.tick()
        self.stripe.tick()

    def _receive(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        """A webhook arrives at a web process, which may die on it; then nobody answers."""
        status, path = 0, url.removeprefix("http://testserver")
        request = RequestFactory().post(
            path, body, content_type="application/json", headers=headers
        )
        with self.chaos.process():
            # Without the middleware, which has no money to lose.
            status = resolve(path).func(request).status_code
        if not status:
            raise OSError("the web process died")
        return status

    def meanwhile(self) -> None:
        """What another process does while one stands still."""
        raise NotImplementedError

    def perform(self, act: Callable[[], None]) -> None:
        with self.chaos.process():
            act()

    def work(self) -> None:
        self.dice.choice(self.workers).run_pass()
        with self.chaos.elsewhere():
            self.mails.note_pass(self.now())

    def pass_hours(self, hours: int) -> None:
        """A worker comes by at the end. Nothing keeps usage from Metronome for the 34 days in which
        it takes events: no outage of it, and no run of workers that are killed before they have
        reported."""
        self.advance(hours=hours)
        self.perform(self.work)
        self.chaos.is_metronome_down = False
        if self.is_usage_late():
            self.advance(minutes=LONGEST_WAIT_MINUTES)
            with self.chaos.at_peace():
                self.perform(self.work)

    def is_usage_late(self) -> bool:
        """Whether a worker has had two weeks for usage that is still not sent."""
        late = "due_at <= %s AND happened_at < %s AND dead_at IS NULL"
        moments = [self.now(), self.now() - USAGE_LATE_AFTER]
        with self.chaos.elsewhere(), connection.cursor() as cursor:
            cursor.execute(
                f"SELECT 1 FROM usage_usageevent WHERE {late} LIMIT 1",
                [connection.ops.adapt_datetimefield_value(moment) for moment in moments],
            )
            return cursor.fetchone() is not None

    @staticmethod
    def count(table: str) -> int:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM {table}")
            return int(cursor.fetchone()[0])

    def key(self, what: str) -> str:
        self.keys += 1
        return f"{what}-{self.keys}"

    def everyone(self) -> list[Customer]:
        """Who can log in: a deleted customer cannot."""
        active = (
            "SELECT c.* FROM accounts_customer c JOIN accounts_user u ON u.id = c.user_id"
            " WHERE u.is_active"
        )
        return list(Customer.objects.raw(f"{active} ORDER BY u.id"))

    def anyone(self) -> Customer | None:
        everyone = self.everyone()
        return self.dice.choice(everyone) if everyone else None


@contextmanager
def _at_full_speed() -> Iterator[None]:
    """One thread has the database to itself, nothing need outlive it, and its rubbish is little."""
    settled, connections._connections = (
        connections._connections,
        SimpleNamespace(default=connections["default"]),
    )
    with connection.cursor() as cursor:
        cursor.execute(UNSYNCED[connection.vendor])  # the tests' connections always are
    gc.disable()
    try:
        with patch.object(SQLiteCursorWrapper, "convert_query", _converted), worked_out_once():
            yield
    finally:
        _generic_models.update(_GENERIC_TYPES_CACHE.values())
        gc.enable()
        _keep_what_is_loaded()
        connections._connections = settled


def _converted(
    cursor: SQLiteCursorWrapper, query: str, *, param_names: list[str] | None = None
) -> str:
    """Django searches every statement anew for its placeholders."""
    return (
        _with_question_marks(query)
        if param_names is None
        else query % {name: f":{name}" for name in param_names}
    )


@cache
def _with_question_marks(query: str) -> str:
    return FORMAT_QMARK_REGEX.sub("?", query).replace("%%", "%")


@cache
def _keep_what_is_loaded() -> None:
    """After the first run: modules need no collecting."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of what tests before this one have left
        gc.collect()
    gc.freeze()


def _unforeseen(message: str, *args: Any) -> None:
    """The worker lives through errors nobody foresaw, to try again; here they are what they are,
    bugs."""
    raise AssertionError(message % args)


def _empty_tables() -> None:
    ContentType.objects.clear_cache()  # or a run would ask less than the first one of a process
    empty_tables(reset_sequences=True)
