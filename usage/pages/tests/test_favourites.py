"""Favourite voices: first in the picker, with and without script."""

from __future__ import annotations

import re

import pytest

from usage.models import Favourite
from usage.speech import favourites

STUDIO, FAVOURITES = "/studio/", "/studio/favourites/"
JSON = {"HTTP_ACCEPT": "application/json"}


@pytest.fixture
def page(client, alice):
    client.force_login(alice.user)
    return client


def picker(page) -> list[str]:
    """The groups and the voices of the picker, in their order."""
    content = page.get(STUDIO).content.decode()
    return re.findall(r'data-group="(\w+)"|name="voice" id="voice-([\w-]+)"', content)


def test_favourites_come_first_with_their_own_price_and_are_found_by_their_tier(page):
    page.post(FAVOURITES, {"favourite": "premium-nora"}, **JSON)

    assert picker(page)[:2] == [("favourites", ""), ("", "premium-nora")]
    content = page.get(STUDIO).content.decode()
    assert content.count('value="premium-nora" data-price') == 1
    favourite = content[content.index('data-group="favourites"') :]
    favourite = favourite[: favourite.index('data-group="standard"')]
    assert 'data-tier="premium"' in favourite and "Premium, 2 a character" in favourite
    assert 'aria-pressed="true"' in favourite


def test_a_star_twice_is_a_star_once_and_goes_again(page, alice):
    for _ in range(2):
        answer = page.post(FAVOURITES, {"favourite": "standard-ava"}, **JSON)
        assert answer.json() == {"voice": "standard-ava", "is_favourite": True}
    assert Favourite.objects.count() == 1
    for _ in range(2):
        answer = page.post(FAVOURITES, {"unfavourite": "standard-ava"}, **JSON)
        assert answer.json() == {"voice": "standard-ava", "is_favourite": False}

    assert favourites.of(alice) == frozenset()


def test_without_script_what_stands_in_the_form_stays(page):
    form = {"text": "Half a sentence", "draft_version": "0", "favourite": "standard-ava"}
    answer = page.post(FAVOURITES, form, follow=True)

    assert answer.redirect_chain == [(STUDIO, 302)]
    assert b"Half a sentence</textarea>" in answer.content


def test_a_voice_that_is_none_is_refused(page):
    answer = page.post(FAVOURITES, {"favourite": "nobody", "text": "Kept"}, **JSON)
    assert answer.status_code == 422 and list(answer.json()["errors"]) == ["voice"]
    answer = page.post(FAVOURITES, {"favourite": "nobody", "text": "Kept"})

    assert answer.status_code == 422 and b"Kept</textarea>" in answer.content


def test_nobody_has_more_than_there_is_place_for(page, alice, monkeypatch):
    monkeypatch.setattr(favourites, "FAVOURITES_MAX", 1)
    page.post(FAVOURITES, {"favourite": "standard-ava"}, **JSON)
    answer = page.post(FAVOURITES, {"favourite": "standard-june"}, **JSON)

    assert answer.status_code == 422 and "Remove one" in answer.json()["errors"]["voice"][0]
    assert page.post(FAVOURITES, {"favourite": "standard-ava"}, **JSON).status_code == 200


def test_favourites_are_each_customer_s_own(page, bob, client):
    page.post(FAVOURITES, {"favourite": "standard-june"}, **JSON)
    client.force_login(bob.user)

    assert picker(client)[0] == ("standard", "")
