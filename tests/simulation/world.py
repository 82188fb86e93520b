"""A whole Vocalis in one process on a virtual clock: customers, two workers, a web process, Metronome, and bad luck."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import httpx
import time_machine
from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.core.management.color import no_style
from django.db import connection
from django.db.models import Q
from django.test import Client
from metronome import Metronome

from accounts.models import Customer, User
from accounts.signup import register
from billing import gifts, ledger, metronome, plans, recharge, subscriptions, sync
from billing.drawdown import floor_hour
from billing.models import Contract, CreditGrant, Drift, Payment, Subscription, Wallet
from billing.payments import cards, workflow
from billing.payments.gateways.test import DECLINING_CARD, GOOD_CARD
from jobs import worker
from sandbox import Sandbox
from usage import clock, own_voice, refunds, speak
from usage.engines import VoiceSettings
from usage.models import Generation, UsageRound

from . import invariants
from .chaos import Chaos, QuickEngine, UnreliableGateway, UnreliableNetwork
from .metronome_side import MetronomeSide

START = datetime(2026, 1, 31, 9, 47, tzinfo=UTC)  # the anchor day every month clamps
STEPS = 55
SETTLE_ROUNDS = 40
PLAN_CREDITS = {"trial": 20_000, "creator": 30_000, "pro": 90_000}  # small, so that they are used up
WEBHOOK_URL = "http://testserver/api/webhooks/metronome/alerts"


REFUSALS = (
    ledger.InsufficientCredits, ledger.WalletFrozen, speak.StillRunning, speak.SpeechFailed, own_voice.InProgress,
)  # fmt: skip


class World(MetronomeSide):
    began_at = START

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.dice = random.Random(seed)
        self.log: list[str] = []
        self.chaos = Chaos(self.dice, self.meanwhile, self.log.append)
        self.spoken: list[tuple[Customer, str, str, str]] = []
        self.keys = 0
        self.taken_away: dict[str, tuple[Any, int]] = {}  # commits archived at Metronome: whose, and credits

    # --- The stage

    @contextmanager
    def running(self) -> Iterator[World]:
        with ExitStack() as stack:
            random.seed(self.seed)  # the back-off's jitter
            stack.enter_context(patch("os.urandom", random.Random(self.seed).randbytes))  # the ids of our rows
            _empty_tables()
            self.traveller = stack.enter_context(time_machine.travel(START, tick=False))
            # Metronome's known delay is up to 15 seconds. A hundred and ten is more than what is allowed for as being under way:
            # then only waiting for a difference to stand keeps a wrong adjustment away.
            self.sandbox = Sandbox(
                credit_type_id=settings.VOCALIS_CREDIT_TYPE_ID, now=START, seed=self.seed, sender=self._receive,
                webhooks=[(WEBHOOK_URL, settings.METRONOME_WEBHOOK_SECRETS[0])],
                evaluate_every_seconds=self.dice.choice([0, 1, 180]), latency_seconds=self.dice.choice([0, 5, 15, 110]),
            )  # fmt: skip
            monotonic = SimpleNamespace(monotonic=lambda: self.now().timestamp())
            stack.enter_context(patch.object(clock, "time", monotonic))
            stack.enter_context(patch.object(worker, "time", monotonic))
            self.client, self.hotline = self._client(reliable=False), self._client(reliable=True)
            stack.enter_context(patch.object(metronome, "client", lambda: self.client))
            small = {key: replace(plans.PLANS[key], credits=credits) for key, credits in PLAN_CREDITS.items()}
            stack.enter_context(patch.dict(plans.PLANS, small))
            stack.enter_context(patch.object(workflow, "gateway", lambda name="": UnreliableGateway(self.chaos)))
            stack.enter_context(patch.object(speak, "engine", lambda: QuickEngine(self.chaos)))
            stack.enter_context(patch.object(own_voice, "engine", lambda: QuickEngine(self.chaos)))
            for kind in UsageRound.Kind:  # as the migration made them
                UsageRound.objects.create(kind=kind, due_at=START)
            self.staff = User.objects.create(email="staff@example.com", is_staff=True)
            self.chaos.calm = True
            call_command("bootstrap_metronome", verbosity=0)
            self.chaos.calm = False
            stack.enter_context(self.chaos.commits_kill())
            self.workers = [worker.Worker(worker.steps(), clock=self.sandbox.clock.now) for _ in range(2)]
            stack.enter_context(patch.object(worker.logger, "exception", _unforeseen))
            for number, one in enumerate(self.workers):
                one.name = f"worker-{number}"
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
        self._one_of(self.actions())
        invariants.always()

    def meanwhile(self) -> None:
        """What another process does while one stands still: at worst for so long that its lease or its hold runs out."""
        self._one_of([
            ("worker", self.work, 10),
            ("a moment", lambda: self.advance(seconds=self.dice.randint(1, 30)), 4),
            ("minutes", lambda: self.advance(minutes=self.dice.randint(1, 14)), 4),
            ("speak", self.speak, 4),
            ("speak again", self.speak_again, 2),
            ("choose a plan", self.choose_plan, 1),
            ("auto-recharge", self.set_recharge, 1),
            ("gift by hand", self.gift_at_metronome, 1),
            ("freeze", self.freeze, 1),
        ])  # fmt: skip

    def _one_of(self, actions: list[tuple[str, Callable[[], None], int]]) -> None:
        name, act, _ = self.dice.choices(actions, [weight for _, _, weight in actions])[0]
        self.log.append(f"{self.now():%d %H:%M:%S} {name}")
        self.perform(act)

    def perform(self, act: Callable[[], None]) -> None:
        with self.chaos.process():
            act()

    def actions(self) -> list[tuple[str, Callable[[], None], int]]:
        return [
            ("worker", self.work, 30),
            ("a moment", lambda: self.advance(seconds=self.dice.randint(1, 30)), 10),
            ("minutes", lambda: self.advance(minutes=self.dice.randint(1, 20)), 8),
            ("an hour", lambda: self.advance(minutes=self.dice.randint(30, 90)), 4),
            ("days", self.pass_days, 2),
            ("sign up", self.sign_up, 2 if Customer.objects.count() < 3 else 0),
            ("choose a plan", self.choose_plan, 6),
            ("speak", self.speak, 40),
            ("speak again", self.speak_again, 6),
            ("speak over an end", self.speak_over_an_end, 4),
            ("own voice", self.make_voice, 2),
            ("auto-recharge", self.set_recharge, 4),
            ("a recharge goes wrong", self.upset_recharge, 2),
            ("card", self.change_card, 3),
            ("gift by hand", self.gift_at_metronome, 4),
            ("gift taken away by hand", self.archive_at_metronome, 3),
            ("gift", self.give, 2),
            ("refund", self.refund, 2),
            ("cancel", self.cancel_plan, 1),
            ("plan ended by hand", self.upset_plan, 3),
            ("money back", self.give_money_back, 1),
            ("look twice", self.look_twice, 3),
            ("freeze", self.freeze, 1),
            ("webhooks misbehave", self.upset_webhooks, 4),
            ("half a hold", self.leave_a_hold, 2),
            ("two at once", self.race_for_all, 2),
        ]

    def work(self) -> None:
        self.dice.choice(self.workers).turn()

    def pass_days(self) -> None:
        """Days on which nothing is asked of us; a worker comes by now and then."""
        for _ in range(self.dice.choice([1, 3, 11, 14])):
            self.pass_hours(24)

    def pass_hours(self, hours: int) -> None:
        self.advance(hours=hours)
        self.perform(self.work)

    def sign_up(self) -> None:
        customer = register(
            email=f"{self.key('c')}@example.com", password="irrelevant", first_name="C", last_name="S", now=self.now()
        )
        if self.dice.random() < 0.6:
            cards.choose(customer_id=customer.id, reference=GOOD_CARD.reference)

    def key(self, what: str) -> str:
        self.keys += 1
        return f"{what}-{self.keys}"

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
        self.speak_for(self.anyone())

    def speak_over_an_end(self) -> None:
        """A request holds credits when some of them end, and a worker comes by before it has spoken."""
        soon = (self.now(), self.now() + timedelta(days=31))
        ending = CreditGrant.objects.filter(remaining__gt=0, ends_at__range=soon).order_by("ends_at", "id").first()
        if ending:
            while ending.ends_at - self.now() > timedelta(days=3):
                self.pass_hours(72)
            self.advance(seconds=max((ending.ends_at - self.now()).total_seconds() - self.dice.randint(1, 90), 0))
            customer = ending.wallet.customer
            with self.chaos.overtaken("while it speaks", partial(self.perform, partial(self.pass_an_end, customer))):
                self.speak_for(customer)

    def pass_an_end(self, customer: Customer) -> None:
        self.advance(minutes=2)
        if self.dice.random() < 0.5:
            self.work()
        self.speak_for(customer)

    def speak_for(self, customer: Customer | None) -> None:
        if customer:
            voice = self.dice.choice(["standard", "premium"])
            left = ledger.wallet_of(customer.pk).available
            text = "a" * self.dice.choice([1, 300, 300, 2_000, 5_000, 5_000, max(1, min(left, 5_000))])
            request = (customer, text, voice, self.key("key"))
            self.spoken.append(request)
            self._speak(request)

    def speak_again(self) -> None:
        unanswered = set(Generation.objects.filter(state=Generation.State.PENDING).values_list("key", flat=True))
        if wanted := [request for request in self.spoken if request[-1] in unanswered] or self.spoken:
            self.advance(minutes=self.dice.choice([0, 2]))
            self._speak(self.dice.choice(wanted))

    def _speak(self, request: tuple[Customer, str, str, str]) -> None:
        customer, text, voice, key = request
        with suppress(*REFUSALS):
            speak.speak(customer=customer, text=text, voice_id=voice, key=key, now=self.now())

    def make_voice(self) -> None:
        customer = self.anyone()
        if customer:
            tuned = VoiceSettings(variant="en-us+f3", pitch=40, pitch_range=50, pace_words_per_minute=170)
            with suppress(*REFUSALS):
                own_voice.set_up(customer=customer, name="Mine", settings=tuned, key=self.key("voice"), now=self.now())

    def leave_a_hold(self) -> None:
        """A request that reserved and was never heard of again."""
        wallet = Wallet.objects.order_by("id").first()
        if wallet:
            self.hold(wallet.id, self.dice.randint(1, 900))

    def race_for_all(self) -> None:
        """Two requests want all that is left; the second comes while the first has looked and not yet taken."""
        wallet = Wallet.objects.order_by("id").first()
        if wallet and wallet.available:
            hold = partial(self.hold, wallet.id, wallet.available)
            with self.chaos.overtaken("before BEGIN", partial(self.perform, hold)):
                hold()

    def hold(self, wallet_id: int, amount: int) -> None:
        with suppress(*REFUSALS):
            ledger.reserve(wallet_id=wallet_id, key=self.key("lost"), amount=amount, now=self.now())

    def set_recharge(self) -> None:
        customer = self.anyone()
        if customer:
            threshold = self.dice.choice([20_000, 45_000, 60_000])
            recharge.save_settings(
                customer=customer, enabled=self.dice.random() < 0.8, threshold_credits=threshold,
                recharge_to_credits=threshold + self.dice.choice([40_000, 40_001, 77_777]), now=self.now(),
            )  # fmt: skip

    def upset_recharge(self) -> None:
        """Metronome's wish for a recharge gets lost, or the card is changed or all called off while one is made."""
        where, act = self.dice.choice([
            ("before /v2/contracts/edit", partial(self.sandbox.faults.add, "webhook", "drop", times=4)),
            ("after charge", self.change_cards_of_payers),
            (f"before {metronome.RELEASE_PATH}", self.switch_recharges_off),
        ])  # fmt: skip
        with self.chaos.overtaken(where, partial(self.perform, act)):
            self.set_recharge()
            for _ in range(4):
                self.work()
                self.advance(seconds=20)

    def change_cards_of_payers(self) -> None:
        for payment in Payment.objects.open().order_by("created_at"):
            cards.choose(customer_id=payment.customer_id, reference=DECLINING_CARD.reference)

    def change_card(self) -> None:
        customer = self.anyone()
        if customer:
            card = self.dice.choice([GOOD_CARD, GOOD_CARD, DECLINING_CARD])
            cards.choose(customer_id=customer.id, reference=card.reference)

    def gift_at_metronome(self) -> None:
        """Someone adds credits in Metronome's own interface; we hear of it by webhook or by the sweep."""
        contract = Contract.objects.exclude(metronome_id=None).select_related("customer").order_by("id").first()
        if contract and contract.customer.metronome_id:
            starts_at = floor_hour(self.now()) + timedelta(hours=self.dice.choice([0, 0, 0, 1]))
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
                commit = self.dice.choice(made_there)
                archived = [{"id": commit.id}]
                self.taken_away[commit.id] = (
                    contract.customer_id,
                    int(sum(segment.amount for segment in commit.segments)),
                )
                self.hotline.v2.contracts.edit(
                    customer_id=customer_id, contract_id=contract_id, archive_credits=archived
                )
                return

    def give(self) -> None:
        customer = self.anyone()
        if customer:
            key = self.key("gift")
            for _ in range(self.dice.choice([1, 1, 2])):
                gifts.give(
                    customer=customer, credits=5_000, reason="kindness", by=self.staff, key=key,
                    days=self.dice.choice([1, 30]), now=self.now(),
                )  # fmt: skip

    def refund(self) -> None:
        done = list(Generation.objects.filter(state=Generation.State.DONE).order_by("created_at", "key"))
        if done:
            generation = self.dice.choice(done)
            for _ in range(self.dice.choice([1, 1, 2])):
                refunds.refund(generation=generation, by=self.staff, reason="noise", now=self.now())

    def cancel_plan(self) -> None:
        customer = self.anyone()
        if customer:
            with suppress(subscriptions.PlanRefused):
                subscriptions.cancel(customer=customer, now=self.now())

    def upset_plan(self) -> None:
        """Somebody ends a plan in the database that is charged and not granted: all that is left is the money back."""
        with self.chaos.overtaken("after charge", self.end_plans):
            self.choose_plan()
            for _ in range(3):
                self.work()
                self.advance(seconds=20)

    def end_plans(self) -> None:
        with self.chaos.elsewhere():
            live = Subscription.objects.live().exclude(customer__metronome_id=None)
            paid = Q(payments__state__in=[Payment.State.CHARGING, Payment.State.CHARGED])
            for row in live.filter(paid, lease=None).order_by("pk"):
                period = row.payments.open().get().period
                if not self.grants_at_metronome(row.customer, f"vocalis-sub-{row.customer_id}-{row.pk}-{period}"):
                    row.state, row.ended_at, row.due_at = Subscription.State.ENDED, self.now(), None
                    row.save(update_fields=["state", "ended_at", "due_at"])

    def give_money_back(self) -> None:
        """Staff ask for refunds of whatever is charged; only what can never be granted may be refunded."""
        for payment in Payment.objects.filter(state=Payment.State.CHARGED).order_by("created_at"):
            with suppress(workflow.NotRefundable):
                workflow.request_refund(payment, reason="The plan could not be granted.", now=self.now())

    def look_twice(self) -> None:
        """An impatient operator has everybody reconciled a minute after usage was sent, and again a few seconds later."""
        self.work()
        self.advance(seconds=ledger.SETTLING_SECONDS + 1)
        for _ in range(2):
            for customer in Customer.objects.order_by("user_id"):
                sync.nudge(customer.pk, self.now())
            self.work()
            self.advance(seconds=self.dice.randint(5, 20))

    def freeze(self) -> None:
        customer = self.anyone()
        if customer:
            wallet = ledger.wallet_of(customer.pk)
            with self.chaos.elsewhere():  # else the moment given might be long past
                ledger.set_frozen(wallet_id=wallet.pk, frozen=not wallet.frozen_at, now=self.now())

    def upset_webhooks(self) -> None:
        kind = self.dice.choice(["drop", "drop", "duplicate", "reorder", "delay", "bad_signature", "stale"])
        self.sandbox.faults.add(
            "webhook",
            kind,
            times=self.dice.randint(1, 5),
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
            self.give_money_back()
            self.dice.choice(self.workers).drain()
            invariants.always()
            try:
                invariants.at_rest(self)
                agreed += 1
            except AssertionError:
                agreed = 0
            if agreed == 2:
                break
        invariants.at_rest(self)
        self.advance(hours=2)
        self.workers[0].drain()
        invariants.usage_agrees(self)

    def agree_to_drifts(self) -> None:
        for drift in Drift.objects.filter(state=Drift.State.OPEN, approved_by=None):
            sync.approve_drift(drift, user=self.staff, now=self.now())


def simulate(seed: int) -> World:
    """One run. The same seed gives the same run; a broken invariant names the seed and shows the story."""
    world = World(seed)
    with world.running():
        try:
            for act in (world.sign_up, world.choose_plan, world.change_card, world.set_recharge, *[world.work] * 3):
                world.perform(act)
            for _ in range(STEPS):
                world.step()
            world.calm_down()
            world.log += map(str, invariants.books())
        except BaseException as error:
            error.add_note(f"seed {seed}: make simulate SEED={seed}\n" + "\n".join(world.log))
            raise
    return world


def _unforeseen(message: str, *args: Any) -> None:
    """The worker lives through errors nobody foresaw, to try again; here they are what they are, bugs."""
    raise AssertionError(message % args)


def _empty_tables() -> None:
    ContentType.objects.clear_cache()  # or a run would ask less than the first one of a process
    tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
    keep = {"django_migrations", "django_content_type", "auth_permission"}
    wanted = [table for table in tables if table not in keep]
    connection.ops.execute_sql_flush(connection.ops.sql_flush(no_style(), wanted, reset_sequences=True))
