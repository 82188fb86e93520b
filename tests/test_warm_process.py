"""When the engine of the default voice starts: with a web process, and with nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from . import processes

TOKEN = "a-token-of-more-than-twenty-characters"
pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def env(settings):
    return processes.settings_env(
        database_url=processes.own_database_url(),
        metronome_url="http://localhost:1",
        HEALTH_TOKEN=TOKEN,
        SPEECH_HELPERS="1",
    )


def engine_of_the_default_voice(client) -> str:
    report = client.get("/health/integrations", headers={"Authorization": f"Bearer {TOKEN}"}).json()
    return {check["name"]: check["detail"] for check in report["checks"]}["engine hibari"]


@pytest.mark.any_database  # helpers of speech, which know no database
def test_a_web_process_starts_it_before_anybody_speaks(env, tmp_path):
    with processes.web(tmp_path / "web.log", env | {"SPEECH_WARM": "on"}) as client:
        processes.wait_until(
            lambda: engine_of_the_default_voice(client).startswith("runs; alive: 1, waiting: 0"),
            "helper",
        )


@pytest.mark.any_database
def test_it_can_be_left_to_the_first_text(env, tmp_path):
    with processes.web(tmp_path / "web.log", env) as client:
        assert engine_of_the_default_voice(client).startswith("can speak; the next text starts it;")


@pytest.mark.any_database
def test_commands_start_none(env):
    code = (
        "import django; django.setup()\n"
        "from django.core.management import call_command\n"
        "call_command('check'); call_command('run_worker', '--once')\n"
        "from usage import engines\n"
        "assert not any(each.alive for each in engines.statuses().values())"
    )

    subprocess.run([sys.executable, "-c", code], env=env | {"SPEECH_WARM": "on"}, check=True)
