"""Speech with our own dialect: its price, its receipt, its refusals."""

from __future__ import annotations

import asyncio
import hashlib

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from billing import keys, ledger
from billing.models import Wallet
from usage import audio
from usage.engines import EngineFailed
from usage.models import Generation, UsageEvent

from .conftest import Caller

pytestmark = pytest.mark.django_db(transaction=True)

TEXT = "One sentence is here. Another sentence is there. And this is the third one."
PIECES = 3


def body(response) -> bytes:
    """All of a streamed answer, read as a server reads it."""

    async def read():
        return b"".join([part async for part in response])

    return asyncio.run(read())


def test_a_text_is_spoken_charged_and_its_headers_say_so(call, alice, engine):
    response = call.post("speech", {"text": TEXT, "format": "wav"})

    assert response.status_code == 200
    assert response["Content-Type"] == "audio/wav"
    assert response["Vocalis-Credits"] == str(len(TEXT))
    assert response["Vocalis-Available"] == str(500 - len(TEXT))
    with audio.decode(body(response)) as sound:
        assert sound.sample_rate == 24_000
        assert len(b"".join(sound)) == PIECES * 4_800
    generation = Generation.objects.get()
    assert response["Vocalis-Generation"] == str(generation.id)
    assert (generation.state, generation.api_key) == ("done", call.key)
    assert Wallet.objects.values_list("balance", "reserved").get() == (500 - len(TEXT), 0)


def test_the_receipt_tells_all(call, engine):
    made = call.post("speech", {"text": TEXT})
    body(made)

    found = call.get(f"generations/{made['Vocalis-Generation']}").json()

    assert found["text"] == TEXT
    assert (found["state"], found["delivered_characters"]) == ("done", len(TEXT))
    receipt = found["receipt"]
    assert (receipt["balance_before"], receipt["balance_after"]) == (500, 500 - len(TEXT))
    assert sum(paid["credits"] for paid in receipt["paid_by"]) == len(TEXT) == receipt["credits"]
    assert receipt["event_id"] == UsageEvent.objects.get().transaction_id
    assert receipt["reported"] is False
    assert len(receipt["audio_sha256"]) == 64


def test_the_audio_again_says_its_length_and_its_flac_is_the_file_of_the_receipt(call, engine):
    made = call.post("speech", {"text": TEXT})
    body(made)
    address = f"generations/{made['Vocalis-Generation']}"

    flac = body(call.get(f"{address}/audio?format=flac"))
    wav = body(call.get(f"{address}/audio?format=wav"))
    low = body(call.get(f"{address}/audio?format=flac&sample_rate=8000"))

    receipt = call.get(address).json()["receipt"]
    assert hashlib.sha256(flac).hexdigest() == receipt["audio_sha256"]
    assert int.from_bytes(wav[4:8], "little") + 8 == len(wav) == 44 + PIECES * 4_800
    with audio.decode(low) as sound:
        assert (sound.sample_rate, sound.samples) == (8_000, PIECES * 800)


@pytest.mark.parametrize("form", ["mp3", "flac"])
def test_audio_that_is_damaged_is_told_before_any_of_it_is_sent(call, engine, form):
    made = call.post("speech", {"text": TEXT, "format": "wav"}, Idempotency_Key="a")
    body(made)
    generation = Generation.objects.get()
    with default_storage.open(generation.audio) as file:
        half = file.read()[: file.size // 2]
    default_storage.delete(generation.audio)
    default_storage.save(generation.audio, ContentFile(half))

    again = call.post("speech", {"text": TEXT, "format": "wav"}, Idempotency_Key="a")
    whole = call.get(f"generations/{generation.id}/audio?format={form}")

    assert [(each.status_code, each.json()["code"]) for each in (again, whole)] == [
        (410, "audio_lost")
    ] * 2


def test_the_receipt_stays_when_its_event_is_pruned(call, engine):
    made = call.post("speech", {"text": TEXT})
    body(made)
    UsageEvent.objects.all().delete()

    receipt = call.get(f"generations/{made['Vocalis-Generation']}").json()["receipt"]

    assert (receipt["reported"], receipt["reported_at"]) == (True, None)
    assert receipt["event_id"] == f"vocalis-gen-{made['Vocalis-Generation']}"
    assert (receipt["audio"], receipt["credited_back"]) == ("kept", 0)


@pytest.mark.parametrize("form", sorted(audio.FORMATS))
def test_the_same_key_again_is_the_same_audio_at_no_cost(call, wallet, now, engine, form):
    asked = {"text": TEXT, "format": form}
    first = call.post("speech", asked, Idempotency_Key="a")
    heard = body(first)

    again = call.post("speech", asked, Idempotency_Key="a")

    assert again["Idempotent-Replayed"] == "true"
    assert (again["Vocalis-Credits"], again["Vocalis-Available"]) == ("0", str(500 - len(TEXT)))
    assert body(again) == heard
    assert Wallet.objects.get().balance == 500 - len(TEXT)
    ledger.set_frozen(wallet_id=wallet.id, frozen=True, now=now)
    on_hold = call.post("speech", asked, Idempotency_Key="a")
    assert (body(on_hold), on_hold["Vocalis-Available"]) == (heard, "0")
    other = call.post("speech", asked | {"speed": 2}, Idempotency_Key="a")
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")


def test_a_quote_is_what_is_charged_and_reserves_nothing(call, engine):
    quote = call.post("quote", {"text": TEXT, "voice": "premium"}).json()

    assert quote["credits"] == quote["characters"] * quote["credits_per_character"]
    assert (quote["available"], quote["sufficient"]) == (500, True)
    assert Wallet.objects.get().reserved == 0
    made = call.post("speech", {"text": TEXT, "voice": "premium"})
    assert made["Vocalis-Credits"] == str(quote["credits"])
    body(made)


def test_without_credits_it_says_how_many_are_missing_and_where_they_are_got(call, engine):
    text = "A sentence that is long. " * 30

    refused = call.post("speech", {"text": text})

    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (402, "insufficient_credits")
    assert problem["needed"] - problem["available"] == problem["missing"]
    assert problem["top_up_url"].endswith("/billing/top-up/")
    assert call.post("quote", {"text": text}).json()["sufficient"] is False
    assert engine.calls == 0


def test_a_spent_budget_is_another_problem(client, alice, wallet, engine, now):
    key, secret = keys.create(customer=alice, name="small", limit=20, now=now)
    small = Caller(client, key, secret)

    refused = small.post("speech", {"text": TEXT})

    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (402, "key_budget_exceeded")
    assert (problem["remaining"], problem["limit"]) == (20, 20)
    assert small.post("quote", {"text": TEXT}).json()["key_remaining"] == 20


def test_an_engine_that_fails_costs_nothing(call, engine):
    def fail():
        raise EngineFailed("It broke.")

    engine.during = fail

    refused = call.post("speech", {"text": TEXT})

    assert (refused.status_code, refused.json()["code"]) == (503, "speech_failed")
    assert Wallet.objects.values_list("balance", "reserved").get() == (500, 0)


@pytest.mark.parametrize(
    ("given", "status", "pointer"),
    [
        ({"text": ""}, 422, "/text"),
        ({"text": "x" * 5_001}, 422, "/text"),
        ({"text": "a\x00b"}, 422, "/text"),
        ({"text": "Здравствуйте."}, 422, "/text"),
        ({"text": TEXT, "voice": "nobody"}, 422, "/voice"),
        ({"text": TEXT, "format": "midi"}, 422, "/format"),
        ({"text": TEXT, "format": "mp3", "bit_rate": 7}, 422, "/format"),
        ({"text": TEXT, "speed": 9}, 422, "/speed"),
        ({"text": 5}, 422, "/text"),
        ({}, 422, "/text"),
        ([], 422, "/text"),
    ],
)
def test_what_is_wrong_is_said_by_field(call, given, status, pointer):
    refused = call.post("speech", given)

    assert refused.status_code == status
    assert refused["Content-Type"] == "application/problem+json"
    problem = refused.json()
    assert problem["errors"][0]["pointer"] == pointer, problem
    assert problem["type"].startswith("http")
    assert problem["instance"] == refused["x-request-id"]
    assert not Generation.objects.exists()


def test_broken_json_is_refused(call, client):
    refused = client.post(
        "/v1/speech",
        data="{",
        content_type="application/json",
        headers={"Authorization": f"Bearer {call.secret}"},
    )

    assert refused.status_code == 400
    assert refused["Content-Type"] == "application/problem+json"


def test_audio_is_had_again_in_any_format_by_its_owner_only(call, client, bob, engine, now):
    made = call.post("speech", {"text": TEXT})
    body(made)
    path = f"generations/{made['Vocalis-Generation']}/audio"

    again = call.get(f"{path}?format=pcm&sample_rate=8000")

    assert len(body(again)) == pytest.approx(PIECES * 4_800 / 3, abs=10)
    assert call.get(f"{path}?format=pcm&sample_rate=1").status_code == 422
    key, secret = keys.create(customer=bob, name="b", now=now)
    others = Caller(client, key, secret)
    assert others.get(path).status_code == 404
    assert others.get(f"generations/{made['Vocalis-Generation']}").status_code == 404
    assert others.get("generations").json()["data"] == []
