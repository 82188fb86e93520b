"""Voices of speech servers as voices of the house."""

import pytest
from django.urls import reverse

from conftest import fund
from tests.stopwatch import Stopwatch
from usage import engines
from usage.engines import remote
from usage.engines.remote.configuration import read_servers
from usage.engines.remote.tests.contract_server import ContractServer
from usage.models import UsageEvent
from usage.speech import problems, voices
from usage.speech.speak import speak

LISTED = [
    "af_heart",
    {"id": "v 1/é", "name": "Ana", "language": "es"},
    {"id": "x" * 130},
]


@pytest.fixture
def servers(monkeypatch):
    """Sets these servers: `servers(server, …, options="&label=…")`."""

    def servers(*given, options=("&label=GPU farm&tier=standard",)):
        options = [*options, *[""] * len(given)]
        written = [
            f"{server.address}?model=m{option.replace(' ', '%20')}"
            for server, option in zip(given, options, strict=False)
        ]
        monkeypatch.setattr(remote, "_servers", read_servers(", ".join(written)))
        engines.close()
        engines.missing.cache_clear()
        return engines.engine("remote")

    yield servers
    engines.close()
    engines.missing.cache_clear()


@pytest.fixture
def server():
    server = ContractServer(voices=LISTED)
    yield server
    if not server.ended.is_set():
        server.die()


def there():
    return [speaker for speaker in voices.house() if speaker.group]


def test_they_are_listed_with_their_label_price_and_language_once_the_list_is_there(
    alice, server, servers
):
    made = servers(server)
    made.warm()

    heart, ana = there()
    assert (heart.id, heart.name, heart.type) == (
        "remote-gpu_farm-af_heart",
        "af_heart",
        "standard",
    )
    assert (heart.group, heart.language_name, heart.sample) == ("GPU farm", "English", "")
    assert (ana.id, ana.name) == ("remote-gpu_farm-v%201%2F%C3%A9", "Ana")
    assert ana.language_name == "Spanish"
    assert ana.settings == {"voice": "v 1/é", "group": "gpu_farm"}
    for speaker in (heart, ana):
        assert voices.resolve(alice, speaker.id) == speaker


def test_a_page_waits_for_no_server(alice, server, servers, monkeypatch):
    monkeypatch.setattr(server, "finish_request", lambda *request: server.ended.wait(10))
    servers(server)
    stopwatch = Stopwatch()

    assert there() == []
    assert voices.resolve(alice, "remote-gpu_farm-af_heart").name == "af_heart"
    assert stopwatch.seconds() < 1


def test_after_a_restart_a_voice_of_a_server_that_is_away_is_found_and_says_it_cannot_speak(
    alice, wallet, now, server, servers
):
    server.die()
    servers(server)

    speaker = voices.resolve(alice, "remote-gpu_farm-af_heart")
    assert speaker.credits_per_character == 1
    with pytest.raises(problems.SpeechFailed, match=r"Try again in a moment\."):
        speak(customer=alice, text="Hello.", voice_id=speaker.id, key="k", now=now)


def test_what_no_server_has_is_no_voice(alice, server, servers):
    servers(server).warm()

    for unknown in (
        "remote-gpu_farm-nobody",
        "remote-other-af_heart",
        "remote-gpu_farm-",
        "remote-gpu_farm",
        "remote-gpu_farm-v 1%2F%C3%A9",  # not as it is written
    ):
        with pytest.raises(problems.UnknownVoice):
            voices.resolve(alice, unknown)


def test_a_text_is_spoken_charged_and_reported_at_the_price_of_the_server(
    alice, wallet, now, server, servers
):
    servers(server).warm()
    generation = speak(
        customer=alice, text="Hello there.", voice_id="remote-gpu_farm-af_heart", key="k", now=now
    )

    assert (generation.state, generation.credits) == ("done", 12)
    assert (generation.voice, generation.voice_name) == ("remote-gpu_farm-af_heart", "af_heart")
    assert server.asked[0]["voice"] == "af_heart"
    assert UsageEvent.objects.get().properties["voice_type"] == "standard"


def test_a_group_asks_its_own_servers_only_at_its_own_price(alice, wallet, now, server, servers):
    other = ContractServer(voices=["af_heart"])
    try:
        servers(server, other, options=("&label=Own", "&label=Cheap&tier=standard")).warm()
        fund(alice, 1_000, now)
        for number, (group, price) in enumerate([("own", 2), ("cheap", 1)]):
            speaker = voices.resolve(alice, f"remote-{group}-af_heart")
            assert speaker.credits_per_character == price
            speak(customer=alice, text="Hi.", voice_id=speaker.id, key=str(number), now=now)
        assert (len(server.asked), len(other.asked)) == (1, 1)
    finally:
        other.die()


def test_the_studio_shows_them_under_their_label(alice, wallet, client, server, servers):
    servers(server).warm()
    client.force_login(alice.user)
    page = client.get(reverse("studio"), {"voice": "remote-gpu_farm-af_heart"}).content.decode()

    assert "GPU farm" in page
    assert 'value="remote-gpu_farm-af_heart" data-price="1" data-name="af_heart" checked' in page
    assert page.index("Premium") < page.index("GPU farm")
