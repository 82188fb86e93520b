"""What the settings understand of the environment."""

from __future__ import annotations

import ast

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
