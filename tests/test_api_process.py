"""The API through a real Daphne: speech comes while it is made, a client that leaves pays for what
it was sent, and the examples of the reference page run as they stand there."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest
from django.urls import reverse

from billing import keys
from billing.models import Wallet
from usage.models import Generation

from . import nodejs, processes

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

LONG = "This sentence is one of many that are alike. " * 40
DIALECTS = ("own", "openai", "elevenlabs")
ENDINGS = {"curl": "sh", "Python": "py", "JavaScript": "mjs"}
SPOKEN = "Every character counts."  # by every example


@pytest.fixture
def secret(alice, wallet, now):
    Wallet.objects.filter(pk=wallet.pk).update(balance=10_000)
    scopes = ["speech", "read", "voices", "keys"]
    return keys.create(customer=alice, name="program", scopes=scopes, now=now)[1]


def settled(*before):
    """The generation that was not there before, once it is over."""
    processes.wait_until(
        lambda: not Generation.objects.filter(state="pending").exists(), "end of the generation"
    )
    return Generation.objects.exclude(pk__in=[one.pk for one in before]).get()


def test_speech_comes_while_it_is_made(site, secret):
    headers = {"Authorization": f"Bearer {secret}"}
    # The first request of a process loads its engine: that is no part of the speech.
    assert site.post("/v1/speech", json={"text": "Hello."}, headers=headers).status_code == 200
    hello = settled()
    began = time.monotonic()
    first = 0.0
    with site.stream(
        "POST", "/v1/speech", json={"text": LONG, "format": "pcm"}, headers=headers
    ) as answer:
        assert answer.status_code == 200
        assert "Content-Length" not in answer.headers
        size = 0
        for chunk in answer.iter_raw():
            first = first or time.monotonic() - began
            size += len(chunk)
    whole = time.monotonic() - began

    generation = settled(hello)
    assert first < whole / 2
    assert size == round(2 * 24_000 * generation.duration_seconds)
    assert Wallet.objects.get().balance == 10_000 - hello.characters - generation.characters


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


def shown(site) -> dict[tuple[str, str], str]:
    """The examples as a reader copies them from the page, by dialect and language."""
    found = re.findall(
        r'<details class="example" name="(.+?)".*?<summary>(.+?)</summary>.*?<code>(.+?)</code>',
        site.get(reverse("api_reference")).text,
        re.DOTALL,
    )
    return {(dialect, language): html.unescape(code) for dialect, language, code in found}


def run(language: str, code: str, folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess:
    script = folder / f"example.{ENDINGS[language]}"
    script.write_text(code)
    if language == "JavaScript":
        return nodejs.run_file(script, env)
    program = [sys.executable] if language == "Python" else ["bash", "-e"]
    return subprocess.run(
        [*program, str(script)], cwd=folder, env=env, capture_output=True, text=True, timeout=120
    )


def seconds(audio: Path) -> float:
    with av.open(str(audio)) as file:
        return sum(frame.samples / frame.sample_rate for frame in file.decode(audio=0))


@pytest.mark.any_database  # the same requests as in test_speech of each dialect
def test_the_page_shows_no_example_that_is_not_run(site):
    assert set(shown(site)) == {(dialect, language) for dialect in DIALECTS for language in ENDINGS}


@pytest.mark.any_database
@pytest.mark.timeout(700)  # the first that needs them installs the clients for Node
@pytest.mark.parametrize("language", ENDINGS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_example_runs_as_the_page_shows_it(site, secret, tmp_path, dialect, language):
    env = os.environ | {"VOCALIS_API_KEY": secret, "NO_PROXY": "*"}

    done = run(language, shown(site)[dialect, language], tmp_path, env)

    assert done.returncode == 0, done.stderr
    [speech] = tmp_path.glob("speech.*")
    assert speech.stat().st_size > 1_000
    assert 1 < seconds(speech) < 4
    if dialect == "own" or (dialect, language) == ("openai", "Python"):
        assert f"{len(SPOKEN)} credits" in done.stdout or f"Credits: {len(SPOKEN)}" in done.stdout
    generation = settled()
    assert (generation.text, generation.state) == (SPOKEN, "done")
    assert Wallet.objects.values_list("balance", "reserved").get() == (10_000 - len(SPOKEN), 0)
