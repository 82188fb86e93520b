"""A personal voice: free to listen to, paid once, one in progress."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.urls import reverse

from billing.ledger import InsufficientCredits
from billing.models import Reservation, Wallet
from conftest import fund
from usage.engines import EngineFailed
from usage.engines.tests.quick import QuickEngine
from usage.models import UsageEvent, Voice
from usage.speech import abandoned, own_voice, problems, voices

WARM = {"pitch": 0.95, "range": 1.2, "pace": 0.9}
STORED = WARM | {"gain": own_voice.GAIN}


@pytest.fixture
def rich(alice, now):
    return fund(alice, 60_000, now)


@pytest.fixture
def page(client, alice):
    client.force_login(alice.user)
    return client


def set_up(customer, now, name="Mine", settings=WARM, key="key-1"):
    return own_voice.set_up(customer=customer, name=name, settings=settings, key=key, now=now)


def balances() -> tuple[int, int]:
    return Wallet.objects.values_list("balance", "reserved").get()


def pending(customer, now):
    """What a process that was killed during the set-up left."""
    from billing import ledger

    voice = Voice.objects.create(
        customer=customer,
        key="gone",
        name="Gone",
        engine="hibari",
        settings={"pitch": 1.05, "gain": own_voice.GAIN},
        credits=25_000,
        created_at=now,
    )
    wallet = ledger.wallet_of(customer.id)
    ledger.reserve(wallet_id=wallet.id, key=f"voice-{voice.id}", amount=25_000, now=now)
    return voice


def test_setting_up_captures_and_makes_one_event_due(alice, rich, now):
    voice = set_up(alice, now, name=" Mine ")

    assert (voice.state, voice.name, voice.credits) == ("ready", "Mine", 25_000)
    assert balances() == (35_000, 0)
    event = UsageEvent.objects.get()
    assert event.transaction_id == f"vocalis-voice-{voice.id}"
    assert (event.event_type, event.properties) == ("voice_cloning", {"voice_id": str(voice.id)})
    assert event.happened_at == event.reservation.created_at == now
    assert [speaker.id for speaker in voices.of(alice)] == [str(voice.id)]
    assert voices.resolve(alice, str(voice.id)).settings == STORED


def test_the_same_key_gives_the_same_voice_at_no_cost(alice, rich, now):
    assert set_up(alice, now).id == set_up(alice, now).id
    assert balances() == (35_000, 0)

    with pytest.raises(problems.KeyReused):
        set_up(alice, now, name="Other")


def test_too_few_credits_leave_no_trace(alice, wallet, now):
    with pytest.raises(InsufficientCredits) as refused:
        set_up(alice, now)

    assert refused.value.missing == 24_500
    assert not Voice.objects.exists() and not Reservation.objects.exists()


def test_wrong_settings_are_named_together(alice, rich, now):
    with pytest.raises(problems.Refused) as refused:
        set_up(
            alice,
            now,
            name="  ",
            settings={"variant": "en-us+m3", "pitch": 1.2, "range": -1, "pace": 2.5},
            key="",
        )

    assert sorted(refused.value.errors) == ["key", "name", "pace", "pitch", "range", "variant"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a" + "\u0301\u0327" * 150_000, "1 to 60 characters"),
        ("a" * 61, "1 to 60 characters"),
        ("a" + "\u0301" * 31, "30 accents"),
    ],
)
def test_a_name_is_refused_before_it_is_normalised(alice, rich, now, name, words):
    began = time.process_time()
    with pytest.raises(problems.Refused, match=words) as refused:
        set_up(alice, now, name=name)

    assert time.process_time() - began < 1
    assert list(refused.value.errors) == ["name"]


def test_a_name_has_one_form_however_it_was_typed(alice, rich, now):
    assert set_up(alice, now, name="Zoe\u0308").id == set_up(alice, now, name="Zoë").id
    assert Voice.objects.get().name == "Zoë"


def test_a_voice_the_engine_cannot_speak_costs_nothing(alice, rich, now, monkeypatch):
    def broken(settings):
        raise problems.SpeechFailed("The speech engine did not answer.")

    with monkeypatch.context() as patch:
        patch.setattr(own_voice, "preview", broken)
        with pytest.raises(problems.SpeechFailed):
            set_up(alice, now)

    assert balances() == (60_000, 0)
    assert Voice.objects.get().state == "failed" and not UsageEvent.objects.exists()
    with pytest.raises(problems.SpeechFailed):  # the same form again hears the same
        set_up(alice, now)
    assert set_up(alice, now, key="key-2").state == "ready"


def test_an_error_nobody_foresaw_gives_the_credits_back(alice, rich, now, monkeypatch):
    def broken(settings):
        raise RuntimeError("a bug")

    monkeypatch.setattr(own_voice, "preview", broken)
    with pytest.raises(RuntimeError):
        set_up(alice, now)

    assert balances() == (60_000, 0)


def test_a_voice_in_progress_keeps_the_next_waiting(alice, rich, now):
    pending(alice, now)

    with pytest.raises(problems.InProgress):
        set_up(alice, now)
    with pytest.raises(problems.StillRunning):
        set_up(alice, now, name="Gone", settings={"pitch": 1.05}, key="gone")
    assert balances() == (60_000, 25_000)


def test_an_abandoned_set_up_makes_way(alice, rich, now):
    pending(alice, now)
    later = now + timedelta(seconds=own_voice.ABANDONED_SECONDS + 1)

    assert set_up(alice, later).state == "ready"
    assert balances() == (35_000, 0)
    assert Voice.objects.get(key="gone").state == "failed"


def test_an_abandoned_set_up_ends_by_itself(alice, rich, now):
    pending(alice, now)
    assert abandoned.GIVE_UP_VOICES.run(now) == 0
    later = now + timedelta(seconds=own_voice.ABANDONED_SECONDS + 1)

    assert abandoned.GIVE_UP_VOICES.run(later) == 1

    assert balances() == (60_000, 0)
    assert Voice.objects.get().state == "failed"
    assert abandoned.GIVE_UP_VOICES.run(later) == 0


def test_a_reservation_that_expired_meanwhile_makes_no_voice(alice, rich, now, monkeypatch):
    from billing import ledger

    monkeypatch.setattr(
        own_voice,
        "preview",
        lambda settings: ledger.expire_reservations(now=now + timedelta(minutes=11)),
    )
    with pytest.raises(problems.SpeechFailed, match="too long"):
        set_up(alice, now)

    assert balances() == (60_000, 0)
    assert Voice.objects.get().state == "failed" and not UsageEvent.objects.exists()


def test_the_page_says_what_it_is_and_what_it_costs(page, rich):
    html = page.get(reverse("own-voice")).content.decode()

    assert "Tune it by ear" in html and "not a copy of" in html and "25,000" in html


def test_the_page_sets_up_what_was_listened_to(page, alice, rich):
    form = {
        "name": "Mine",
        "pitch": "0.95",
        "range": "1.2",
        "pace": "0.9",
        "key": "key-1",
    }

    for _ in range(2):  # a double click
        assert page.post(reverse("own-voice"), form).url == reverse("own-voice")

    assert voices.of(alice)[0].settings == STORED
    assert balances() == (35_000, 0)
    assert b"Speak with it" in page.get(reverse("own-voice")).content
    assert "Mine" in page.get(reverse("studio")).content.decode()


def test_the_page_names_the_missing_credits(page, alice, wallet):
    answer = page.post(
        reverse("own-voice"),
        {"name": "Mine", "pitch": "0.95", "range": "1.2", "pace": "0.9"},
    )

    assert answer.status_code == 402
    assert "24,500</span> credits short" in answer.content.decode()
    assert not Voice.objects.exists()


@pytest.mark.parametrize("pitch", ["", "x", "-1", "100", "9" * 5000, "²"])
def test_the_page_shows_wrong_settings_at_their_field(page, rich, pitch):
    answer = page.post(
        reverse("own-voice"),
        {"name": "Mine", "pitch": pitch, "range": "1.2", "pace": "0.9"},
    )

    assert answer.status_code == 422
    assert "Choose a number from 0.9 to 1.1." in answer.content.decode()
    assert balances() == (60_000, 0)


def test_listening_is_free_and_differs_by_setting(page, alice):
    url = reverse("own-voice-preview")
    low = page.get(url, {"pitch": "0.9", "range": "1", "pace": "1"})
    high = page.get(url, {"pitch": "1.1", "range": "1", "pace": "1"})

    assert low.status_code == high.status_code == 200
    assert low["Content-Type"] == "audio/wav" and low.content[:4] == b"RIFF"
    assert low.content != high.content
    assert not UsageEvent.objects.exists() and not Reservation.objects.exists()


def test_listening_refuses_wrong_settings_and_strangers(client, page, alice, monkeypatch):
    url = reverse("own-voice-preview")
    assert page.get(url, {"pitch": "500"}).status_code == 422

    def busy():
        raise EngineFailed("The speech engine is busy.")

    monkeypatch.setattr(own_voice, "engine", lambda name: QuickEngine(busy))
    settings = {"pitch": "1", "range": "1", "pace": "1"}
    assert page.get(url, settings).status_code == 503

    page.logout()
    assert page.get(url, settings).status_code == 302


def test_numbers_with_decimals_are_tuned_where_the_engine_has_them(page):
    url = reverse("own-voice")

    html = page.get(url, {"range": "1.15"}).content.decode()
    assert 'name="range" min="0.7" max="1.3" step="0.05" value="1.15"' in html
    listen = reverse("own-voice-preview")
    assert page.get(listen, {"range": "1.15", "pitch": "0.95", "pace": "1"}).status_code == 200
    assert page.get(listen, {"range": "1.31", "pitch": "0.95", "pace": "1"}).status_code == 422
    assert page.get(listen, {"range": "1e0", "pitch": "1", "pace": "1"}).status_code == 422
