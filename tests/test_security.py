"""What must not get out, and what must not get in."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from dataclasses import asdict
from datetime import timedelta

import httpx
import pytest
from django.conf import settings
from django.test import Client
from metronome import Metronome

from accounts.models import Customer, User
from accounts.signup import register
from billing import metronome
from conftest import PASSWORD, fund
from jobs.worker import Worker, all_jobs
from usage.models import Generation, UsageEvent
from usage.speech import own_voice, speak
from vocalis import health

from . import processes
from .test_checks import GOOD

KEY, HOOK, SIGNING = "metronome-key-7c1d", "webhook-secret-94ab", "signing-key-e02f"
SECRETS = (KEY, HOOK, SIGNING, PASSWORD)


@pytest.fixture
def secrets(settings):
    settings.METRONOME_API_KEY, settings.METRONOME_WEBHOOK_SECRETS, settings.SECRET_KEY = (
        KEY,
        [HOOK],
        SIGNING,
    )
    settings.DEBUG = False


@pytest.fixture
def talkative(monkeypatch, secrets):
    """A Metronome that refuses our key and quotes it, in the way `kind` says."""

    def refuse(status: int):
        def answer(request: httpx.Request) -> httpx.Response:
            return httpx.Response(
                status, json={"message": f"refused: {request.headers['Authorization']}"}
            )

        http = httpx.Client(transport=httpx.MockTransport(answer))
        client = Metronome(
            bearer_token=KEY, base_url="https://metronome.example", max_retries=0, http_client=http
        )
        monkeypatch.setattr(metronome.client, "client", lambda: client)

    return refuse


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 429, 500])
def test_a_key_that_metronome_quotes_is_written_nowhere(
    client, staff, alice, talkative, caplog, monkeypatch, now, status
):
    monkeypatch.setattr(health, "_last", None)
    talkative(status)
    with caplog.at_level(logging.DEBUG):
        Worker(all_jobs(), clock=lambda: now + timedelta(seconds=5)).drain()
        client.force_login(staff)
        pages = [
            client.get(path).text
            for path in (
                "/admin/",
                f"/admin/accounts/customer/{alice.pk}/change/",
                "/admin/jobs/pausedjob/",
                "/health/integrations",
            )
        ]

    row = Customer.objects.get()
    assert row.last_error, "the refusal was noted"
    for text in (row.last_error, caplog.text, *pages):
        assert not [secret for secret in SECRETS if secret in text]


def test_a_key_that_is_no_header_is_not_quoted_either(secrets, settings, alice, now):
    settings.METRONOME_API_KEY = f"{KEY}\n"
    client = Metronome(
        bearer_token=f"{KEY}\n",
        base_url="https://metronome.example",
        max_retries=0,
        http_client=processes.direct(),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metronome.client, "client", lambda: client)
        Worker(all_jobs(), clock=lambda: now + timedelta(seconds=5)).drain()

    assert KEY not in Customer.objects.get().last_error != ""


def test_error_pages_and_their_log_show_no_secret_and_no_password(secrets, caplog, monkeypatch, db):
    def break_down(*args, **kwargs):
        raise RuntimeError("no such luck")

    monkeypatch.setattr("accounts.views.signup.register", break_down)
    client = Client(raise_request_exception=False)
    answers = {
        "email": "eve@example.com",
        "first_name": "E",
        "last_name": "V",
        "password": PASSWORD,
    }
    with caplog.at_level(logging.DEBUG):
        answer = client.post("/accounts/signup/", answers)

    assert (answer.status_code, "Something went wrong here" in answer.text) == (500, True)
    for text in (answer.text, caplog.text):
        assert not [secret for secret in SECRETS if secret in text]


def test_usage_events_carry_nothing_personal(stage, client, now):
    customer = register(
        email="ida@example.com", password=PASSWORD, first_name="Ida", last_name="Lovelace", now=now
    )
    fund(customer, 50_000, now)
    speak.speak(customer=customer, text="My private words", voice_id="standard", key="k", now=now)
    tuned = {"pitch": 1.05, "range": 0.9, "pace": 1.1}
    own_voice.set_up(customer=customer, name="Idas voice", settings=tuned, key="k", now=now)
    stage.advance(seconds=5)
    stage.drain()

    assert UsageEvent.objects.exclude(sent_at=None).count() == 2
    sent = json.dumps([asdict(event) for event in stage.sandbox.world.store.events], default=str)
    assert str(customer.id) in sent
    for personal in ("ida@", "Ida", "Lovelace", "private", "Idas voice"):
        assert personal not in sent


# --- Files ----------------------------------------------------------------------------------------


@pytest.fixture
def spoken(alice, now):
    fund(alice, 500, now)
    return speak.speak(customer=alice, text="Mine alone", voice_id="standard", key="k", now=now)


@pytest.mark.parametrize(
    "name", ["../secret.wav", "/etc/passwd", "a/../../secret.wav", "..\\secret.wav"]
)
def test_a_stored_name_cannot_lead_out_of_the_audio_folder(
    client, alice, spoken, settings, name, tmp_path
):
    (tmp_path / "secret.wav").write_bytes(b"top secret")
    Generation.objects.update(audio=name)
    client.force_login(alice.user)

    answer = client.get(f"/studio/{spoken.id}/audio/")

    assert answer.status_code in (400, 404)
    assert b"secret" not in answer.content and b"root:" not in answer.content


def test_no_address_leads_to_a_file_by_its_name(client, alice, spoken):
    client.force_login(alice.user)

    for prefix in (
        "/",
        "/media/",
        "/audio/",
        "/static/",
        "/static/../",
        "/static/%2e%2e/audio/",
        "/studio/",
    ):
        assert client.get(f"{prefix}{spoken.audio}").status_code == 404


def test_audio_is_its_owners_alone_and_no_cache_may_share_it(client, alice, bob, staff, spoken):
    url = f"/studio/{spoken.id}/audio/"
    for user in (bob.user, staff):
        client.force_login(user)
        assert client.get(url).status_code in (403, 404)

    client.force_login(alice.user)
    answer = client.get(url)
    assert answer.getvalue().startswith(b"RIFF")
    assert (
        answer["Cache-Control"].startswith("private")
        and answer["X-Content-Type-Options"] == "nosniff"
    )
    assert "Cookie" in answer["Vary"]


# --- Requests -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/accounts/login/", "/accounts/signup/", "/studio/"])
def test_a_form_over_the_limit_is_refused(client, alice, path):
    if path == "/studio/":
        client.force_login(alice.user)

    assert client.post(path, {"text": "x" * 1024 * 1024, "email": "x"}).status_code in (400, 413)
    assert client.post(path, {f"field{number}": "x" for number in range(1_001)}).status_code == 400


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "http:///evil.example",
    ],
)
def test_nobody_is_sent_to_another_site(alice, url):
    def leads_to(path: str, fields: dict, user: User | None = None) -> str:
        client = Client()
        if user:
            client.force_login(user)
        return client.post(path, fields | {"next": url}).headers["Location"]

    new = {"email": "new@example.com", "first_name": "N", "last_name": "E", "password": PASSWORD}
    assert (
        leads_to("/accounts/login/", {"email": "alice@example.com", "password": PASSWORD})
        == "/studio/"
    )
    assert leads_to("/accounts/signup/", new) == "/studio/"
    assert leads_to("/accounts/logout/", {}, alice.user) == "/"
    assert leads_to("/admin/logout/", {}, alice.user) in ("/", "/admin/")


def test_a_new_password_ends_all_other_sessions_and_renews_this_one(alice):
    here, elsewhere = Client(), Client()
    for client in (here, elsewhere):
        client.force_login(alice.user)
    before = here.session.session_key

    new = {
        "old_password": PASSWORD,
        "new_password": "a staple of horses",
    }
    here.post("/accounts/password/", new)

    assert here.session.session_key != before
    assert here.get("/accounts/profile/").status_code == 200
    assert elsewhere.get("/accounts/profile/").status_code == 302


PRODUCTION = """
import json, django
from django.conf import settings
django.setup()
settings.STORAGES["staticfiles"] = {
    "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
}
from django.test import Client
client = Client(SERVER_NAME="vocalis.example")
secure = client.get("/accounts/login/", secure=True)
insecure = client.get("/accounts/login/")
cookie = client.cookies["csrftoken"]
print(json.dumps({
    "insecure": [insecure.headers.get("Location"), insecure.headers.get("Content-Security-Policy")],
    "headers": dict(secure.headers),
    "csrf": [bool(cookie["secure"]), cookie["samesite"]],
    "session": [
        settings.SESSION_COOKIE_SECURE,
        settings.SESSION_COOKIE_HTTPONLY,
        settings.SESSION_COOKIE_SAMESITE,
    ],
    "foreign host": Client(SERVER_NAME="evil.example").get("/health", secure=True).status_code,
}))
"""


def policy(*pages: str) -> str:
    """That of a process whose forms may lead to these pages of Stripe or its sandbox."""
    ours = " ".join(settings.FORM_ORIGINS)
    assert f"form-action 'self' {ours};" in settings.CONTENT_SECURITY_POLICY
    return settings.CONTENT_SECURITY_POLICY.replace(ours, " ".join(pages))


@pytest.mark.process
def test_production_answers_over_https_alone_with_closed_cookies():
    env = os.environ | GOOD | {"DJANGO_SETTINGS_MODULE": "vocalis.settings"}
    run = subprocess.run(
        [sys.executable, "-c", PRODUCTION], env=env, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)

    stripes = (
        "https://checkout.stripe.com",
        "https://billing.stripe.com",
        "https://hooks.stripe.com",
    )
    assert found["insecure"] == ["https://vocalis.example/accounts/login/", policy(*stripes)]
    assert found["csrf"] == [True, "Lax"] and found["session"] == [True, True, "Lax"]
    assert found["foreign host"] == 400
    headers = found["headers"]
    assert headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains; preload"
    assert headers["X-Frame-Options"] == "DENY" and headers["X-Content-Type-Options"] == "nosniff"
    assert (
        headers["Referrer-Policy"] == "same-origin"
        and "unsafe" not in headers["Content-Security-Policy"]
    )


WEBSOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.mark.process
@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
def test_the_web_server_refuses_large_bodies_of_any_kind_and_web_sockets(tmp_path, declared):
    """Django itself looks at the declared length alone, and lets files of any size in."""
    database_url = processes.sqlite_url(tmp_path / "x.sqlite3")
    env = processes.settings_env(database_url=database_url, metronome_url="http://localhost:1")
    with processes.web(tmp_path / "web.log", env) as client:
        body = b"x" * (3 * 1024 * 1024)
        sent = {"files": {"upload": ("x", body)}} if declared else {"content": iter([body, body])}
        large = client.post("/accounts/login/", **sent)
        sample = client.post("/studio/voice/match/", **sent)
        too_long = client.post("/studio/voice/match/", content=b"x" * 13_000_000)
        small = client.post("/api/webhooks/metronome/alerts", content=b"{}")
        socket = client.get("/", headers=WEBSOCKET)

    assert (large.status_code, large.text) == (413, "The request is too large.")
    assert sample.status_code == 302  # to the login: a sample is that large
    assert too_long.status_code == 413
    assert large.headers["Content-Security-Policy"] == policy(processes.NOBODY)
    assert small.status_code == 401
    assert socket.status_code == 403
