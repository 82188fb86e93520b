"""Requests that cannot be read, through the application as the server calls it:
400, whatever the address."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from django.conf import settings

from vocalis.asgi import application

pytestmark = pytest.mark.django_db(transaction=True)

PATHS = [
    "/",
    "/health",
    "/studio/",
    "/accounts/login/",
    "/admin/",
    "/nowhere",
    "/api/billing/balance",
    "/api/webhooks/metronome/alerts",
    "/api/webhooks/metronome/payment-gating",
    "/api/webhooks/events/m-alice",
]
TOKEN = "a" * 32


def ask(method: str, path: str, headers: dict, content: bytes = b"") -> httpx.Response:
    async def exchange() -> httpx.Response:
        transport = httpx.ASGITransport(app=application, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, headers=headers, content=content)

    return asyncio.run(exchange())


def part(disposition: str, value: bytes = b"x") -> bytes:
    return b"--b\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n--b--\r\n" % (
        disposition.encode(),
        value,
    )


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain; charset*=BOGUS''x",
        "multipart/form-data; boundary*=BOGUS''x",
        "text/plain; charset*=undefined''x",
        "text/plain; charset*=idna''a..b",
        "text/plain; charset*=utf-8''%00",
    ],
)
def test_a_content_type_that_cannot_be_read_is_a_bad_request(path, method, content_type):
    answer = ask(method, path, {"Content-Type": content_type})

    assert answer.status_code == 400
    assert answer.headers["Content-Security-Policy"] == settings.CONTENT_SECURITY_POLICY


@pytest.mark.parametrize("path", PATHS)
def test_a_query_that_is_no_utf_8_is_a_bad_request_or_read_as_far_as_it_goes(path):
    assert ask("GET", f"{path}?q=%FF", {}).status_code < 500


@pytest.mark.parametrize(
    "path", ["/accounts/login/", "/accounts/signup/", "/studio/", "/studio/voice/"]
)
@pytest.mark.parametrize(
    ("charset", "content"),
    [
        ("; charset=base64", part('name="email"')),
        ("; charset=undefined", part('name="email"')),
        ("; charset=utf-7", part('name="text"', b"+2AA-")),
    ],
)
def test_a_form_that_cannot_be_read_is_a_bad_request(client, alice, path, charset, content):
    client.force_login(alice.user)
    session = (
        client.cookies[settings.SESSION_COOKIE_NAME].value if path.startswith("/studio") else ""
    )
    headers = {
        "Content-Type": f"multipart/form-data; boundary=b{charset}",
        "Cookie": f"csrftoken={TOKEN}; {settings.SESSION_COOKIE_NAME}={session}",
        "X-CSRFToken": TOKEN,
    }
    fine = ask(
        "POST",
        path,
        headers | {"Content-Type": "multipart/form-data; boundary=b"},
        part('name="text"'),
    )

    assert fine.status_code in (200, 422)
    assert ask("POST", path, headers, content).status_code == 400


@pytest.mark.parametrize("charset", ["BOGUS", "undefined", "base64"])
def test_a_part_of_a_form_whose_name_cannot_be_read_is_no_500(db, charset):
    headers = {
        "Content-Type": "multipart/form-data; boundary=b",
        "Cookie": f"csrftoken={TOKEN}",
        "X-CSRFToken": TOKEN,
    }

    assert ask(
        "POST", "/accounts/login/", headers, part(f"name*={charset}''email")
    ).status_code in (200, 400)


@pytest.mark.parametrize("accept", ["text/html; a*=BOGUS''x", "application/json; a*=undefined''x"])
@pytest.mark.parametrize("path", ["/studio/", "/api/billing/balance", "/studio/voice/preview/"])
def test_an_accept_header_that_cannot_be_read_is_ignored(path, accept):
    assert ask("GET", path, {"Accept": accept}).status_code == ask("GET", path, {}).status_code
