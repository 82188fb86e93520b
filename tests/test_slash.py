"""The slash at the end of a form's address may be left out: what was sent arrives all the same."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import get_resolver

from conftest import fund


def addresses() -> list[str]:
    """Every fixed address with a slash at its end.
    Inside of the admin, Django sends strangers to log in first."""
    found = []
    for entry in get_resolver().url_patterns:
        prefix = str(entry.pattern)
        for pattern in getattr(entry, "url_patterns", [entry]):
            route = prefix + str(pattern.pattern) if pattern is not entry else prefix
            if "<" not in route and route.endswith("/") and "(" not in route:
                found.append(f"/{route}")
    return sorted(
        {address for address in found if address != "/" and not address.startswith("/admin/")}
    ) + ["/admin/"]


@pytest.fixture(params=[True, False], ids=["debug", "production"])
def debug(request, settings):
    settings.DEBUG = request.param


def test_there_are_addresses_to_try():
    assert {"/studio/", "/studio/voice/", "/accounts/login/", "/billing/plans/", "/admin/"} <= set(
        addresses()
    )


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_what_is_sent_without_the_slash_is_sent_on_with_it(client, db, debug, method):
    for address in addresses():
        answer = getattr(client, method)(f"{address.rstrip('/')}?a=1")

        assert (answer.status_code, answer["Location"]) == (308, f"{address}?a=1"), address


def test_a_page_without_the_slash_is_redirected_as_ever(client, db, debug):
    answer = client.get("/studio")

    assert (answer.status_code, answer["Location"]) == (301, "/studio/")


@pytest.mark.parametrize("path", ["/nothing", "/api/webhooks/nothing"])
def test_an_address_that_is_none_stays_404(client, db, path):
    assert client.post(path).status_code == 404


def test_a_text_sent_without_the_slash_is_spoken_once(alice, now, debug):
    fund(alice, 500, now)
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice.user)
    client.get("/studio/")
    token = client.cookies["csrftoken"].value
    form = {"text": "Hello", "voice": "standard", "key": "k", "csrfmiddlewaretoken": token}

    answer = client.post("/studio", form, headers={"Accept": "application/json"}, follow=True)

    assert (answer.status_code, answer.json()["available"]) == (201, 495)
