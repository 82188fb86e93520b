"""The page of the pronunciation dictionary."""

from __future__ import annotations

import pytest

from accounts import throttle
from usage.engines.tests.quick import QuickEngine
from usage.models import Pronunciation
from usage.speech import pronunciations

PAGE = "/studio/pronunciations/"
PREVIEW = "/studio/pronunciations/preview/"


@pytest.fixture
def page(client, alice):
    client.force_login(alice.user)
    return client


def test_words_are_added_changed_and_deleted(page, alice):
    page.post(PAGE, {"written": "SQL", "spoken": "sequel"})
    entry = alice.pronunciations.get()
    assert "sequel" in page.get(PAGE).content.decode()
    form = page.get(f"{PAGE}?change={entry.pk}").content.decode()
    assert "Change SQL" in form and f'name="entry" value="{entry.pk}"' in form

    page.post(PAGE, {"entry": entry.pk, "written": "SQL", "spoken": "squeal"})
    assert alice.pronunciations.get().spoken == "squeal"
    answer = page.post(PAGE, {"entry": entry.pk, "delete": "1"})

    assert (answer.status_code, answer["Location"]) == (302, PAGE)
    assert not Pronunciation.objects.exists()


def test_what_is_wrong_is_said_at_its_field_and_what_was_typed_stays(page):
    answer = page.post(PAGE, {"written": "Bach", "spoken": "/bax/"})

    assert answer.status_code == 422
    shown = answer.content.decode()
    assert "these signs: x." in shown and 'value="/bax/"' in shown


def test_nobody_changes_or_deletes_what_is_another_s(page, bob):
    entry = pronunciations.save(bob, "SQL", "sequel")
    page.post(PAGE, {"entry": entry.pk, "delete": "1"})
    page.post(PAGE, {"entry": entry.pk, "written": "SQL", "spoken": "mine"})

    assert bob.pronunciations.get().spoken == "sequel"
    assert "sequel" not in page.get(f"{PAGE}?change={entry.pk}").content.decode()


@pytest.mark.parametrize("entry", ["x", "9" * 40, "-1", "٣"])
def test_an_entry_that_is_none_is_a_new_word(page, alice, entry):
    assert page.get(PAGE, {"change": entry}).status_code == 200
    page.post(PAGE, {"entry": entry, "delete": "1"})

    assert page.post(PAGE, {"entry": entry, "written": "a", "spoken": "b"}).status_code == 302


def test_what_was_typed_is_kept_through_a_login(client, alice):
    client.get("/accounts/login/")
    client.post(PAGE, {"written": "SQL", "spoken": "sequel"})
    client.force_login(alice.user)

    assert 'value="sequel"' in client.get(PAGE).content.decode()


def test_listening_is_free_and_bounded(page, monkeypatch):
    monkeypatch.setattr(pronunciations, "engine", lambda name: QuickEngine())
    monkeypatch.setitem(throttle.RATES, "preview", ("2/10m", ""))
    query = {"written": "SQL", "spoken": "sequel", "voice": "standard"}
    sound = page.get(PREVIEW, query)

    assert sound.status_code == 200 and sound.content[:4] == b"RIFF"
    assert page.get(PREVIEW, query | {"spoken": "/x/"}).status_code == 422
    assert page.get(PREVIEW, query).status_code == 429


def test_the_studio_leads_here(page, wallet):
    assert PAGE in page.get("/studio/").content.decode()
