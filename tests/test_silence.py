"""Whoever is called outside may accept the call and say nothing more: each call has a time-out, in
seconds.

`CALLERS` are all modules that can open a connection. A new one goes in there with a test of its
time-out.
"""

from __future__ import annotations

import ast
import asyncio
import signal
import socket
import threading
import time
from contextlib import contextmanager, suppress
from datetime import timedelta

import psycopg
import pytest
from django.conf import settings as current
from django.core.cache.backends.redis import RedisCache
from django.utils import timezone
from redis import RedisError

from accounts import password_reset
from accounts.models import Customer
from billing import metronome
from billing.live import wake
from billing.payments.gateways.stripe import client as stripe
from jobs.errors import Unavailable
from mails import transport
from mails.models import OutboundMail
from metronome_sandbox.kit import delivery
from vocalis import mail_providers
from vocalis.management.commands import run_all

from . import processes
from .processes import wait_until
from .test_architecture import imports, modules, top

SECONDS = 0.3  # the time-out given to what is called here
QUICK_SECONDS = 5  # the most a call may take then, several tries included

# Imports by which a connection can be opened, the database apart.
CONNECTING = {
    "aiohttp",
    "channels",
    "channels_redis",
    "ftplib",
    "http.client",
    "httpcore",
    "httpx",
    "imaplib",
    "metronome",
    "poplib",
    "psycopg",
    "redis",
    "requests",
    "smtplib",
    "socket",
    "ssl",
    "telnetlib",
    "urllib.request",
    "urllib3",
    "websockets",
    "xmlrpc",
    "django.core.mail",
    "anymail.backends",
}
CALLERS = {
    "billing/live/wake.py",
    "billing/metronome/client.py",
    "billing/metronome/contracts.py",  # by client.py
    "billing/metronome/network.py",  # the client of client.py, which gives it its time-outs
    "billing/metronome/usage.py",  # by client.py
    "billing/payments/gateways/stripe/client.py",
    "mails/transport.py",
    "metronome_sandbox/metronome_sandbox/kit/delivery.py",
    "vocalis/management/commands/run_all.py",
}
NO_CALLERS = {
    "accounts/throttle.py",  # counts in the cache; names its errors
    "api/limits.py",  # the same
    "billing/metronome/credits.py",  # names a parameter of the SDK
    "jobs/worker.py",  # the name of this machine
    "mails/kept.py",  # writes files
    "notifications/addresses.py",  # asks the resolver, in a thread that it stops waiting for
    "notifications/network.py",  # a deadline for each delivery; its tests have silent receivers
    "metronome_sandbox/metronome_sandbox/kit/transport.py",  # within the process
    "metronome_sandbox/metronome_sandbox/kit/server.py",  # listens
    "stripe_sandbox/client.py",  # the same; a mapping of requests
    "vocalis/public/status.py",  # reads the cache; names its errors
    "vocalis/variables.py",  # makes a backend of mail, which opens nothing
    "usage/engines/process.py",  # its own helper, with a deadline for each request
    "usage/engines/remote/client.py",  # a deadline for each piece; its tests have silent servers
}
OPENING = {
    "urlopen",
    "create_connection",
    "open_connection",
    "Metronome",
    "RequestsClient",
    "SMTP",
    "SMTP_SSL",
    "HTTPConnection",
}


@contextmanager
def silent_server():
    """It accepts every connection and never says a word. Yields its port."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield server.getsockname()[1]


@pytest.fixture
def silent():
    with silent_server() as port:
        yield port


@pytest.fixture
def production(read_settings):
    """The settings as a site with everything reads them."""
    addresses = {
        "DATABASE_URL": "postgres://vocalis@127.0.0.1:1/vocalis",
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }
    return vars(read_settings(SECRET_KEY="s" * 50, **addresses))


@contextmanager
def quickly():
    began_at = time.monotonic()
    yield
    assert time.monotonic() - began_at < QUICK_SECONDS


# --- That no call is forgotten --------------------------------------------------------------------


def test_every_module_that_can_open_a_connection_is_known_here():
    found = {
        path
        for path, tree in modules()
        for name in imports(path, tree)
        if top(name) in CONNECTING
        or any(name == one or name.startswith(f"{one}.") for one in CONNECTING)
    }

    assert found == CALLERS | NO_CALLERS


def test_every_call_that_opens_a_connection_names_its_time_out():
    """Those of HTTP clients, Metronome's, and whatever `.open`s an address."""
    calls = [
        (f"{path}:{node.lineno}", {keyword.arg for keyword in node.keywords})
        for path, tree in modules()
        if path in CALLERS
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and (name := getattr(node.func, "attr", getattr(node.func, "id", "")))
        and (
            name in OPENING
            or ast.unparse(node.func)
            in ("_opener(url).open", "httpx.Client", "httpx.get", "httpx.post")
        )
    ]

    assert len(calls) == 4, (
        "Metronome's client and Stripe's, the sandbox's deliveries, the look whether the site "
        "answers"
    )
    assert [place for place, keywords in calls if "timeout" not in keywords] == []


def test_time_outs_of_the_settings_are_seconds(production):
    database = production["DATABASES"]["default"]["OPTIONS"]
    layer = production["CHANNEL_LAYERS"]["default"]["CONFIG"]["hosts"][0]
    cache = production["CACHES"]["default"]["OPTIONS"]

    assert database["connect_timeout"] == 5
    assert (
        database["keepalives_idle"] + database["keepalives_interval"] * database["keepalives_count"]
        == 30
    )
    assert [layer[f"socket_{name}timeout"] for name in ("", "connect_")] == [1, 1]
    assert [cache[f"socket_{name}timeout"] for name in ("", "connect_")] == [1, 1]
    assert production["EMAIL_TIMEOUT"] == current.EMAIL_TIMEOUT == 10


def test_options_in_the_address_of_the_database_come_first(read_settings):
    url = "postgres://vocalis@127.0.0.1:1/vocalis?connect_timeout=2"

    options = read_settings(SECRET_KEY="s" * 50, DATABASE_URL=url).DATABASES["default"]["OPTIONS"]

    assert (options["connect_timeout"], options["keepalives_idle"]) == (2, 10)


# --- Each of them, before a server that says nothing ----------------------------------------------


@pytest.fixture
def silent_mail(settings, silent):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", silent, SECONDS


@pytest.mark.parametrize("encryption", ["EMAIL_USE_TLS", "EMAIL_USE_SSL", None])
def test_a_silent_mail_server_is_tried_again_later(silent_mail, settings, encryption):
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
    if encryption:
        setattr(settings, encryption, True)

    with quickly(), pytest.raises(Unavailable):
        transport.send(to="a@example.com", subject="s", text="t")


@pytest.mark.parametrize(
    "address",
    [
        "postmark://?server_token=t&api_url=http://127.0.0.1:{port}/",
        "amazon-ses://?region_name=eu-west-1&aws_access_key_id=k&aws_secret_access_key=s"
        "&endpoint_url=http://127.0.0.1:{port}/",
    ],
)
def test_a_silent_mail_provider_is_tried_again_later(silent, settings, monkeypatch, address):
    assert (mail_providers.CONNECT_SECONDS, mail_providers.READ_SECONDS) == (5, 10)
    monkeypatch.setattr(mail_providers, "READ_SECONDS", SECONDS)
    monkeypatch.setitem(mail_providers.SES_CONFIG, "read_timeout", SECONDS)
    found = mail_providers.read(address.format(port=silent))
    settings.EMAIL_BACKEND, settings.ANYMAIL = found["EMAIL_BACKEND"], found["ANYMAIL"]

    with quickly(), pytest.raises(Unavailable):
        transport.send(to="a@example.com", subject="s", text="t")


def test_a_silent_mail_server_keeps_no_other_row_waiting(silent_mail, stage, alice, now):
    password_reset.ask(email=alice.user.email, now=now - timedelta(seconds=30))

    with quickly():
        stage.drain()

    mail = OutboundMail.objects.get()
    assert (mail.attempts, mail.dead_at) == (1, None)
    assert Customer.objects.get().metronome_id


@pytest.mark.parametrize("client", ["reader", "writer"])
def test_a_silent_metronome_is_tried_again_later(client, silent, settings, monkeypatch):
    settings.METRONOME_API_URL = f"http://127.0.0.1:{silent}"
    monkeypatch.setattr(metronome.client, "READ_TIMEOUT_SECONDS", SECONDS)
    monkeypatch.setattr(metronome.client, "WRITE_TIMEOUT_SECONDS", SECONDS)
    metronome.client.client.cache_clear()
    try:
        with quickly(), pytest.raises(Unavailable), metronome.client.translate_errors("ask"):
            getattr(metronome.client, client)().post("/v1/customers", cast_to=object, body={})
    finally:
        metronome.client.client().close()
        metronome.client.client.cache_clear()


def test_metronome_has_seconds_for_every_part_of_a_call(settings):
    metronome.client.client.cache_clear()
    try:
        ordinary = metronome.client.reader().timeout
        assert (ordinary.connect, ordinary.read, ordinary.write, ordinary.pool) == (5, 10, 10, 10)
        assert metronome.client.writer().timeout == metronome.client.WRITE_TIMEOUT_SECONDS == 30
        with metronome.call_timeout(3):
            assert metronome.client.reader().timeout == 3
        assert metronome.client.client().max_retries == 0
    finally:
        metronome.client.client().close()
        metronome.client.client.cache_clear()


@contextmanager
def stripe_at(settings, port: int):
    settings.STRIPE_SECRET_KEY = "rk_test_1"
    settings.STRIPE_API_URL = f"http://127.0.0.1:{port}"
    stripe._client.cache_clear()
    try:
        yield
    finally:
        stripe._client.cache_clear()


def test_a_silent_stripe_is_tried_again_later(silent, settings):
    short = stripe._timeout.set((SECONDS, SECONDS))
    try:
        with stripe_at(settings, silent), quickly(), pytest.raises(Unavailable) as caught:
            stripe.call(lambda: stripe.client().v1.customers.retrieve("cus_1"))
    finally:
        stripe._timeout.reset(short)
    assert not caught.value.is_doubtful


def test_a_stripe_whose_answer_drips_is_given_up_too(settings, monkeypatch):
    """Each byte comes within the time-out of a read, which begins anew with it."""
    monkeypatch.setattr(stripe, "WHOLE_SECONDS", SECONDS)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip():
            with server.accept()[0] as line, suppress(OSError):
                line.recv(65_536)
                line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                for _ in range(1_000):
                    line.sendall(b" ")
                    time.sleep(SECONDS / 10)

        thread = threading.Thread(target=drip)
        thread.start()
        with stripe_at(settings, server.getsockname()[1]), quickly(), pytest.raises(Unavailable):
            stripe.call(lambda: stripe.client().v1.customers.retrieve("cus_1"))
        thread.join()


def test_stripe_has_seconds_for_every_part_of_a_call(settings):
    with stripe_at(settings, 1):
        assert stripe.client()._requestor._client._timeout == (5, 25)
        with stripe.for_page():
            assert stripe.client()._requestor._client._timeout == (2, 4)
        assert stripe.client()._requestor._options.max_network_retries == 0


def test_a_silent_redis_fails_a_count_within_a_second(silent, production):
    cache = RedisCache(
        f"redis://127.0.0.1:{silent}/0", {"OPTIONS": production["CACHES"]["default"]["OPTIONS"]}
    )

    with quickly(), pytest.raises(RedisError):
        cache.get("tries")
    cache.close()


def test_a_silent_redis_fails_the_channel_layer_within_seconds(
    silent, production, settings, monkeypatch
):
    layer = production["CHANNEL_LAYERS"]["default"]
    layer["CONFIG"]["hosts"][0]["address"] = f"redis://127.0.0.1:{silent}/0"
    settings.CHANNEL_LAYERS = {"default": layer}
    monkeypatch.setattr(wake, "JOIN_SECONDS", SECONDS)

    with quickly(), pytest.raises(TimeoutError):
        asyncio.run(wake._receive(lambda wallets: None))


def test_a_silent_database_is_given_up_after_the_seconds_of_the_settings(silent, production):
    # The least that libpq takes.
    options = production["DATABASES"]["default"]["OPTIONS"] | {"connect_timeout": 2}

    with quickly(), pytest.raises(psycopg.OperationalError, match="timeout"):
        psycopg.connect(host="127.0.0.1", port=silent, user="vocalis", **options)


def test_a_silent_destination_of_the_sandbox_is_given_up(silent, monkeypatch):
    monkeypatch.setattr(delivery, "TIMEOUT_SECONDS", SECONDS)

    with quickly(), pytest.raises(OSError):
        delivery.send_over_http(f"http://127.0.0.1:{silent}/", b"{}", {})


def test_a_silent_site_is_asked_again_by_run_all(silent, monkeypatch):
    monkeypatch.setattr(current, "PORT", silent)
    monkeypatch.setattr(run_all, "PROBE_SECONDS", SECONDS)

    with quickly():
        assert not run_all.site_answers()


@pytest.mark.process
@pytest.mark.django_db(transaction=True)
def test_a_worker_before_a_silent_mail_server_does_the_rest_and_stops_when_told(
    tmp_path, silent, alice
):
    password_reset.ask(email=alice.user.email, now=timezone.now() - timedelta(seconds=1))
    with processes.sandbox(tmp_path / "sandbox.log") as sandbox:
        env = processes.settings_env(
            database_url=processes.own_database_url(),
            metronome_url=str(sandbox.base_url),
            EMAIL_URL=f"smtp://127.0.0.1:{silent}",
        )
        with processes.running(
            tmp_path / "worker.log", "manage.py", "run_worker", env=env
        ) as worker:
            wait_until(
                lambda: Customer.objects.exclude(metronome_id=None).exists(), "provisioned customer"
            )
            wait_until(
                lambda: OutboundMail.objects.filter(attempts=1).exists(), "first try of the mail"
            )
            wait_until(
                lambda: OutboundMail.objects.exclude(lease=None).exists(), "second try of the mail"
            )
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(current.EMAIL_TIMEOUT + 10) == 0
    mail = OutboundMail.objects.get()
    assert (mail.lease, mail.dead_at) == (None, None)
