"""A process that is killed while a speech server answers leaves no copy of a voice there."""

from __future__ import annotations

from datetime import timedelta

import pytest

from usage import engines
from usage.engines import remote
from usage.engines.remote.configuration import read_servers
from usage.engines.remote.tests.contract_server import ContractServer
from usage.models import VoiceCopy, VoiceMatch
from usage.speech import abandoned, copies, withdrawal

from . import processes
from .processes import wait_until

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

BEGIN = """
import sys, django
django.setup()
from django.utils import timezone
from accounts.models import Customer
from usage import voiceprint
from usage.speech import consent, match
from usage.speech.tests.test_match import described
voiceprint.describe = lambda sample: described()
match.begin(
    customer=Customer.objects.get(),
    sample=b"RIFF....WAVE of a voice",
    consent_sha256=consent.sha256(consent.sentence()),
    keeps_sample=False,
    address="192.0.2.7",
    key="k",
    now=timezone.now(),
)
"""


@pytest.fixture
def server():
    server = ContractServer()
    server.lists_copies = True
    yield server
    server.die()
    engines.missing.cache_clear()


@pytest.mark.parametrize("kind", ["voice_consents", "voices"])
def test_a_process_killed_while_the_server_answers_leaves_nothing_there(
    tmp_path, alice, now, server, monkeypatch, kind
):
    def makes_and_says_nothing(handler, parts):
        handler.keep(parts)
        server.ended.wait(60)

    server.on_form[kind] = makes_and_says_nothing
    servers = f"{server.address}?model=m&label=Studio&clones=yes"
    env = processes.settings_env(
        database_url=processes.own_database_url(),
        metronome_url=processes.NOBODY,
        SPEECH_SERVERS=servers,
    )
    with processes.running(tmp_path / "match.log", "-c", BEGIN, env=env) as process:
        wait_until(lambda: server.kept[kind], f"answer of {kind}")
        process.kill()
    assert VoiceMatch.objects.get().state == "pending"

    monkeypatch.setattr(remote, "_servers", read_servers(servers))
    later = now + timedelta(seconds=copies.LOST_SECONDS + 120)
    assert abandoned.GIVE_UP_MATCHES.run(later) == 1
    assert copies.DELETE_COPIES.run(later) == 1

    assert VoiceCopy.objects.get().deleted_at == later
    assert server.kept == {"voice_consents": {}, "voices": {}}
    assert abandoned.FORGET_MATCHES.run(later + timedelta(hours=withdrawal.UNKEPT_HOURS)) == 1
    assert VoiceCopy.objects.get().match is None
