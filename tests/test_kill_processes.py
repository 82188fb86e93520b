"""Real processes under load, and `kill -9` of one after the other: nothing is lost, doubled or
stuck afterwards.

Two web processes and three workers on PostgreSQL (and Redis, if TEST_REDIS_URL names one); on
SQLite one of each, which is all it is for. KILLS=50 makes it long.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import httpx
import pytest
from django.apps import apps
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from metronome import Metronome

from accounts.models import Customer
from accounts.signup import register
from billing import metronome, plans, recharge
from billing.models import Recharge, Reservation
from billing.payments.gateways.stripe import client as stripe_client
from billing.subscriptions import change
from billing.tests.money_stage import select
from jobs.models import Heartbeat, JobRow
from usage.models import Generation, UsageEvent

from . import processes
from .simulation import invariants
from .simulation.stripe_side import StripeSide

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

KILLS = int(os.environ.get("KILLS", "6"))
WEBS, WORKERS = (2, 3) if os.environ.get("TEST_DATABASE_URL") else (1, 1)
CUSTOMERS = 4
CALM_SECONDS = 150  # within which everything must have come to rest
TOKEN = "t" * 32


class Site:
    """The processes of a Vocalis, each started anew when it is killed."""

    def __init__(self, folder: Path, address: str, ports: list[int], stripe: str) -> None:
        self.env = processes.settings_env(
            database_url=processes.own_database_url(),
            metronome_url=address,
            STRIPE_API_URL=stripe,
            MEDIA_ROOT=str(folder / "audio"),
            REDIS_URL=os.environ.get("TEST_REDIS_URL", ""),
            LOG_LEVEL="WARNING",
        )
        self.folder, self.webs = folder, [f"http://127.0.0.1:{port}" for port in ports]
        daphne = ["-m", "daphne", "--bind", "127.0.0.1", "--access-log", os.devnull]
        self.commands = {
            f"web-{port}": [*daphne, "--port", str(port), "vocalis.asgi:application"]
            for port in ports
        }
        self.commands |= {
            f"worker-{number}": ["manage.py", "run_worker"] for number in range(WORKERS)
        }
        self.running: dict[str, subprocess.Popen] = {}

    def start(self, name: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, *self.commands[name]], env=self.env, stdout=log, stderr=log
            )

    def start_all(self) -> None:
        for name in self.commands:
            self.start(name)
        for name in self.commands:
            processes.wait_until(lambda name=name: self.works(name), name)

    def works(self, name: str) -> bool:
        kind, _, port = name.partition("-")
        if kind == "worker":
            return Heartbeat.objects.filter(worker__endswith=f"-{self.running[name].pid}").exists()
        with processes.direct(f"http://127.0.0.1:{port}") as client:
            return processes.answers(client, "/health")

    def kill(self, name: str) -> None:
        self.running[name].kill()
        self.running[name].wait()

    def stop_all(self) -> dict[str, int]:
        """Ask all to stop, as a deployment does; what they exited with."""
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        return {
            name: process.wait(processes.WAIT_SECONDS) for name, process in self.running.items()
        }

    def log(self) -> str:
        return "\n".join(
            f"--- {log.name}\n{log.read_text()}" for log in sorted(self.folder.glob("w*.log"))
        )


class Speaker(threading.Thread):
    """A customer who speaks again and again,
    and does not know of an answer what got lost on its way."""

    def __init__(self, customer: Customer, webs: list[str], stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.webs, self.stop = webs, stop
        self.dice = random.Random(customer.pk.int)
        self.answered: dict[str, dict] = {}
        self.unknown: dict[str, str] = {}
        browser = Client()
        browser.force_login(customer.user)
        self.http = processes.direct(
            cookies={"sessionid": browser.cookies["sessionid"].value, "csrftoken": TOKEN},
            timeout=20,
            headers={"Accept": "application/json", "X-CSRFToken": TOKEN},
        )

    def run(self) -> None:
        while not self.stop.is_set():
            key = uuid.uuid4().hex
            self.unknown[key] = "We speak on. " * self.dice.randint(10, 130)
            for _ in range(3):
                if self.ask(key):
                    break
                self.stop.wait(self.dice.random())
            self.stop.wait(self.dice.uniform(0.1, 0.6))

    def ask(self, key: str) -> bool:
        """Send a text, perhaps again. Whether there is a final answer."""
        form = {"text": self.unknown[key], "voice": "standard-classic"}
        try:
            answer = self.http.post(
                f"{self.dice.choice(self.webs)}/studio/",
                data=form,
                headers={"Idempotency-Key": key},
            )
        except httpx.TransportError:
            return False
        assert answer.status_code in (201, 402, 409, 503), (
            f"{answer.status_code} {answer.text[:500]}"
        )
        if answer.status_code == 201:
            self.answered[key] = answer.json()
        # 409: whoever began it may be dead; 503: the database was busy.
        elif answer.status_code != 402:
            return False
        else:
            self.stop.wait(0.5)  # for the plan's credits, or for a recharge
        del self.unknown[key]
        return True


class Agreement(StripeSide):
    """What the invariants ask about Metronome, asked of a sandbox in a process of its own, and
    about Stripe, whose sandbox is served by this one."""

    # Nobody takes credits away at Metronome here.
    taken_away: ClassVar[dict[str, tuple[object, int]]] = {}
    # Nor does anybody lose audio here, have it made again, or stream speech.
    lost: ClassVar[set[str]] = set()
    attempts: ClassVar[set[str]] = set()
    heard: ClassVar[list[object]] = []
    # Mails leave from processes that nobody looks into.
    mails: ClassVar[None] = None
    # What customers were shown when they chose their plan, by customer and key.
    agreed: ClassVar[dict[tuple[object, str], change.Shown]] = {}
    now = staticmethod(timezone.now)

    def __init__(self, site: Site) -> None:
        self.control, self.client = site.control, metronome.client.client()
        self.stripe, audio = site.stripe, site.folder / "audio"
        self.audio = audio

    def events_at_metronome(self) -> list[SimpleNamespace]:
        ids = list(UsageEvent.objects.values_list("transaction_id", flat=True))
        found = [
            SimpleNamespace(id=event["transaction_id"])
            for at in range(0, len(ids), 100)
            for event in self.control.post(
                "/v1/events/search", json={"transactionIds": ids[at : at + 100]}
            ).json()
        ]
        count = self.control.get("/_sandbox/state").json()["counts"]["events"]
        return found + [
            SimpleNamespace(id=f"invented {number}") for number in range(len(found), count)
        ]

    def customers_at_metronome(self, alias: str) -> int:
        return len(list(self.client.v1.customers.list(ingest_alias=alias)))

    def names_at_metronome(self, customer: Customer) -> list[str]:
        found = self.client.v1.customers.retrieve(customer_id=customer.metronome_id or "").data
        return [found.name, *found.ingest_aliases]

    def aliases_at_metronome(self) -> set[str]:
        return {
            alias
            for customer in self.client.v1.customers.list()
            for alias in customer.ingest_aliases
        }

    def contracts_at_metronome(self, customer: Customer) -> int:
        return len(list(self.client.v2.contracts.list(customer_id=customer.metronome_id or "")))

    def balance_at_metronome(self, customer: Customer) -> Decimal:
        return metronome.net_balance(customer_id=customer.metronome_id or "")

    def usage_lines(self, customer: Customer) -> list[dict[str, Any]]:
        invoices = self.client.v1.customers.invoices.list(customer_id=customer.metronome_id or "")
        return [
            line.to_dict()
            for invoice in invoices
            if invoice.type == "USAGE"
            for line in invoice.line_items
        ]

    def stored(self) -> set[str]:
        files = (path for path in self.audio.rglob("*") if path.is_file())
        return {path.relative_to(self.audio).as_posix() for path in files}

    @staticmethod
    def counted_too_late() -> Counter[object]:
        return Counter()  # nothing here takes a day


@pytest.fixture
def site(tmp_path, monkeypatch, settings):
    ports = [processes.free_port() for _ in range(WEBS)]
    hooks = []
    for port in ports:
        hooks += ["--webhook-url", f"http://127.0.0.1:{port}/api/webhooks/metronome/alerts"]
        hooks += ["--webhook-secret", "sandbox-webhook-secret"]
    with ExitStack() as stack:
        control = stack.enter_context(
            processes.sandbox(tmp_path / "sandbox.log", *hooks, "--evaluate-every", "0.2")
        )
        address = str(control.base_url)
        client = stack.enter_context(
            Metronome(
                bearer_token="sandbox",
                base_url=address,
                max_retries=2,
                http_client=processes.direct(),
            )
        )
        monkeypatch.setattr(metronome.client, "client", lambda: client)
        call_command("bootstrap_metronome", verbosity=0)
        box, stripe_url = stack.enter_context(
            processes.stripe(f"http://127.0.0.1:{ports[0]}/api/webhooks/stripe")
        )
        settings.STRIPE_API_URL = stripe_url
        stripe_client._client.cache_clear()
        stack.callback(stripe_client._client.cache_clear)
        site = Site(tmp_path, address, ports, stripe_url)
        site.control, site.stack, site.stripe = control, stack, box
        try:
            site.start_all()
            yield site
        finally:
            for name in site.running:
                site.kill(name)


def new_customer(number: int) -> Customer:
    """Signs up, takes a plan, and lets itself be recharged often."""
    now = timezone.now()
    customer = register(
        email=f"c{number}@example.com",
        password="irrelevant",
        first_name="C",
        last_name=str(number),
        now=now,
    )
    plan = plans.PLANS["trial" if number % 3 == 0 else "creator"]
    price_cents, next_cents = plan.price_cents or 0, 0 if plan.once else plan.price_cents or 0
    chosen = select(customer, plan.key, now)
    Agreement.agreed[customer.pk, chosen.key] = change.Shown(now, price_cents, 0, 0, next_cents)
    recharge.save_settings(
        customer=customer,
        enabled=True,
        threshold_credits=plan.credits - 5_000,
        recharge_to_credits=plan.credits + 35_000,
        limit_cents=recharge.LIMIT_CENTS_MAX,
        now=now,
    )
    return customer


def let_a_quarter_of_an_hour_pass() -> None:
    """While nothing runs: leases end, reservations expire, and interrupted requests stay gone."""
    now = timezone.now()
    past = now - timedelta(minutes=15)
    for model in apps.get_models():
        if issubclass(model, JobRow):
            model._default_manager.exclude(lease=None).update(leased_until=now, due_at=now)
            model._default_manager.filter(due_at__gt=now).update(due_at=now)
    Reservation.objects.open().update(expires_at=now)
    Generation.objects.filter(state="pending").update(taken_at=past)


def let_recharges_wait_no_longer() -> None:
    """Of three in ten minutes the third waits: let the ten minutes be over."""
    now = timezone.now()
    past = now - timedelta(minutes=15)
    Recharge.objects.filter(charged_at__gt=past).update(charged_at=past)
    Recharge.objects.filter(state=Recharge.State.REQUESTED).run_now(now)


def come_to_rest(agreement: Agreement) -> None:
    until = time.monotonic() + CALM_SECONDS
    while True:
        try:
            return invariants.at_rest(agreement)
        except AssertionError:
            if time.monotonic() > until:
                raise
            let_recharges_wait_no_longer()
            time.sleep(1)


@pytest.mark.timeout(CALM_SECONDS + 60 + 30 * KILLS)
def test_killed_processes_lose_double_and_block_nothing(site):
    dice = random.Random(KILLS)
    stop = threading.Event()
    speakers: list[Speaker] = []
    killed: Counter[str] = Counter()
    for number in range(KILLS):
        if number < CUSTOMERS:
            speakers.append(Speaker(new_customer(number), site.webs, stop))
            site.stack.enter_context(speakers[-1].http)
            speakers[-1].start()
        time.sleep(dice.uniform(0.2, 2))
        name = dice.choice(list(site.commands))
        site.kill(name)
        killed[name] += 1
        site.start(name)
        processes.wait_until(lambda name=name: site.works(name), name)

    try:
        assert set(site.stop_all().values()) == {0}, "a deployment, with requests under way"
        stop.set()
        for speaker in speakers:
            speaker.join(processes.WAIT_SECONDS)
        invariants.always()
        let_a_quarter_of_an_hour_pass()
        site.start_all()
        for speaker in speakers:
            for key in list(speaker.unknown)[::2]:  # every other one is asked for again
                processes.wait_until(lambda speaker=speaker, key=key: speaker.ask(key), "answer")
        come_to_rest(Agreement(site))
        assert set(site.stop_all().values()) == {0}
        invariants.always()
        nobody_heard_what_is_not_so(speakers)
        assert "failed on row" not in site.log()
    except BaseException:
        print(site.log()[-20_000:])  # noqa: T201
        raise
    spoken = sum(len(speaker.answered) for speaker in speakers)
    recharged = Recharge.objects.filter(state="granted").count()
    print(f"killed {dict(killed)}; {spoken} texts spoken, {recharged} recharges")  # noqa: T201
    assert spoken > 2 * KILLS and recharged


def nobody_heard_what_is_not_so(speakers: list[Speaker]) -> None:
    """Every answer a customer got is a row, done and paid for once."""
    answered = {
        answer["id"]: (key, answer)
        for speaker in speakers
        for key, answer in speaker.answered.items()
    }
    assert len(answered) == sum(len(speaker.answered) for speaker in speakers), (
        "one generation a key"
    )
    for generation in Generation.objects.filter(pk__in=answered).select_related("reservation"):
        key, answer = answered.pop(str(generation.pk))
        assert (generation.key, generation.state, generation.credits) == (
            key,
            "done",
            answer["credits"],
        )
        assert generation.reservation.captured == answer["credits"]
    assert not answered, "an answer without its row"
