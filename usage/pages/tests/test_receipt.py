"""The receipt of a generation: what it cost, who paid, the proof; and each way it can have gone."""

from __future__ import annotations

import hashlib
import re
import uuid
from datetime import UTC, datetime
from html import unescape

import pytest
from django.core.files.storage import default_storage
from django.urls import reverse

from accounts.models import ApiKey
from billing import keys
from conftest import fund
from usage import credit_back
from usage.engines import EngineFailed
from usage.engines.tests.quick import QuickEngine
from usage.models import Generation, UsageEvent
from usage.speech import expiry, filenames, problems, retention, speak

MARCH = datetime(2027, 3, 5, 12, tzinfo=UTC)
TEXT = "Good evening, everybody."


@pytest.fixture(autouse=True)
def engine(monkeypatch):
    fake = QuickEngine()
    monkeypatch.setattr(speak, "engine", lambda name: fake)
    return fake


@pytest.fixture
def page(client, alice):
    client.force_login(alice.user)
    return client


@pytest.fixture
def spoken(alice, wallet, now):
    return speak.speak(customer=alice, text=TEXT, voice_id="premium-theo", key="k", now=now)


@pytest.fixture
def shown(page):
    """The receipt as words, one blank between them."""

    def words(generation):
        answer = page.get(reverse("receipt", args=[generation.id]))
        assert answer.status_code == 200
        main = answer.text.split("<main", 1)[1].split("</main>", 1)[0]
        main = re.sub("</?time[^>]*>", "", main)
        return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", main)))

    return words


def test_it_says_characters_price_who_paid_and_the_balance(shown, spoken, alice, now):
    text = shown(spoken)

    cost = 2 * len(TEXT)
    assert TEXT in text and "Theo" in text and "Alice Tester" in text
    assert f"(NFC) {len(TEXT)} Price" in text
    assert f"premium × 2 credits Charged {cost} credits" in text
    assert f"Paid by Test credits free credits {cost} Balance before 500" in text
    assert f"Balance after {500 - cost} " in text
    assert f"Event vocalis-gen-{spoken.id}" in text
    assert "Asked by Studio" in text and "Waiting" in text


def test_several_grants_pay_in_their_order(shown, alice, wallet, now):
    fund(alice, 100, now, priority=20, is_free=False)
    long = "a" * 260
    made = speak.speak(customer=alice, text=long, voice_id="premium-theo", key="l", now=now)

    text = shown(made)

    assert "free credits 500" in text and "Test credits 20 " in text
    assert "Balance before 600 Balance after 80" in text


def test_the_hash_is_that_of_the_file_that_is_downloaded(shown, page, spoken):
    text = shown(spoken)

    file = page.get(reverse("audio", args=[spoken.id]), {"format": "flac", "download": "1"})
    assert hashlib.sha256(file.getvalue()).hexdigest() in text
    assert f"sha256sum {filenames.of(spoken, 'flac')}" in text
    assert filenames.of(spoken, "flac") in file["Content-Disposition"]


@pytest.mark.parametrize("is_pruned", [False, True])
def test_what_metronome_has_is_said(shown, spoken, now, is_pruned):
    UsageEvent.objects.update(sent_at=now, due_at=None)
    if is_pruned:
        UsageEvent.objects.all().delete()

    text = shown(spoken)

    assert "At Metronome" in text and "Waiting" not in text
    assert f"vocalis-gen-{spoken.id}" in text


def test_an_event_that_is_stuck_is_said(shown, spoken, now):
    UsageEvent.objects.update(dead_at=now, due_at=None)

    assert "Problem It is charged here, and our staff see to it" in shown(spoken)


def test_a_failed_text_cost_nothing(shown, engine, alice, wallet, now):
    def fail():
        raise EngineFailed("broken")

    engine.during = fail
    with pytest.raises(problems.SpeechFailed):
        speak.speak(customer=alice, text=TEXT, voice_id="standard", key="k", now=now)

    text = shown(Generation.objects.get())

    assert "Nothing was charged." in text and "no event at Metronome" in text
    assert "Charged" not in text.replace("Nothing was charged", "")


def test_one_that_is_spoken_is_not_charged_yet(page, alice, wallet, spoken):
    Generation.objects.update(state="pending", reservation=None)

    answer = page.get(reverse("receipt", args=[spoken.id]))

    assert "Nothing is charged yet." in answer.text and answer["Refresh"]


@pytest.mark.parametrize("by_key", [False, True])
def test_what_was_delivered_in_part_is_charged_in_part(shown, alice, spoken, now, by_key):
    key = keys.create(customer=alice, name="Pipeline", now=now)[0] if by_key else None
    Generation.objects.update(characters_spoken=10, credits=20, api_key=key)

    text = shown(Generation.objects.get())

    who = "Your program left" if by_key else "You stopped it"
    assert f"{who} before the end: 10 of {len(TEXT)} characters were delivered." in text
    assert "Only these are charged." in text and "Charged 20 credits" in text
    if by_key:
        assert f"Asked by API key Pipeline {ApiKey.objects.get().shown}" in text


def test_credits_that_came_back_are_said(shown, spoken, staff, now):
    credit_back.credit_back(generation=spoken, by=staff, reason="broken", now=now)
    default_storage.delete(spoken.audio)

    text = shown(Generation.objects.get())

    assert f"Credited back. You get {2 * len(TEXT)} credits back for this text." in text
    assert "They are on their way" in text
    assert "so it is not made again" in text and "Make it again" not in text


def test_audio_whose_time_was_over_is_said_and_can_be_made_again(shown, page, spoken):
    Generation.objects.update(audio_until_at=MARCH)
    assert expiry.EXPIRE.run(MARCH) == 1

    text = shown(spoken)

    assert "Deleted on 5 March 2027, when its time was over" in text
    assert "Make it again, free" in text and "SHA-256" not in text
    assert f"Charged {2 * len(TEXT)} credits" in text


def test_lost_audio_is_said(shown, spoken):
    default_storage.delete(spoken.audio)

    text = shown(spoken)

    assert "Lost by a fault of ours" in text and "Make it again, free" in text


def test_audio_made_again_has_the_new_files_hash_and_the_first_price(shown, spoken, now):
    former = shown(spoken)
    default_storage.delete(spoken.audio)
    retention.make_again(generation=Generation.objects.get(), now=now)

    text = shown(Generation.objects.get())

    assert "This audio was made again on" in text and "free, because the first one was gone" in text
    with default_storage.open(Generation.objects.get().audio) as file:
        assert hashlib.sha256(file.read()).hexdigest() in text
    price = re.search(r"Paid by.*Balance after \d+", former)
    assert price and price[0] in text


def test_only_its_owner_sees_it(client, page, bob, spoken):
    url = reverse("receipt", args=[spoken.id])
    assert page.get(url).status_code == 200
    assert page.get(reverse("receipt", args=[uuid.uuid4()])).status_code == 404

    client.force_login(bob.user)

    assert client.get(url).status_code == 404
    client.logout()
    assert client.get(url).url.startswith("/accounts/login/")


def test_usage_and_the_studio_lead_to_it(page, spoken):
    link = f'href="{reverse("receipt", args=[spoken.id])}"'

    assert link in page.get("/usage/").text
    assert link in page.get(f"/studio/?done={spoken.id}").text
    assert (
        '<a href="/usage/" aria-current="true">'
        in page.get(reverse("receipt", args=[spoken.id])).text
    )
