"""The draft on the studio's page and at its address."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import throttle
from conftest import PASSWORD
from usage.engines.tests.quick import QuickEngine
from usage.models import Draft, Generation
from usage.speech import drafts, speak

STUDIO, DRAFT = "/studio/", "/studio/draft/"
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


def save(page, text, version, **fields):
    return page.post(DRAFT, {"text": text, "draft_version": version} | fields, **JSON)


def text_in(answer) -> str:
    return re.search(r"<textarea[^>]*>\n(.*?)</textarea>", answer.content.decode(), re.DOTALL)[1]


def hidden_in(answer, name) -> str:
    return re.search(rf'name="{name}" value="([^"]*)"', answer.content.decode())[1]


def test_what_was_being_written_is_there_again_also_on_another_device(page, alice, client_class):
    answer = save(page, "One\r\nmore", 0, voice="premium-nora", speed="1.5")

    assert answer.status_code == 200
    assert (answer.json()["version"], answer.json()["text"]) == (1, "One\nmore")
    page.logout()
    other = client_class()
    other.force_login(alice.user)
    shown = other.get(STUDIO)
    assert text_in(shown) == "One\nmore" and hidden_in(shown, "draft_version") == "1"
    content = shown.content.decode()
    assert re.search(r'value="premium-nora"[^>]* checked', content)
    assert re.search(r'name="speed"[^>]* value="1.5"', content)


@pytest.fixture
def client_class():
    from django.test import Client

    return Client


def test_the_later_of_two_tabs_is_told_what_the_other_one_kept(page):
    save(page, "One", 0)
    answer = save(page, "Other", 0)

    assert answer.status_code == 409
    assert "another tab" in answer.json()["error"]
    assert (answer.json()["text"], answer.json()["version"]) == ("One", 1)


def test_without_script_both_texts_stand_on_the_page(page):
    save(page, "One", 0)
    answer = page.post(DRAFT, {"text": "Other", "draft_version": "0"})

    assert answer.status_code == 409
    content = answer.content.decode()
    assert (
        text_in(answer) == "Other" and "changed in another tab" in content and ">One</p>" in content
    )
    form = {name: hidden_in(answer, name) for name in ("draft_version", "replaces")}
    assert page.post(DRAFT, {"text": "Other"} | form).status_code == 302
    kept = Draft.objects.get()
    assert (kept.text, kept.former_text) == ("Other", "One")
    content = page.get(STUDIO).content.decode()
    assert "The text before" in content
    page.post(DRAFT, {"text": "Other", "draft_version": kept.version, "restore": "1"})
    assert text_in(page.get(STUDIO)) == "One"


@pytest.mark.parametrize("version", ["", "x", "-1", "9" * 40, "٣"])
def test_a_version_that_is_none_is_one_that_nobody_has(page, version):
    assert save(page, "One", version).status_code == 409


def test_a_draft_is_limited_in_size_and_in_rate(page, monkeypatch):
    answer = save(page, "x" * 120_001, 0)
    assert answer.status_code == 422 and "120,000" in answer.json()["errors"]["text"][0]
    form = page.post(DRAFT, {"text": "x" * 120_001, "draft_version": "0"})
    assert form.status_code == 422 and len(text_in(form)) == 120_001, "nothing typed is lost"

    monkeypatch.setitem(throttle.RATES, "draft", ("1/10m", ""))
    save(page, "One", 0)
    answer = save(page, "Two", 1)
    assert answer.status_code == 429 and answer["Retry-After"]
    answer = page.post(DRAFT, {"text": "Two", "draft_version": "1"})
    assert answer.status_code == 429 and text_in(answer) == "Two"


def test_without_script_the_text_is_there_after_speaking(page, wallet, engine):
    form = {"text": "Hello there.", "voice": "premium-theo", "speed": "1.5", "draft_version": "0"}
    answer = page.post(STUDIO, form, follow=True)

    assert answer.redirect_chain[0][0].startswith("/studio/?done=")
    assert text_in(answer) == "Hello there." and hidden_in(answer, "draft_version") == "1"
    assert text_in(page.get(STUDIO)) == "Hello there."


def test_a_text_that_is_not_spoken_is_kept_too(page, wallet, engine):
    text = "x" * 600
    answer = page.post(STUDIO, {"text": text, "voice": "standard", "draft_version": "0"})

    assert answer.status_code == 402
    assert text_in(page.get(STUDIO)) == text


def test_speaking_does_not_overwrite_the_draft_of_another_tab(page, wallet, engine):
    save(page, "In another tab", 0)
    page.post(STUDIO, {"text": "Hello there.", "voice": "standard", "draft_version": "0"})

    assert Draft.objects.get().text == "In another tab"
    assert Generation.objects.get().text == "Hello there."


def test_a_draft_that_cannot_be_kept_stops_nothing(page, wallet, engine, monkeypatch):
    def refuse(**_):
        raise drafts.Refused({"text": ["No."]})

    monkeypatch.setattr(drafts, "save", refuse)
    form = {"text": "Hello there.", "voice": "standard", "draft_version": "0"}

    assert page.post(STUDIO, form).status_code == 302
    assert Generation.objects.get().state == "done"


def test_speaking_with_script_writes_no_draft(page, wallet, engine):
    """Its script does, at its own address."""
    form = {"text": "Hello there.", "voice": "standard", "draft_version": "0"}
    with CaptureQueriesContext(connection) as queries:
        assert page.post(STUDIO, form, **JSON).status_code == 201

    assert not any("usage_draft" in query["sql"] for query in queries)


def test_an_earlier_text_to_speak_again_does_not_destroy_the_draft(page, wallet, engine):
    page.post(STUDIO, {"text": "Hello there.", "voice": "standard"})
    save(page, "A draft", 0)
    answer = page.get(STUDIO, {"again": Generation.objects.get().id})

    assert text_in(answer) == "Hello there." and b"Back to your draft" in answer.content
    assert hidden_in(answer, "replaces") == "1"
    save(page, "Hello there!", 1, replaces="1")
    assert Draft.objects.get().former_text == "A draft"


def test_a_text_sent_after_the_session_ended_waits_to_be_saved(page, alice):
    save(page, "A draft", 0)
    page.logout()
    page.post(STUDIO, {"text": "Sent too late", "voice": "standard"})
    page.post(
        "/accounts/login/",
        {"username": alice.user.email, "email": alice.user.email, "password": PASSWORD},
    )
    answer = page.get(STUDIO)

    assert text_in(answer) == "Sent too late" and b"data-draft-unsaved" in answer.content
    assert hidden_in(answer, "replaces") == "1", "the draft becomes the former text"


def test_nobody_sees_the_draft_of_another_and_without_a_login_nothing_is_kept(page, bob, client):
    save(page, "My draft", 0)
    client.force_login(bob.user)
    assert b"My draft" not in client.get(STUDIO).content
    client.logout()

    assert client.post(DRAFT, {"text": "x"}, **JSON).status_code == 401
    assert client.get(DRAFT)["Location"] == STUDIO


def test_a_draft_needs_the_token_of_its_form(alice, client_class):
    strict = client_class(enforce_csrf_checks=True)
    strict.force_login(alice.user)

    assert strict.post(DRAFT, {"text": "x", "draft_version": "0"}, **JSON).status_code == 403
