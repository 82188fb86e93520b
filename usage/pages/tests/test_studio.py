"""The studio's form, with and without script, and the same address for programs."""

from __future__ import annotations

import re
import time
from uuid import UUID

import pytest
from django.test import Client

from billing import ledger
from billing.models import Wallet
from conftest import fund
from usage.engines import EngineFailed
from usage.engines.tests.quick import QuickEngine
from usage.models import Generation, UsageEvent, Voice
from usage.speech import speak, voices

STUDIO = "/studio/"
JSON = {"HTTP_ACCEPT": "application/json"}


@pytest.fixture
def page(client, alice):
    client.force_login(alice.user)
    return client


@pytest.fixture
def engine(monkeypatch):
    fake = QuickEngine()
    monkeypatch.setattr(speak, "engine", lambda name: fake)
    return fake


def raising(error):
    def during():
        raise error

    return during


def ask(client, text="Hello there.", voice="standard", headers=None, **fields):
    return client.post(STUDIO, {"text": text, "voice": voice} | fields, headers=headers, **JSON)


def key_in(response) -> str:
    return re.search(r'name="key" value="([^"]+)"', response.content.decode())[1]


def balances() -> tuple[int, int]:
    return Wallet.objects.values_list("balance", "reserved").get()


# --- Programs


def test_a_program_gets_201_with_what_it_cost(page, wallet):
    answer = ask(page, text="Café\r\nau lait")

    assert answer.status_code == 201
    generation = Generation.objects.get()
    assert answer.json() == {
        "id": str(generation.id),
        "credits": 12,
        "available": 488,
        "name": "Café au lait",
        "audio_url": f"/studio/{generation.id}/audio/",
        "words_url": f"/studio/{generation.id}/words/",
        "audio_until": f"{generation.audio_until_at:%Y-%m-%dT%H:%M:%S}"
        f".{generation.audio_until_at.microsecond // 1_000:03}Z",
        "duration_seconds": generation.duration_seconds,
    }
    assert answer["Server-Timing"].startswith("synthesis;dur=")
    sound = page.get(answer.json()["audio_url"])
    assert sound.getvalue()[:4] == b"RIFF" and sound["Content-Type"] == "audio/wav"


def test_a_program_may_send_json(page, wallet, engine):
    body = {"text": "Cafe\u0301", "voice": "premium-theo"}
    answer = page.post(STUDIO, body, content_type="application/json", **JSON)

    assert (answer.status_code, answer.json()["credits"]) == (201, 8)


@pytest.mark.parametrize(
    "body", ["{", "[]", '"text"', '{"text": 5, "voice": "standard"}', "[" * 100_000, b"\xff"]
)
def test_a_body_that_is_no_object_of_strings_is_a_bad_request(page, wallet, body):
    answer = page.post(STUDIO, body, content_type="application/json", **JSON)

    assert (answer.status_code, list(answer.json())) == (400, ["error"])


def test_an_idempotency_key_replays_the_identical_answer(page, wallet, engine):
    first = ask(page, headers={"Idempotency-Key": "abc"})
    ask(page, text="In between")
    again = ask(page, headers={"Idempotency-Key": "abc"})

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert "Idempotent-Replayed" not in first and again["Idempotent-Replayed"] == "true"
    assert balances() == (478, 0)
    assert UsageEvent.objects.count() == 2


def test_an_idempotency_key_with_another_body_is_422(page, wallet, engine):
    ask(page, headers={"Idempotency-Key": "abc"})
    answer = ask(page, text="Other", headers={"Idempotency-Key": "abc"})

    assert answer.status_code == 422
    assert list(answer.json()["errors"]) == ["key"]
    assert balances() == (488, 0)


def test_without_a_key_every_request_is_a_new_one(page, wallet, engine):
    assert ask(page).json()["id"] != ask(page).json()["id"]
    assert balances() == (476, 0)


def test_the_form_key_counts_when_there_is_no_header(page, wallet, engine):
    assert ask(page, key="form").json() == ask(page, key="form").json()
    assert balances() == (488, 0)


@pytest.mark.parametrize("key", ["two words", "é", "x" * 129])
def test_a_key_that_cannot_be_one_is_422(page, wallet, engine, key):
    answer = ask(page, key=key)

    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["key"])


def test_too_few_credits_are_402_with_the_missing_amount(page, wallet, engine):
    answer = ask(page, text="x" * 300, voice="premium")

    assert answer.status_code == 402
    assert answer.json() == {
        "error": "600 credits needed, 500 available",
        "missing": 100,
        "needed": 600,
        "available": 500,
    }
    assert balances() == (500, 0)


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"text": ""}, ["text"]),
        ({"text": " \n"}, ["text"]),
        ({"text": "\0"}, ["text"]),
        ({"text": "x" * 100_001}, ["text"]),
        ({"voice": ""}, ["voice"]),
        ({"voice": "nobody"}, ["voice"]),
        ({"text": "", "voice": "nobody"}, ["text", "voice"]),
    ],
)
def test_wrong_fields_are_422_by_name(page, wallet, engine, fields, wrong):
    answer = ask(page, **fields)

    assert answer.status_code == 422
    assert sorted(answer.json()["errors"]) == wrong
    assert all(isinstance(messages, list) for messages in answer.json()["errors"].values())
    assert balances() == (500, 0)


@pytest.mark.parametrize("headers", [{}, JSON], ids=["person", "program"])
@pytest.mark.parametrize(
    "text", ["e\u0301" * 250_000, "a" + "\u0301\u0327" * 150_000], ids=["long", "marks"]
)
def test_a_text_that_would_be_slow_to_normalise_is_refused_at_once(
    page, wallet, engine, headers, text
):
    began = time.process_time()

    answer = page.post(STUDIO, {"text": text, "voice": "standard"}, **headers)

    assert time.process_time() - began < 2  # 20 seconds, in which no other thread ran
    assert answer.status_code == 422
    assert (
        "characters that can be spoken at once" if text.startswith("e") else "30 accents"
    ) in answer.text
    assert balances() == (500, 0)


def test_missing_fields_are_422(page, wallet):
    assert sorted(page.post(STUDIO, {}, **JSON).json()["errors"]) == ["text", "voice"]


def test_exactly_five_thousand_characters_are_taken(page, alice, now, engine):
    fund(alice, 5_000, now)

    assert ask(page, text="é" * 4_999 + "\r\n").json()["credits"] == 5_000


def test_the_same_request_still_running_is_409_with_retry_after(
    page, alice, wallet, engine, monkeypatch
):
    inner = []
    engine.during = lambda: inner or inner.append(ask(page, key="same"))

    assert ask(page, key="same").status_code == 201
    assert inner[0].status_code == 409
    assert int(inner[0]["Retry-After"]) > 0 and inner[0].json()["error"]


def test_a_frozen_wallet_is_403(page, wallet, now, engine):
    ledger.set_frozen(wallet_id=wallet.id, frozen=True, now=now)

    answer = ask(page)
    assert (answer.status_code, "on hold" in answer.json()["error"]) == (403, True)


def test_a_failing_engine_is_503_and_free(page, wallet, engine):
    engine.during = raising(EngineFailed("The speech engine is busy."))

    answer = ask(page, key="same")
    assert (answer.status_code, answer.json()["error"]) == (
        503,
        "The speech engine is busy. Nothing was charged.",
    )
    assert balances() == (500, 0)

    engine.during = lambda: None
    assert ask(page, key="same").status_code == 201


def test_a_program_that_is_not_logged_in_is_told_401_before_any_token(alice):
    answer = ask(Client(enforce_csrf_checks=True))

    assert (answer.status_code, list(answer.json())) == (401, ["error"])


def test_a_session_needs_its_token(alice, wallet, engine):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice.user)
    assert ask(client).status_code == 403
    assert client.post(STUDIO, {"text": "Hi", "voice": "standard"}).status_code == 403
    assert balances() == (500, 0)

    client.get(STUDIO)
    token = client.cookies["csrftoken"].value
    assert ask(client, headers={"X-CSRFToken": token}).status_code == 201
    assert ask(client, csrfmiddlewaretoken=token).status_code == 201


# --- People


def test_a_person_is_sent_to_log_in(client, db):
    assert client.get(STUDIO).url == "/accounts/login/?next=/studio/"
    assert client.post(STUDIO).status_code == 302


def test_an_operator_has_no_studio(client, staff):
    client.force_login(staff)

    assert client.get(STUDIO).status_code == 403
    assert ask(client).status_code == 403


def test_the_page_shows_prices_voices_and_credits(page, wallet):
    html = page.get(STUDIO).content.decode()

    for part in (
        "Ava",
        "Oliver",
        "Nora",
        "Theo",
        "1 credit per character",
        "2 credits per character",
        ">500</b>",
        ">500</span>",
    ):
        assert part in html
    assert "style=" not in html and "onclick" not in html and "<script>" not in html


def test_speaking_leads_to_a_page_that_a_reload_does_not_charge(page, wallet, engine):
    form = {"text": "Hello there.", "voice": "standard-oliver", "key": key_in(page.get(STUDIO))}

    answer = page.post(STUDIO, form)
    generation = Generation.objects.get()
    assert (answer.status_code, answer.url) == (302, f"/studio/?done={generation.id}")

    html = page.get(answer.url).content.decode()
    page.get(answer.url)
    assert f'src="/studio/{generation.id}/audio/?format=mp3"' in html
    for name in ("mp3", "wav", "opus", "flac"):
        assert f"?format={name}&amp;download=1" in html
    assert page.post(STUDIO, form).url == answer.url  # a double click, or back and again
    assert balances() == (488, 0)


def test_every_page_has_a_key_of_its_own(page, wallet):
    assert key_in(page.get(STUDIO)) != key_in(page.get(STUDIO))


def test_a_double_click_waits_for_the_first_one(page, wallet, engine):
    form = {"text": "Hello there.", "voice": "standard", "key": "same"}
    inner = []

    def second_click():
        inner.append(page.post(STUDIO, form))
        inner.append(page.get(inner[0].url))

    engine.during = second_click
    page.post(STUDIO, form)

    assert inner[0].status_code == 302
    assert inner[1]["Refresh"] and b"is being spoken" in inner[1].content
    done = page.get(inner[0].url)
    assert "Refresh" not in done and b"is being spoken" not in done.content
    assert f'src="/studio/{Generation.objects.get().id}/audio/?format=mp3"' in done.content.decode()
    assert balances() == (488, 0)


def test_too_few_credits_keep_the_text_and_show_the_way(page, wallet, engine):
    answer = page.post(STUDIO, {"text": "x" * 300, "voice": "premium", "key": "mine"})
    html = answer.content.decode()

    assert answer.status_code == 402
    assert "100</span> credits short: top up" in html and "/billing/top-up/" in html
    assert "x" * 300 in html and key_in(answer) == "mine"
    assert "data-credits>600<" in html and "data-missing hidden" not in html


def test_a_refused_text_is_shown_with_its_price_and_reason(page, wallet):
    answer = page.post(
        STUDIO, {"text": "\n\r\n\u200b\u200b\u200b", "voice": "standard", "key": "mine"}
    )
    html = answer.content.decode()

    assert answer.status_code == 422
    assert "nothing to speak" in html
    assert "data-characters>5<" in html


def test_an_old_form_with_another_text_asks_to_press_again(page, wallet, engine):
    page.post(STUDIO, {"text": "One", "voice": "standard", "key": "same"})
    answer = page.post(STUDIO, {"text": "Two", "voice": "standard", "key": "same"})

    assert answer.status_code == 422 and b"Press Speak" in answer.content
    assert key_in(answer) != "same"
    assert (
        page.post(STUDIO, {"text": "Two", "voice": "standard", "key": key_in(answer)}).status_code
        == 302
    )
    assert balances() == (494, 0)


def test_a_frozen_wallet_and_a_failing_engine_are_said_clearly(page, wallet, now, engine):
    engine.during = raising(EngineFailed("The speech engine is busy."))
    failed = page.post(STUDIO, {"text": "One", "voice": "standard", "key": "a"})
    assert failed.status_code == 503 and b"Nothing was charged" in failed.content

    ledger.set_frozen(wallet_id=wallet.id, frozen=True, now=now)
    assert page.post(STUDIO, {"text": "One", "voice": "standard", "key": "b"}).status_code == 403


def test_a_failed_generation_says_why(page, wallet, engine):
    engine.during = raising(EngineFailed("The speech engine is busy."))
    page.post(STUDIO, {"text": "One", "voice": "standard", "key": "a"})

    html = page.get(f"{STUDIO}?done={Generation.objects.get().id}").content.decode()
    assert "The speech engine is busy. Nothing was charged." in html


def test_text_is_shown_as_text(page, wallet, engine):
    evil = '<script>alert(1)</script> "quoted" & more'
    answer = page.post(STUDIO, {"text": evil, "voice": "standard", "key": "a"})
    html = page.get(answer.url).content.decode()

    assert "<script>alert" not in html and "&lt;script&gt;alert(1)" in html


@pytest.mark.parametrize("done", ["x", "", str(UUID(int=0)), "{}"])
def test_an_unknown_result_shows_the_plain_page(page, wallet, done):
    assert page.get(STUDIO, {"done": done}).status_code == 200


def test_someone_elses_result_is_not_shown(page, bob, now, engine):
    fund(bob, 500, now)
    theirs = speak.speak(customer=bob, text="Secret words", voice_id="standard", key="k", now=now)

    assert b"Secret" not in page.get(STUDIO, {"done": str(theirs.id)}).content


def test_someone_elses_voice_cannot_be_used(page, bob, wallet, now):
    voice = Voice.objects.create(
        customer=bob,
        key="v",
        name="Bob's",
        state="ready",
        engine="espeak",
        settings={"variant": "en-us+f3"},
        credits=25_000,
        created_at=now,
    )

    assert ask(page, voice=str(voice.id)).json()["errors"] == {
        "voice": ["Choose one of the voices."]
    }
    assert "Bob&#x27;s" not in page.get(STUDIO).content.decode()


def test_a_text_of_the_list_can_be_used_again(page, wallet, engine, bob, now):
    mine = ask(page, text="Once more,\nwith feeling.", voice="standard-oliver").json()["id"]
    html = page.get(STUDIO, {"again": mine}).content.decode()
    assert ">\nOnce more,\nwith feeling.</textarea>" in html
    assert re.search(r'value="standard-oliver"[^>]* checked', html)

    fund(bob, 500, now)
    theirs = speak.speak(customer=bob, text="Secret words", voice_id="standard", key="k", now=now)
    assert b"Secret" not in page.get(STUDIO, {"again": str(theirs.id)}).content


def test_a_frozen_wallet_and_one_without_credits_are_said_before_the_click(page, wallet, now):
    assert b"on hold" not in page.get(STUDIO).content

    ledger.set_frozen(wallet_id=wallet.id, frozen=True, now=now)
    html = page.get(STUDIO).content.decode()
    assert "Your credits are on hold" in html
    assert 'data-available="0" data-frozen' in html and "data-left" not in html
    assert "<strong>on hold</strong>" in page.get("/usage/").content.decode()


def test_price_length_and_what_is_left_stand_beside_the_button(page, wallet):
    form = {"text": "x" * 170, "voice": "premium-nora", "speed": "2", "draft_version": "0"}
    page.post("/studio/draft/", form)
    html = page.get(STUDIO).content.decode()

    assert "<span data-credits>340</span> credit" in html
    assert "<span data-left>160</span>" in html
    assert 'about <span class="n" data-length>0:05</span>' in html
    assert re.search(r'value="premium-nora" data-price="2" [^>]*data-pace="17.00"', html)


def test_under_what_was_spoken_nothing_says_that_nothing_was(page, wallet, engine):
    ask(page)
    done = Generation.objects.get()
    Generation.objects.update(state="failed", failure="It failed.")

    assert b"Nothing spoken yet" not in page.get(STUDIO, {"done": done.id}).content
    assert b"Nothing spoken yet" in page.get(STUDIO).content


def test_who_never_had_credits_is_shown_the_plans(page):
    html = page.get(STUDIO).content.decode()

    assert "You have no credits yet" in html and "/billing/plans/" in html


def test_an_own_voice_whose_engine_is_missing_is_shown_and_cannot_be_chosen(
    page, alice, wallet, now, monkeypatch
):
    voice = Voice.objects.create(
        customer=alice,
        key="v",
        name="Narrator",
        state="ready",
        engine="kokoro",
        settings={"style": "af_heart"},
        credits=25_000,
        created_at=now,
    )
    monkeypatch.setattr(voices, "missing", lambda name: ["x"] if name == "kokoro" else [])
    html = page.get(STUDIO).content.decode()

    assert re.search(rf'value="{voice.id}"[^>]* disabled', html)
    assert "Cannot speak just now" in html and "premium-nora" not in html


# --- Speed and pauses


@pytest.mark.parametrize("speed", [1.5, "1.5"])
def test_json_may_name_speed_and_pause_as_numbers_or_strings(page, wallet, engine, speed):
    body = {"text": "Hello.", "voice": "standard", "speed": speed, "pause_seconds": None}
    answer = page.post(STUDIO, body, content_type="application/json", **JSON)

    assert answer.status_code == 201
    assert Generation.objects.get().manner == {"speed": 1.5}


@pytest.mark.parametrize("speed", [True, [1], {}])
def test_a_speed_of_another_kind_is_a_bad_request(page, wallet, speed):
    body = {"text": "Hello.", "voice": "standard", "speed": speed}

    assert page.post(STUDIO, body, content_type="application/json", **JSON).status_code == 400


def test_a_speed_out_of_range_is_named_by_its_field_to_programs_and_people(page, wallet):
    answer = ask(page, speed="9", pause_seconds="0.5")
    shown = page.post(STUDIO, {"text": "Hi.", "voice": "standard", "speed": "9"})

    words = "Choose a speed from 0.25 to 4; 1 is the usual one."
    assert (answer.status_code, answer.json()["errors"]) == (422, {"speed": [words]})
    assert shown.status_code == 422
    assert words in shown.content.decode() and 'value="9"' in shown.content.decode()


def test_the_form_keeps_the_speed_and_pause_that_were_used_last(page, wallet, engine):
    fields = {"text": "Hi.", "voice": "standard", "speed": "0.5", "pause_seconds": "2"}
    shown = page.post(STUDIO, fields, follow=True).content.decode()

    assert re.search(r'name="speed"[^>]* value="0.5"', shown)
    assert re.search(r'name="pause_seconds"[^>]* value="2.0"', shown)
    assert "0.5 ×" in shown


def test_speed_and_pause_are_kept_through_a_login(client, alice, wallet):
    client.get("/accounts/login/")
    fields = {"text": "Hi.", "voice": "standard", "speed": "0.5", "pause_seconds": "2"}
    client.post(STUDIO, fields)
    client.force_login(alice.user)
    shown = client.get(STUDIO).content.decode()

    assert re.search(r'name="speed"[^>]* value="0.5"', shown)
    assert re.search(r'name="pause_seconds"[^>]* value="2"', shown)
