"""The pages about the API stand for everybody, and say what the API says."""

from __future__ import annotations

import pytest
from django.urls import reverse

from api import reference
from api.failures import WORDS
from api.own.errors import EXPLAINED
from usage.speech.problems import TABLE

pytestmark = pytest.mark.django_db

# Of pages, and of what our own dialect has no address for.
ELSEWHERE = {
    "text_refused",
    "unknown_match",
    # Of consents that are recorded, in OpenAI's dialect alone.
    "unknown_consent",
    "too_many_consents",
    "credited_back",
    "voice_gone",
    "again_elsewhere",
    "again_too_often",
    "words_unknown",
}


def test_the_reference_shows_the_examples_for_this_site(client, settings):
    settings.SITE_URL = "https://vocalis.example"
    reference.examples.cache_clear()

    page = client.get(reverse("api_reference"))

    reference.examples.cache_clear()
    assert page.status_code == 200
    assert "https://vocalis.example/v1/speech" in page.text
    assert reference.EXAMPLES_URL not in page.text


def test_every_problem_is_explained_at_the_address_it_names(client):
    page = client.get(reverse("api_problems")).text
    codes = {code for _, code, _ in TABLE.values()} - ELSEWHERE
    codes |= {code for code, _ in WORDS.values()} - {"bad_request"}

    assert codes <= {each.code for each in EXPLAINED}
    for each in EXPLAINED:
        assert f'id="{each.name}"' in page


def test_every_dialect_has_each_example():
    assert {path.name for path in reference.EXAMPLES.iterdir()} == {
        f"{dialect}.{ending}"
        for dialect in ("own", "openai", "elevenlabs")
        for ending in reference.LANGUAGES
    }
