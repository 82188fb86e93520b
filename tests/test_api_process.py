"""The API through a real Daphne: speech comes while it is made, a client that leaves pays for what
it was sent, and the examples of the reference page run as they stand there."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from api import reference
from billing import keys
from billing.models import Wallet
from usage.models import Generation

from . import processes

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

LONG = "This sentence is one of many that are alike. " * 40


@pytest.fixture
def site(tmp_path, wallet):
    env = processes.settings_env(
        database_url=processes.own_database_url(),
        metronome_url="http://127.0.0.1:9",
        MEDIA_ROOT=str(tmp_path / "media"),
        AUDIO_CACHE=str(tmp_path / "cache"),
    )
    with processes.web(tmp_path / "web.log", env) as client:
        yield client


@pytest.fixture
def secret(alice, wallet, now):
    Wallet.objects.filter(pk=wallet.pk).update(balance=10_000)
    scopes = ["speech", "read", "voices", "keys"]
    return keys.create(customer=alice, name="program", scopes=scopes, now=now)[1]


def settled():
    """The generation, once it is over."""
    processes.wait_until(
        lambda: not Generation.objects.filter(state="pending").exists(), "end of the generation"
    )
    return Generation.objects.get()


def test_speech_comes_while_it_is_made(site, secret):
    began = time.monotonic()
    first = 0.0
    with site.stream(
        "POST",
        "/v1/speech",
        json={"text": LONG, "format": "pcm"},
        headers={"Authorization": f"Bearer {secret}"},
    ) as answer:
        assert answer.status_code == 200
        assert "Content-Length" not in answer.headers
        size = 0
        for chunk in answer.iter_raw():
            first = first or time.monotonic() - began
            size += len(chunk)
    whole = time.monotonic() - began

    generation = settled()
    assert first < whole / 2
    assert size == round(2 * 24_000 * generation.duration_seconds)
    assert Wallet.objects.get().balance == 10_000 - generation.characters


def test_a_client_that_leaves_pays_for_what_it_was_sent(site, secret):
    with site.stream(
        "POST",
        "/v1/speech",
        json={"text": LONG, "voice": "premium", "format": "wav"},
        headers={"Authorization": f"Bearer {secret}"},
    ) as answer:
        for _ in answer.iter_raw():
            break

    generation = settled()
    wallet = Wallet.objects.get()
    assert wallet.reserved == 0
    charged = generation.credits if generation.state == "done" else 0
    assert wallet.balance == 10_000 - charged
    assert charged < 2 * len(LONG) / 2


@pytest.mark.parametrize("name", ["own.py", "own.sh"])
def test_the_examples_run(site, secret, tmp_path, name):
    run = [sys.executable] if name.endswith(".py") else ["bash", "-e"]
    code = (reference.EXAMPLES / name).read_text()
    script = tmp_path / name
    script.write_text(code.replace(reference.EXAMPLES_URL, str(site.base_url).rstrip("/")))
    env = os.environ | {"VOCALIS_API_KEY": secret, "NO_PROXY": "*"}

    done = subprocess.run(
        [*run, str(script)], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120
    )

    assert done.returncode == 0, done.stderr
    speech = next(Path(tmp_path).glob("speech.*"))
    assert speech.stat().st_size > 1_000
    assert "credits" in done.stdout.lower()
    assert settled().state == "done"
