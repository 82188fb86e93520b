"""What the settings understand of the environment."""

from __future__ import annotations

import ast
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
    splits = [path for path, tree in modules() if "environ" in ast.unparse(tree) and ".split(','" in ast.unparse(tree)]

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
        monkeypatch.setattr(run_all, "WEB_PORT", nobody.getsockname()[1])
        assert not run_all.site_answers()

    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as site:  # answers 501: it is there
        threading.Thread(target=site.handle_request, daemon=True).start()
        monkeypatch.setattr(run_all, "WEB_PORT", site.server_port)
        assert run_all.site_answers()

    assert proxy == []
