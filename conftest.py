"""The cast and the stage of all tests:
alice and bob, a funded wallet, the sandbox with the real SDK in front of it."""

from __future__ import annotations

import io
import threading
import wave
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
import time_machine
from django.core.cache import cache
from django.db import connection
from django.test import Client, TransactionTestCase
from django.utils import timezone

pytest_plugins = ["tests.databases", "tests.pace"]

PASSWORD = "correct horse battery"
STRIPE_ORIGIN = "http://stripe.example"  # of the sandbox in this process


@pytest.fixture(scope="session", autouse=True)
def tables_emptied_quickly():
    """A test that commits is followed by Django's `flush`, some seven hundred times.

    It empties the permissions and content types too, and then has every app make its own anew.
    """
    from tests.emptying import empty_tables

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda case: empty_tables())
        yield


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix, django_db_blocker):
    """pytest-django's, before it makes the database, which need not outlive a crash of the machine.

    Only of the tests' own connections: the processes they start and kill sync as the product does.
    It is a copy of one that is migrated; what Django migrates after that is there already.
    """
    from tests import migrated, prepared

    options, creation = connection.settings_dict["OPTIONS"], connection.creation
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        if connection.vendor == "sqlite":
            options["init_command"] += "PRAGMA synchronous=OFF;"

            def create(*args, **options) -> str:
                name = create_empty(*args, **options)
                migrated.copy_sqlite(name)
                return name

            create_empty = creation._create_test_db
            patch.setattr(creation, "_create_test_db", create)
        else:
            options["options"] = "-c synchronous_commit=off"
            with django_db_blocker.unblock():
                template = migrated.postgresql_template()
            connection.settings_dict["TEST"]["TEMPLATE"] = template
            stack.enter_context(prepared.what_is_due())
        yield


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """At the end PostgreSQL removes a database only once nobody is connected to it.

    What a killed process or a thread of the tests has left open there is closed: on a slow machine
    its connection outlives the tests.
    """
    yield
    if connection.vendor == "postgresql":
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


@pytest.fixture
def now() -> datetime:
    """The real time, to the second; pass it on, or `now + timedelta(...)` for later."""
    return timezone.now().replace(microsecond=0)


@pytest.fixture(autouse=True)
def nobody_has_tried_yet():
    """Tests log in and sign up from one address; its count of tries starts anew."""
    cache.clear()


@pytest.fixture(autouse=True)
def own_audio_folder(settings, tmp_path):
    settings.MEDIA_ROOT = str(tmp_path / "audio")
    settings.AUDIO_CACHE = str(tmp_path / "audio-cache")


def wav(samples: bytes, sample_rate: int = 22_050) -> bytes:
    """A WAV file of these samples (16 bit, mono), as an engine gives it."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, sample_rate, 0, "NONE", ""))
        writer.writeframes(samples)
    return file.getvalue()


def make_customer(email: str, first_name: str, **fields):
    from accounts.models import Customer, IngestAlias, User

    user = User.objects.create_user(
        email, PASSWORD, first_name=first_name, last_name="Tester", **fields
    )
    since = timezone.now() - timedelta(seconds=30)  # due on the frozen clock, not yet late
    customer = Customer.objects.create(user=user, created_at=since, due_at=since)
    IngestAlias.objects.create(customer=customer, kind="stable", name=customer.stable_alias)
    IngestAlias.objects.create(customer=customer, kind="email", name=f"vocalis_{email}")
    return customer


@pytest.fixture
def alice(db):
    """A customer who has just signed up; her `.user` can log in with PASSWORD."""
    return make_customer("alice@example.com", "Alice")


@pytest.fixture
def bob(db):
    """Another customer, who must see nothing of alice's."""
    return make_customer("bob@example.com", "Bob")


@pytest.fixture
def staff(db):
    from accounts.models import User

    return User.objects.create_superuser(
        "staff@example.com", PASSWORD, first_name="Sam", last_name="Staff"
    )


def fund(
    customer,
    credits: int,
    now: datetime,
    *,
    segment_id: str = "",
    priority: int = 10,
    ends_at=None,
    is_free=True,
):
    """Give a customer credits at the ledger, without Metronome. Returns the wallet."""
    from billing import ledger
    from billing.models import Wallet

    wallet = ledger.wallet_of(customer.id)
    segment_id = segment_id or f"segment-{customer.id}-{wallet.version}"
    segment = ledger.Segment(
        kind="credit",
        remote_id=f"of-{segment_id}",
        segment_id=segment_id,
        key="",
        name="Test credits",
        amount=credits,
        priority=Decimal(priority),
        is_free=is_free,
        starts_at=now - timedelta(hours=1),
        ends_at=ends_at or now + timedelta(days=365),
    )
    ledger.record_grant(wallet_id=wallet.id, segment=segment, now=now)
    return Wallet.objects.get(id=wallet.id)


@pytest.fixture
def wallet(alice, now):
    """Alice's wallet with 500 credits, known to the ledger only."""
    return fund(alice, 500, now)


@pytest.fixture
def proxy(monkeypatch):
    """The environment of a company network: a proxy for everything, which reaches nothing of this
    machine.

    The list of the addresses it was asked for.
    """
    asked = []

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(504)

        do_POST = do_CONNECT = do_GET

        def log_message(self, *args):
            pass

    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name.upper()}_PROXY", raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name in ("http_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{server.server_port}")
        yield asked
        server.shutdown()


@pytest.fixture
def lacking(monkeypatch):
    """Given the name of a speech engine, it lacks a package of it from then on."""
    from usage import engines
    from usage.engines.pooled import missing_packages

    def lack(name: str) -> None:
        module = import_module(f"usage.engines.{name}")
        monkeypatch.setattr(module, "missing", lambda: missing_packages(f"{name}_model"))
        engines.missing.cache_clear()

    yield lack
    engines.missing.cache_clear()


@pytest.fixture
def sandbox(request, settings, monkeypatch):
    """A fresh Metronome with a clock of its own, and `billing.metronome` speaking to it with the
    real SDK, strictly.

    It starts at the real time, with the catalogue empty: see `stage` for one that is set up.
    """
    from billing import metronome
    from billing.plans import PRICING_UNIT_NAME
    from metronome_sandbox import Sandbox
    from tests import catalogue

    is_set_up = "stage" in request.fixturenames
    emulator = Sandbox(
        credit_type_id=settings.VOCALIS_CREDIT_TYPE_ID,
        unit=PRICING_UNIT_NAME,
        now=datetime.now(UTC).replace(microsecond=0),
        evaluate_every_seconds=0,
        sender=lambda url, body, headers: deliver(url, body, headers, at=emulator.clock.now()),
        state_path=catalogue.state_path(catalogue.SET_UP_AT) if is_set_up else None,
    )
    emulator.close()  # what it has read of a file stays as it is there
    client = catalogue.sdk(emulator.transport())
    monkeypatch.setattr(metronome.client, "client", lambda: client)
    return emulator


@pytest.fixture
def stripe_box(sandbox, settings, monkeypatch):
    """Stripe on the clock of `sandbox`, and the gateway speaking to it with the official package.

    `billing.tests.stripe_stage` has what customers do there. It calls back under `webhooks` only.
    """
    import stripe

    import stripe_sandbox
    from billing.payments.gateways.stripe import client

    box = stripe_sandbox.Sandbox(
        api_keys={settings.STRIPE_SECRET_KEY: None},
        clock=sandbox.clock,
        origin=STRIPE_ORIGIN,
        sender=lambda url, body, headers: deliver(url, body, headers, at=box.clock.now()),
    )
    sdk = stripe.StripeClient(
        settings.STRIPE_SECRET_KEY,
        stripe_version=client.API_VERSION,
        max_network_retries=0,
        http_client=box.http_client(),
        base_addresses={"api": STRIPE_ORIGIN},
    )
    monkeypatch.setattr(client, "_client", lambda timeout: sdk)
    return box


@pytest.fixture
def card(alice, stripe_box):
    """Alice's good card, which she has saved."""
    from billing.tests.stripe_stage import save_card

    return save_card(alice)


def deliver(url: str, body: bytes, headers: dict[str, str], *, at: datetime) -> int:
    """Post a webhook of the sandbox to our endpoint, which reads `at` from its clock.
    Returns the HTTP status."""
    with time_machine.travel(at, tick=False):
        answer = Client().post(
            urlsplit(url).path, body, content_type="application/json", headers=headers
        )
    return answer.status_code


@pytest.fixture
def webhooks(sandbox, stripe_box, settings):
    """Both sandboxes deliver their webhooks, signed, to our endpoints;
    `stage.advance()` and `tick()` of each send them."""
    url = "http://testserver/api/webhooks"
    sandbox.world.webhooks = [(f"{url}/metronome/alerts", settings.METRONOME_WEBHOOK_SECRETS[0])]
    stripe_box.world.webhooks = [(f"{url}/stripe", settings.STRIPE_WEBHOOK_SECRETS[0])]
    return sandbox


@pytest.fixture
def stage(sandbox, stripe_box, db):
    """Both sandboxes, Metronome's with our catalogue as bootstrap_metronome made it, and a worker:
    `stage.drain()` does all that is due. `stage.stripe` is Stripe.

    `stage.advance(hours=1)` moves the sandboxes' clock and the worker's together; `stage.now()`
    reads them.
    """
    from billing.metronome import setup
    from jobs.worker import Worker, all_jobs

    # Known from here on, and not asked for when a test counts its calls or Metronome is down.
    setup.rate_card_id()
    setup.credits_product_id()
    worker = Worker(all_jobs(), clock=sandbox.clock.now)

    def advance(**delta) -> None:
        sandbox.clock.advance(timedelta(**delta))
        sandbox.tick()
        stripe_box.tick()

    return SimpleNamespace(
        sandbox=sandbox,
        stripe=stripe_box,
        drain=worker.drain,
        advance=advance,
        now=sandbox.clock.now,
    )
