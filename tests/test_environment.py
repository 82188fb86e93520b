"""What the settings understand of the environment."""

from __future__ import annotations

import ast
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from django.conf import settings as django_settings

from tests.test_architecture import ROOT, modules
from vocalis.management.commands import run_all

LISTS = {
    "ALLOWED_HOSTS": "ALLOWED_HOSTS",
    "CSRF_TRUSTED_ORIGINS": "CSRF_TRUSTED_ORIGINS",
    "METRONOME_WEBHOOK_SECRET": "METRONOME_WEBHOOK_SECRETS",
    "SILENCED_SYSTEM_CHECKS": "SILENCED_SYSTEM_CHECKS",
    "STRIPE_WEBHOOK_SECRET": "STRIPE_WEBHOOK_SECRETS",
}


@pytest.mark.parametrize(("variable", "setting"), LISTS.items(), ids=LISTS)
@pytest.mark.parametrize("value", ["old, new", " old ,new ", "old,,new,", ", old,\tnew\n"])
def test_blanks_and_empty_items_of_a_list_are_dropped(read_settings, variable, setting, value):
    settings = read_settings(DEBUG="on", **{variable: value})

    assert getattr(settings, setting) == ["old", "new"]


def test_a_list_of_blanks_is_empty(read_settings):
    assert read_settings(DEBUG="on", METRONOME_WEBHOOK_SECRET=" , ").METRONOME_WEBHOOK_SECRETS == []


def test_every_list_of_the_settings_is_tried_here():
    source = ast.parse((ROOT / "vocalis/settings.py").read_text())
    calls = [node for node in ast.walk(source) if isinstance(node, ast.Call)]
    lists = {node.args[0].value for node in calls if ast.unparse(node.func) == "env.list"}

    assert lists == set(LISTS)


def test_no_module_takes_the_environment_apart_by_itself():
    splits = [
        path
        for path, tree in modules()
        if "environ" in ast.unparse(tree) and ".split(','" in ast.unparse(tree)
    ]

    assert splits == []


def test_the_sandbox_signs_with_the_first_secret_the_settings_know(monkeypatch):
    monkeypatch.setattr(django_settings, "METRONOME_WEBHOOK_SECRETS", ["old", "new"])
    monkeypatch.setenv("METRONOME_WEBHOOK_SECRET", " , old, new")

    assert run_all.environment()["METRONOME_WEBHOOK_SECRET"] == "old,new"


@pytest.mark.parametrize("no_proxy", ["", "localhost"])
def test_run_all_asks_the_site_past_a_proxy_and_hears_no_proxy_for_it(proxy, monkeypatch, no_proxy):
    monkeypatch.setenv("NO_PROXY", no_proxy)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setattr(django_settings, "PORT", nobody.getsockname()[1])
        assert not run_all.site_answers()

    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as site:  # answers 501: it is there
        threading.Thread(target=site.handle_request, daemon=True).start()
        monkeypatch.setattr(django_settings, "PORT", site.server_port)
        assert run_all.site_answers()

    assert proxy == []


def test_every_address_that_is_not_set_follows_the_ports(read_settings):
    settings = read_settings(".env.example", PORT="8001", SANDBOX_PORT="8101")

    assert settings.SITE_URL == "http://localhost:8001"
    assert settings.METRONOME_API_URL == "http://localhost:8101"
    assert settings.METRONOME_CUSTOMER_URL == "http://localhost:8101/dashboard/"


def test_addresses_that_are_set_stay(read_settings):
    addresses = {
        "SITE_URL": "http://a.example",
        "METRONOME_API_URL": "http://b.example",
        "METRONOME_CUSTOMER_URL": "http://c.example/",
    }
    settings = read_settings(".env.example", PORT="8001", SANDBOX_PORT="8101", **addresses)

    assert {name: getattr(settings, name) for name in addresses} == addresses


def test_a_real_key_is_never_sent_to_the_sandbox_by_default(read_settings):
    settings = read_settings(".env.example", METRONOME_API_KEY="a-real-key", SANDBOX_PORT="8101")

    assert settings.METRONOME_API_URL == "https://api.metronome.com"
    assert settings.METRONOME_CUSTOMER_URL == "https://app.metronome.com/customers/"


def test_a_process_knows_the_ports_the_settings_know(monkeypatch):
    monkeypatch.setattr(django_settings, "PORT", 8001)
    monkeypatch.setattr(django_settings, "SANDBOX_PORT", 8101)
    monkeypatch.setattr(django_settings, "STRIPE_SANDBOX_PORT", 8111)

    known = run_all.environment()
    ports = (known["PORT"], known["SANDBOX_PORT"], known["STRIPE_SANDBOX_PORT"])
    assert ports == ("8001", "8101", "8111")
    lines = (ROOT / "Procfile").read_text()
    assert not re.findall(r"(?<!:-)\b8[01][01]0\b", lines)


@pytest.mark.parametrize(
    ("name", "variable", "real"),
    [
        ("sandbox", "METRONOME_API_URL", "https://api.metronome.com"),
        ("stripe-sandbox", "STRIPE_API_URL", "https://api.stripe.com"),
    ],
)
def test_run_all_starts_the_sandboxes_the_settings_point_at_and_no_other(
    monkeypatch, name, variable, real
):
    monkeypatch.setattr(django_settings, "SANDBOX_PORT", 8101)
    monkeypatch.setattr(django_settings, "STRIPE_SANDBOX_PORT", 8111)
    port = {"sandbox": 8101, "stripe-sandbox": 8111}[name]
    for url, expected in [
        (f"http://localhost:{port}", True),
        (f"http://127.0.0.1:{port}", True),
        (f"http://localhost:{port - 1}", False),
        (real, False),
    ]:
        monkeypatch.setattr(django_settings, variable, url)
        assert (name in run_all.own_sandboxes()) is expected


@pytest.mark.parametrize(
    ("variables", "origins"),
    [
        (
            {"STRIPE_SECRET_KEY": "rk_live_1"},
            "'self' https://checkout.stripe.com https://billing.stripe.com "
            "https://hooks.stripe.com",
        ),
        (
            {"STRIPE_SECRET_KEY": "sk_test_sandbox", "STRIPE_SANDBOX_PORT": "8111"},
            "'self' http://localhost:8111",
        ),
        ({"STRIPE_API_URL": "http://x; script-src *"}, "'self'"),
    ],
)
def test_forms_lead_to_the_stripe_that_is_asked(read_settings, variables, origins):
    policy = read_settings(DEBUG="on", **variables).CONTENT_SECURITY_POLICY

    found = [part.strip() for part in policy.split(";") if "form-action" in part]
    assert [" ".join(part.split()) for part in found] == [f"form-action {origins}"]
    assert "script-src" not in policy


@pytest.mark.parametrize(
    ("address", "backend"),
    [
        ("outbox://", "mails.kept.Backend"),
        ("consolemail://", "django.core.mail.backends.console.EmailBackend"),
        ("smtp+tls://u:p@mail.example:587", "django.core.mail.backends.smtp.EmailBackend"),
        ("postmark://?server_token=t", "anymail.backends.postmark.EmailBackend"),
        (
            "amazon-ses://?region_name=eu-west-1&aws_access_key_id=k&aws_secret_access_key=s",
            "anymail.backends.amazon_ses.EmailBackend",
        ),
    ],
)
def test_the_address_of_mail_names_who_takes_it(read_settings, address, backend):
    settings = read_settings(DEBUG="on", EMAIL_URL=address)

    assert settings.UNREADABLE == {} and backend == settings.EMAIL_BACKEND


@pytest.mark.parametrize(
    ("debug", "backend"),
    [("on", "mails.kept.Backend"), ("off", "django.core.mail.backends.console.EmailBackend")],
)
def test_without_an_address_mails_stay_here(read_settings, debug, backend):
    assert backend == read_settings(DEBUG=debug, EMAIL_URL="").EMAIL_BACKEND
