"""A whole Vocalis in one process on a virtual clock: customers, two workers, a web process, Metronome, and bad luck."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import httpx
import time_machine
from django.conf import settings
from django.core.management import call_command
from django.core.management.color import no_style
from django.db import connection
from django.test import Client
from metronome import Metronome

from accounts.models import Customer, User
from accounts.signup import register
from billing import gifts, ledger, metronome, plans, recharge, subscriptions, sync
from billing.models import Contract, Drift, Wallet
from billing.payments import cards, workflow
from billing.payments.gateways.test import DECLINING_CARD, GOOD_CARD
from jobs.worker import Worker, steps
from sandbox import Sandbox
from usage import own_voice, refunds, speak
from usage.engines import EngineFailed, Speech, VoiceSettings
from usage.models import Generation

from . import invariants
from .chaos import DIE_AT_CALL, Chaos, UnreliableNetwork

START = datetime(2026, 1, 31, 9, 47, tzinfo=UTC)  # the anchor day every month clamps
STEPS = 45
SETTLE_ROUNDS = 40
WEBHOOK_URL = "http://testserver/api/webhooks/metronome/alerts"


REFUSALS = (
    ledger.InsufficientCredits, ledger.WalletFrozen, speak.StillRunning, speak.SpeechFailed, own_voice.InProgress,
)  # fmt: skip


class QuickEngine:
    """A third engine: instant silence, or a failure when the dice say so. Speech itself is tested elsewhere."""

    def __init__(self, chaos: Chaos) -> None:
        self.chaos = chaos

    def speak(self, *, text: str, voice: Any, deadline_seconds: float = 60) -> Speech:
        self.chaos.may_die(DIE_AT_CALL)
        if not self.chaos.calm and self.chaos.dice.random() < 0.05:
            raise EngineFailed("the engine had a bad day")
        return Speech(audio=b"RIFF", duration_seconds=1.0, content_type="audio/wav")


class World:
    recharge_name = plans.RECHARGE_COMMIT_NAME

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.dice = random.Random(seed)
        self.chaos = Chaos(self.dice)
        self.spoken: list[tuple[Customer, str, str, str]] = []
        self.keys = 0
        self.archived = (
            False  # whether Metronome took credits away that may have been spent: only a correction heals that
        )
        self.log: list[str] = []

    # --- The stage

    @contextmanager
    def running(self) -> Iterator[World]:
        with ExitStack() as stack:
            random.seed(self.seed)  # the back-off's jitter
            _empty_tables()
            self.traveller = stack.enter_context(time_machine.travel(START, tick=False))
            self.sandbox = Sandbox(
                credit_type_id=settings.VOCALIS_CREDIT_TYPE_ID, now=START, seed=self.seed, sender=self._receive,
                webhooks=[(WEBHOOK_URL, settings.METRONOME_WEBHOOK_SECRETS[0])],
                evaluate_every_seconds=self.dice.choice([0, 1, 180]), latency_seconds=self.dice.choice([0, 0, 5, 15]),
            )  # fmt: skip
            self.client, self.hotline = self._client(reliable=False), self._client(reliable=True)
            stack.enter_context(patch.object(metronome, "client", lambda: self.client))
            stack.enter_context(patch.object(speak, "engine", lambda: QuickEngine(self.chaos)))
            stack.enter_context(patch.object(own_voice, "engine", lambda: QuickEngine(self.chaos)))
            self.staff = User.objects.create(email="staff@example.com", is_staff=True)
            self.chaos.calm = True
            call_command("bootstrap_metronome", verbosity=0)
            self.chaos.calm = False
            stack.enter_context(self.chaos.commits_kill())
            self.workers = [Worker(steps(), clock=self.sandbox.clock.now) for _ in range(2)]
            for number, worker in enumerate(self.workers):
                worker.name = f"worker-{number}"
            yield self

    def _client(self, *, reliable: bool) -> Metronome:
        direct = self.sandbox.transport()
        transport = direct if reliable else UnreliableNetwork(direct, self.chaos)
        return Metronome(
            bearer_token="sandbox",
            base_url="http://sandbox",
            max_retries=0,
            http_client=httpx.Client(transport=transport),
            _strict_response_validation=True,
        )

    def now(self) -> datetime:
        return self.sandbox.clock.now()

    def advance(self, **delta: float) -> None:
        self.sandbox.clock.advance(timedelta(**delta))
        self.traveller.move_to(self.now())
        self.sandbox.tick()

    def _receive(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        """A webhook arrives at a web process, which may die on it; then nobody answers."""
        status = 0
        extra = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
        with self.chaos.process():
            answer = Client().post(
                url.removeprefix("http://testserver"), body, content_type="application/json", **extra
            )
            status = answer.status_code
        if not status:
            raise OSError("the web process died")
        return status

    # --- What happens

    def step(self) -> None:
        name, act = self.dice.choices([row[:2] for row in self.actions()], [row[2] for row in self.actions()])[0]
        self.log.append(f"{self.now():%d %H:%M:%S} {name}")
        with self.chaos.process():
            act()
        invariants.always()

    def actions(self) -> list[tuple[str, Callable[[], None], int]]:
        return [
            ("worker", self.work, 30),
            ("a moment", lambda: self.advance(seconds=self.dice.randint(1, 30)), 12),
            ("minutes", lambda: self.advance(minutes=self.dice.randint(1, 20)), 8),
            ("days", self.pass_days, 2),
            ("sign up", self.sign_up, 3 if Customer.objects.count() < 3 else 0),
            ("choose a plan", self.choose_plan, 6),
            ("speak", self.speak, 25),
            ("speak again", self.speak_again, 4),
            ("own voice", self.make_voice, 1),
            ("auto-recharge", self.set_recharge, 4),
            ("card", self.change_card, 2),
            ("gift by hand", self.gift_at_metronome, 2),
            ("gift taken away by hand", self.archive_at_metronome, 1),
            ("gift", self.give, 2),
            ("refund", self.refund, 2),
            ("cancel", self.cancel_plan, 1),
            ("freeze", self.freeze, 1),
            ("webhooks misbehave", self.upset_webhooks, 3),
            ("half a hold", self.leave_a_hold, 2),
        ]

    def work(self) -> None:
        self.dice.choice(self.workers).turn()

    def pass_days(self) -> None:
        """Days on which nothing is asked of us; a worker comes by now and then, as long as it lives."""
        for _ in range(4 * self.dice.choice([1, 3, 11, 14, 28])):
            self.advance(hours=6)
            self.work()

    def sign_up(self) -> None:
        self.keys += 1
        register(
            email=f"c{self.keys}@example.com", password="irrelevant", first_name="C", last_name="S", now=self.now()
        )

    def anyone(self) -> Customer | None:
        everyone = list(Customer.objects.order_by("user_id"))
        return self.dice.choice(everyone) if everyone else None

    def choose_plan(self) -> None:
        customer = self.anyone()
        plan = self.dice.choice(["trial", "trial", "creator", "pro"])
        if customer:
            with suppress(subscriptions.PlanRefused):
                for _ in range(self.dice.choice([1, 1, 2])):
                    subscriptions.select_plan(
                        customer=customer, plan=plan, key=f"{plan}-{self.dice.randint(0, 3)}", now=self.now()
                    )

    def speak(self) -> None:
        customer = self.anyone()
        if customer:
            self.keys += 1
            voice = self.dice.choice(["standard", "premium"])
            text = "a" * self.dice.choice([1, 40, 300, 2_000, 5_000, 5_000])
            self.spoken.append((customer, text, voice, f"key-{self.keys}"))
            self._speak(self.spoken[-1])

    def speak_again(self) -> None:
        if self.spoken:
            self._speak(self.dice.choice(self.spoken))

    def _speak(self, request: tuple[Customer, str, str, str]) -> None:
        customer, text, voice, key = request
        with suppress(*REFUSALS):
            speak.speak(customer=customer, text=text, voice_id=voice, key=key, now=self.now())

    def make_voice(self) -> None:
        customer = self.anyone()
        if customer:
            self.keys += 1
            tuned = VoiceSettings(variant="en-us+f3", pitch=40, pitch_range=50, pace_words_per_minute=170)
            with suppress(*REFUSALS):
                own_voice.set_up(
                    customer=customer, name="Mine", settings=tuned, key=f"voice-{self.keys}", now=self.now()
                )

    def leave_a_hold(self) -> None:
        """A request that reserved and was never heard of again."""
        wallet = Wallet.objects.order_by("id").first()
        self.keys += 1
        if wallet:
            with suppress(*REFUSALS):
                ledger.reserve(
                    wallet_id=wallet.id, key=f"lost-{self.keys}", amount=self.dice.randint(1, 900), now=self.now()
                )

    def set_recharge(self) -> None:
        customer = self.anyone()
        if customer:
            threshold = self.dice.choice([20_000, 45_000, 60_000])
            recharge.save_settings(
                customer=customer, enabled=self.dice.random() < 0.8, threshold_credits=threshold,
                recharge_to_credits=threshold + self.dice.choice([40_000, 40_001, 77_777]), now=self.now(),
            )  # fmt: skip

    def change_card(self) -> None:
        customer = self.anyone()
        if customer:
            card = self.dice.choice([GOOD_CARD, GOOD_CARD, DECLINING_CARD])
            cards.choose(customer_id=customer.id, reference=card.reference)

    def gift_at_metronome(self) -> None:
        """Someone adds credits in Metronome's own interface; we hear of it by webhook or by the sweep."""
        contract = Contract.objects.exclude(metronome_id=None).select_related("customer").order_by("id").first()
        if contract and contract.customer.metronome_id:
            starts_at = self.now().replace(minute=0, second=0)
            ends_at = starts_at + timedelta(hours=self.dice.choice([1, 5, 200]))
            amount = self.dice.choice([1, 999, 30_000])
            self.hotline.v2.contracts.edit(
                customer_id=contract.customer.metronome_id,
                contract_id=contract.metronome_id,
                add_credits=[{
                    "product_id": metronome.credits_product_id(), "name": "Gift", "priority": plans.PRIORITY_GIFT,
                    "access_schedule": {
                        "credit_type_id": metronome.credit_type_id(),
                        "schedule_items": [{"amount": amount, "starting_at": starts_at, "ending_before": ends_at}],
                    },
                }],
            )  # fmt: skip

    def archive_at_metronome(self) -> None:
        """Someone takes such a gift away again, spent or not."""
        for contract in Contract.objects.exclude(metronome_id=None).select_related("customer").order_by("id"):
            customer_id, contract_id = contract.customer.metronome_id or "", contract.metronome_id or ""
            with patch.object(metronome, "client", lambda: self.hotline):
                made_there = [commit for commit in metronome.commits(customer_id=customer_id) if commit.name == "Gift"]
            if made_there:
                archived = [{"id": self.dice.choice(made_there).id}]
                self.hotline.v2.contracts.edit(
                    customer_id=customer_id, contract_id=contract_id, archive_credits=archived
                )
                return

    def give(self) -> None:
        customer = self.anyone()
        if customer:
            self.keys += 1
            for _ in range(self.dice.choice([1, 1, 2])):
                gifts.give(
                    customer=customer, credits=5_000, reason="kindness", by=self.staff, key=f"gift-{self.keys}",
                    days=self.dice.choice([1, 30]), now=self.now(),
                )  # fmt: skip

    def refund(self) -> None:
        done = list(Generation.objects.filter(state=Generation.State.DONE).order_by("created_at", "key"))
        if done:
            refunds.refund(generation=self.dice.choice(done), by=self.staff, reason="noise", now=self.now())

    def cancel_plan(self) -> None:
        customer = self.anyone()
        if customer:
            with suppress(subscriptions.PlanRefused):
                subscriptions.cancel(customer=customer, now=self.now())

    def freeze(self) -> None:
        customer = self.anyone()
        if customer:
            wallet = ledger.wallet_of(customer.pk)
            ledger.set_frozen(wallet_id=wallet.pk, frozen=not wallet.frozen_at, now=self.now())

    def upset_webhooks(self) -> None:
        kind = self.dice.choice(["drop", "duplicate", "reorder", "delay", "bad_signature", "stale"])
        self.sandbox.faults.add(
            "webhook",
            kind,
            times=self.dice.randint(1, 3),
            **({"seconds": self.dice.randint(5, 900)} if kind == "delay" else {}),
        )

    # --- The end

    def calm_down(self) -> None:
        """No more bad luck: time goes on until the books agree, and they stay so."""
        self.chaos.calm = True
        self.sandbox.faults.clear()
        agreed = 0
        for round_number in range(SETTLE_ROUNDS):
            self.advance(minutes=1 + round_number)
            self.agree_to_drifts()
            self.dice.choice(self.workers).drain()
            invariants.always()
            try:
                invariants.at_rest(self)
                agreed += 1
            except AssertionError:
                agreed = 0
            if agreed == 2:
                return
        invariants.at_rest(self)

    def agree_to_drifts(self) -> None:
        for drift in Drift.objects.filter(state=Drift.State.OPEN, approved_by=None):
            sync.approve_drift(drift, user=self.staff, now=self.now())

    def grants_at_metronome(self, customer: Customer, key: str) -> int:
        with patch.object(metronome, "client", lambda: self.hotline):
            commits = metronome.commits(customer_id=customer.metronome_id or "")
        return sum(commit.description == key for commit in commits)

    def customers_at_metronome(self, alias: str) -> int:
        return len(list(self.hotline.v1.customers.list(ingest_alias=alias)))

    def contracts_at_metronome(self, customer: Customer) -> int:
        return len(list(self.hotline.v2.contracts.list(customer_id=customer.metronome_id or "")))

    def balance_at_metronome(self, customer: Customer) -> Decimal:
        with patch.object(metronome, "client", lambda: self.hotline):
            return metronome.net_balance(customer_id=customer.metronome_id or "")

    def events_at_metronome(self) -> list[Any]:
        return list(self.sandbox.world.store.events.rows.values())

    @staticmethod
    def charge_keys(payments: Any) -> set[str]:
        return {workflow.charge_key(payment) for payment in payments}


def simulate(seed: int) -> World:
    """One run. The same seed gives the same run; a broken invariant names the seed and shows the story."""
    world = World(seed)
    with world.running():
        try:
            world.sign_up()
            for _ in range(STEPS):
                world.step()
            world.calm_down()
        except BaseException as error:
            error.add_note(f"seed {seed}: make simulate SEED={seed}\n" + "\n".join(world.log))
            raise
    return world


def _empty_tables() -> None:
    tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
    keep = {"django_migrations", "django_content_type", "auth_permission"}
    wanted = [table for table in tables if table not in keep]
    connection.ops.execute_sql_flush(connection.ops.sql_flush(no_style(), wanted))
