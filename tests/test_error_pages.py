"""Error pages come when little else works:
they need no user, no database and, for 500, no context at all."""

import pytest
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import Http404
from django.test import Client
from django.views import defaults


@pytest.mark.parametrize(
    "view, arguments, status, words",
    [
        (defaults.bad_request, [BadRequest("details for us")], 400, "Bad request"),
        (defaults.permission_denied, [PermissionDenied("Not your voice.")], 403, "Not your voice."),
        (
            defaults.permission_denied,
            [PermissionDenied()],
            403,
            "Your account may not see this page.",
        ),
        (defaults.page_not_found, [Http404("details for us")], 404, "Page not found"),
        (defaults.server_error, [], 500, "Something went wrong here"),
    ],
)
def test_an_error_page_stands_without_user_and_database(rf, view, arguments, status, words):
    response = view(rf.get("/somewhere/"), *arguments)

    assert response.status_code == status
    assert words in response.text
    assert "details for us" not in response.text
    assert 'href="/"' in response.text


def test_a_customer_keeps_the_navigation_on_a_missing_page(client, alice):
    client.force_login(alice.user)

    response = client.get("/nowhere/")

    assert response.status_code == 404
    assert "alice@example.com" in response.text
    assert 'href="/studio/"' in response.text


def test_a_foreign_host_name_is_a_bad_request():
    response = Client(SERVER_NAME="evil.example").get("/")

    assert response.status_code == 400
    assert "Bad request" in response.text
