"""What makes pages quick and easy to find, on every page: it loads only what it uses, and nothing
of others; no script holds it up; one heading, a title of its own, words for every picture."""

from __future__ import annotations

import gzip
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.urls import reverse

from usage.engines.tests.quick import QuickEngine
from usage.models import Generation
from usage.speech import speak

COMPRESSED_BYTES_MAX = 80_000  # of a page with its styles and scripts
# What weighs most, and the attribute of what it is for.
USED_BY = {
    "js/player.js": "data-result",
    "js/usage-charts.js": "data-columns",
    "vendor/uplot/uPlot.iife.min.js": "data-columns",
    "vendor/uplot/uPlot.min.css": "data-columns",
}
OWN = [
    "studio",
    "library",
    "pronunciations",
    "own-voice",
    "voices",
    "usage",
    "billing",
    "plans",
    "recharge",
    "top_up",
    "invoices",
    "billing_profile",
    "keys",
    "webhooks",
    "profile",
    "security",
    "devices",
    "mails",
    "account_data",
    "account_delete",
    "authenticator_app",
    "password_change",
    "pricing",
    "documents",
    "api_reference",
    "status",
]
PUBLIC = [
    "home",
    "pricing",
    "voices",
    "documents",
    "api_reference",
    "api_problems",
    "status",
    "terms",
    "privacy",
    "signup",
    "login",
    "password_reset",
]


class Page(HTMLParser):
    """The tags of a page, with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]

    def has(self, attribute: str) -> bool:
        return any(attribute in attrs for _, attrs in self.tags)

    def loaded(self) -> list[str]:
        """The addresses of its scripts and styles."""
        sheets = [each["href"] for each in self.all("link") if each.get("rel") == "stylesheet"]
        return [str(one) for one in [*sheets, *(each["src"] for each in self.all("script"))]]


def check(html: str) -> None:
    page = Page(html)
    assert len(page.all("h1")) == 1
    assert all(each.get("alt") is not None for each in page.all("img"))
    assert all("defer" in each for each in page.all("script"))
    found = [one.removeprefix("/static/") for one in page.loaded()]
    assert len(found) == len(set(found)) and not any(one.startswith(("/", "http")) for one in found)
    files = [Path(str(finders.find(one))).read_bytes() for one in found]
    assert sum(len(gzip.compress(one)) for one in [html.encode(), *files]) < COMPRESSED_BYTES_MAX
    for name, attribute in USED_BY.items():
        assert (name in found) == page.has(attribute), name


@pytest.fixture
def customer(client, alice, wallet, now, monkeypatch):
    """Alice's browser, after she has spoken."""
    monkeypatch.setattr(speak, "engine", lambda name: QuickEngine())
    speak.speak(customer=alice, text="Hello", voice_id="standard", key="k", now=now)
    client.force_login(alice.user)
    return client


@pytest.mark.parametrize("name", OWN)
def test_a_customers_page_loads_what_it_uses(customer, name):
    page = customer.get(reverse(name))
    if page.status_code == 302:  # to the password, once more
        page = customer.get(page.url)
    assert page.status_code == 200

    check(page.text)


def test_the_pages_of_a_text_load_what_they_use(customer):
    spoken = Generation.objects.get()
    for name in ("generation", "receipt"):
        check(customer.get(reverse(name, args=[spoken.pk])).text)
    check(customer.get(reverse("studio"), {"done": spoken.pk}).text)


@pytest.mark.django_db
@pytest.mark.parametrize("name", PUBLIC)
def test_a_page_for_everybody_loads_what_it_uses(client, name):
    check(client.get(reverse(name)).text)


@pytest.mark.django_db
def test_no_two_pages_of_the_sitemap_have_one_title_or_description(client):
    paths = re.findall("<loc>https?://[^/]+([^<]*)</loc>", client.get("/sitemap.xml").text)
    pages = [client.get(path).text for path in paths]
    for pattern in ("<title>([^<]+)</title>", '<meta name="description" content="([^"]+)">'):
        words = [re.findall(pattern, page) for page in pages]
        assert all(len(one) == 1 for one in words) and len(words) > 20
        assert len({one[0] for one in words}) == len(words), sorted(words)
