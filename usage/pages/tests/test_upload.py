"""A file as the text of the studio: in the draft, to be seen before it costs anything."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from accounts import throttle
from conftest import fund
from usage.documents import BYTES_MAX
from usage.documents.tests.make import docx, epub, page, paragraph
from usage.models import Draft, Generation

UPLOAD = "/studio/upload/"


@pytest.fixture
def browser(client, alice, now):
    fund(alice, 500, now)
    client.force_login(alice.user)
    return client


def send(browser, name, data, *, text="", version=0):
    file = SimpleUploadedFile(name, data)
    fields = {"text": text, "voice": "standard", "draft_version": version, "file": file}
    return browser.post(UPLOAD, fields)


@pytest.mark.parametrize(
    ("name", "data", "how"),
    [
        ("a.txt", "# One\n\nCafé.".encode(), "as UTF-8"),
        ("a.txt", "# One\n\nCafé.".encode("cp1252"), "as Windows-1252"),
        ("a.md", "# One\r\n\r\nCafé.".encode(), "as UTF-8"),
        ("a.docx", docx(paragraph("One", "berschrift1") + paragraph("Café.")), "a Word document"),
        ("a.epub", epub({"a": page("<h1>One</h1><p>Café.</p>")}), "an e-book"),
    ],
)
def test_a_file_becomes_the_draft_with_its_price_and_costs_nothing(browser, name, data, how):
    answer = send(browser, name, data)
    assert answer.status_code == 302 and answer["Location"] == reverse("studio")
    shown = browser.get(reverse("studio")).text

    assert Draft.objects.get().text == "# One\n\nCafé."
    assert "# One\n\nCafé.</textarea>" in shown and how in shown
    assert "<span data-credits>12</span>" in shown and "12 characters" in shown
    assert not Generation.objects.exists()


def test_what_was_typed_before_is_kept(browser):
    send(browser, "a.txt", b"From the file", text="Typed before")

    draft = Draft.objects.get()
    assert (draft.text, draft.former_text) == ("From the file", "Typed before")


def test_a_draft_that_another_page_has_saved_is_not_overwritten(browser):
    send(browser, "a.txt", b"One")
    answer = send(browser, "b.txt", b"Two", text="Mine", version=0)

    assert answer.status_code == 409 and "changed in another tab" in answer.text
    assert Draft.objects.get().text == "One"


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.pdf", b"%PDF", "ends in .txt"),
        ("a.docx", b"no", "damaged"),
        ("a.txt", b"word " * 20_001, "100,005 characters, and at most 100,000"),
        ("a.txt", b"x" * (BYTES_MAX + 1), "larger than 10 MB"),
        ("a.txt", ("a" + "\u0301" * 100).encode(), ""),
    ],
)
def test_what_cannot_be_taken_is_refused_with_the_text_left_as_it_was(browser, name, data, words):
    answer = send(browser, name, data, text="Typed before")

    if words:
        assert answer.status_code == 422 and words in answer.text
        assert "Typed before</textarea>" in answer.text
    else:  # what cannot be spoken may be edited first
        assert answer.status_code == 302


def test_no_file_is_said(browser):
    answer = browser.post(UPLOAD, {"text": "Typed", "draft_version": "0"})

    assert answer.status_code == 422 and "Choose a file first" in answer.text


def test_files_are_not_read_without_end(browser, monkeypatch):
    monkeypatch.setitem(throttle.RATES, "upload", ("1/10m", ""))
    send(browser, "a.txt", b"One")

    answer = send(browser, "b.txt", b"Two", text="Typed", version=1)
    assert answer.status_code == 429 and "Typed</textarea>" in answer.text
    assert Draft.objects.get().text == "One"


def test_who_is_logged_out_finds_what_was_typed(client, alice):
    answer = send(client, "a.txt", b"One", text="Typed before")

    assert answer.status_code == 302 and "login" in answer["Location"]
    assert not Draft.objects.exists()


def test_a_get_leads_to_the_form(browser):
    assert browser.get(UPLOAD)["Location"] == reverse("studio")
