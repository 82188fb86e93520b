"""The library of voices: for everybody, filtered by the address, one's own voices first."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse

from usage.models import Voice
from usage.speech import library, voices

ENTRIES = [library.entry(speaker) for speaker in voices.HOUSE.values()]


def html_of(client, **query) -> str:
    answer = client.get(reverse("voices"), query)
    assert answer.status_code == 200
    return answer.content.decode()


def shown(html: str) -> set[str]:
    items = re.findall(
        r"<li class=\"card\" data-filtered-item([^>]*)>.*?<h3>(\w+)", html, re.DOTALL
    )
    return {name for attributes, name in items if "hidden" not in attributes}


def names(entries) -> set[str]:
    return {one.speaker.name for one in entries if one.speaker.is_offered}


@pytest.mark.django_db
def test_a_visitor_sees_every_voice_with_its_sample_and_its_price(client):
    html = html_of(client)

    assert shown(html) == names(ENTRIES)
    assert "/static/voices/standard-ava.mp3" in html and "/studio/?voice=standard-ava" in html
    assert "1,000 credits" in html and "2,000 credits" in html
    assert "own-title" not in html


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"sex": "man", "tier": "standard"}, {"Oliver"}),
        ({"accent": "British", "words": "STORY"}, {"Arthur"}),
        ({"words": "woman soft"}, {"Willa"}),
        ({"words": "nobody speaks like this"}, set()),
        ({"words": "man deep"}, {"Frank"}),
    ],
)
def test_the_address_filters(client, query, expected):
    html = html_of(client, **query)

    assert shown(html) == expected
    assert f"{len(expected)} of {len(names(ENTRIES))} voices" in html
    assert ("data-none hidden" in html) == bool(expected)


@pytest.mark.django_db
def test_a_filter_that_does_not_exist_filters_nothing(client):
    assert shown(html_of(client, sex="robot", tier="x")) == names(ENTRIES)


def test_a_description_is_taken_apart():
    parts = {
        one.speaker.name: (one.language, one.accent, one.sex, one.character) for one in ENTRIES
    }

    assert parts["Nora"] == ("English", "American", "woman", "clear and lively")
    assert parts["Ada"] == ("English", "American", "", "classic synthesizer")
    assert parts["Iris"] == ("English", "Between American and British", "woman", "")


def test_every_choice_finds_somebody():
    for name, values in library.choices(ENTRIES).items():
        for value in values:
            assert library.matching(ENTRIES, {name: value})


def test_customers_see_their_own_voices_only(client, alice, bob, now):
    for customer, name in ((alice, "Harbour narrator"), (bob, "Bob-like")):
        Voice.objects.create(
            customer=customer,
            key="v",
            name=name,
            state="ready",
            engine="espeak",
            settings={"variant": "en-us+f3"},
            credits=25_000,
            created_at=now,
        )
    client.force_login(alice.user)
    html = html_of(client)

    assert "Harbour narrator" in html and "Bob-like" not in html
    assert f"/studio/?voice={alice.voices.get().id}" in html


def test_an_operator_without_a_customer_is_not_sent_to_a_studio(client, staff):
    client.force_login(staff)

    assert "/studio/?voice=" not in html_of(client)


def test_the_navigation_marks_the_page_and_the_one_it_belongs_to(client, alice):
    client.force_login(alice.user)

    assert '<a href="/voices/" aria-current="page">Voices</a>' in html_of(client)
    within = client.get(reverse("own-voice")).content.decode()
    assert '<a href="/voices/" aria-current="true">Voices</a>' in within
    assert '<a href="/studio/">Studio</a>' in within
