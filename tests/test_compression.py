"""What is sent compressed: pages, unless they may show a secret; nothing that is sound."""

from __future__ import annotations

import gzip

import pytest
from django.urls import reverse

pytestmark = pytest.mark.django_db
ASKED = {"accept-encoding": "gzip, deflate, br"}


@pytest.mark.parametrize("path", ["/", "/pricing/", "/docs/prepaid-credits/"])
def test_a_page_is_a_third_of_its_size(client, path):
    plain = client.get(path)
    packed = client.get(path, headers=ASKED)

    assert packed["Content-Encoding"] == "gzip" and "Content-Encoding" not in plain.headers
    assert "Accept-Encoding" in packed["Vary"] and "Accept-Encoding" in plain["Vary"]
    assert len(packed.content) == int(packed["Content-Length"]) < len(plain.content) / 2
    assert gzip.decompress(packed.content).startswith(b"<!doctype html>")


def test_a_customers_page_is_compressed_and_one_with_a_secret_is_not(client, alice):
    client.force_login(alice.user)

    assert client.get(reverse("billing"), headers=ASKED)["Content-Encoding"] == "gzip"
    for name in ("keys", "webhooks"):  # where a new key stands, and a new secret to sign with
        page = client.get(reverse(name), headers=ASKED)
        assert "no-store" in page["Cache-Control"] and "Content-Encoding" not in page.headers


def test_what_is_no_page_is_sent_as_it_is(client):
    for path in ("/v1/openapi.json", "/robots.txt", "/sitemap.xml", "/health"):
        assert "Content-Encoding" not in client.get(path, headers=ASKED).headers, path
