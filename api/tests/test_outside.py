"""What is answered outside a view is in the caller's dialect: 404, 405, 413, 500, 503, CORS."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import httpx
import pytest
from django.db import OperationalError
from django.test import Client
from django.urls import path

from api import dialects
from api.access import endpoint
from api.failures import Failure
from api.own import errors as own
from billing import keys
from vocalis import asgi
from vocalis.concurrency import Busy
from vocalis.urls import urlpatterns as product

SHAPES = {
    "openai": lambda body: set(body["error"]) == {"message", "type", "param", "code"},
    "elevenlabs": lambda body: body["detail"]["status"] == body["detail"]["code"],
    "own": lambda body: body["type"].startswith("http") and body["title"] and body["detail"],
}


@pytest.mark.parametrize(
    ("address", "headers", "dialect"),
    [
        ("/v1/audio/nothing", {}, "openai"),
        ("/v1/models/a/b", {"authorization": "Bearer x"}, "openai"),
        ("/v1/models/a/b", {"xi-api-key": "x"}, "elevenlabs"),
        ("/v1/text-to-speech/a/b/c", {}, "elevenlabs"),
        ("/v1/voices/a/b/c", {}, "elevenlabs"),
        ("/v1/voices/a/b/c", {"authorization": "Bearer x"}, "own"),
        ("/v2/nothing", {}, "elevenlabs"),
        ("/v1/nothing", {}, "own"),
        ("/v1/nothing", {"xi-api-key": "x"}, "elevenlabs"),
    ],
)
def test_an_address_that_does_not_exist(client, address, headers, dialect):
    response = client.get(address, headers=headers)

    assert response.status_code == 404
    assert SHAPES[dialect](response.json())
    assert response["x-request-id"] == response["request-id"]
    assert response["Access-Control-Allow-Origin"] == "*"
    assert not response.cookies


def away(request):
    raise OperationalError("the database is away")


def broken(request):
    raise RuntimeError("a fault")


@endpoint(own.answer, "speech", "GET")
def refusing(request):
    raise Failure(418, "teapot", "No coffee.", details={"pots": 2}, retry_after_seconds=3)


urlpatterns = [
    path("v1/audio/away", away),
    path("v1/audio/broken", broken),
    path("v1/refusing", refusing),
    *product,
]
handler500 = "vocalis.pages.server_error"


@pytest.mark.urls(__name__)
@pytest.mark.parametrize(("address", "status"), [("away", 503), ("broken", 500)])
def test_a_fault_of_ours(address, status, settings):
    settings.DEBUG = False
    client = Client(raise_request_exception=False)

    response = client.post(f"/v1/audio/{address}")

    assert response.status_code == status
    assert SHAPES["openai"](response.json())
    assert "fault" not in response.text


@pytest.mark.django_db
@pytest.mark.urls(__name__)
def test_a_view_answers_in_its_dialect_for_keys_with_its_scope(client, alice, now):
    from billing import keys

    def ask(**headers):
        return client.get("/v1/refusing", headers=headers)

    _, secret = keys.create(customer=alice, name="k", now=now)
    _, reading = keys.create(customer=alice, name="r", scopes=["read"], now=now)

    for headers in ({}, {"authorization": "Bearer vk_x"}, {"xi-api-key": secret[:-1]}):
        refused = ask(**headers)
        assert refused.status_code == 401
        assert refused["WWW-Authenticate"] == "Bearer"
    assert ask(authorization=f"Bearer {reading}").status_code == 403
    assert client.post("/v1/refusing", headers={"xi-api-key": secret})["Allow"] == "GET, HEAD"
    for headers in ({"authorization": f"bearer {secret}"}, {"xi-api-key": secret}):
        answer = ask(**headers)
        assert answer.status_code == 418
        assert answer["Content-Type"] == "application/problem+json"
        assert (answer.json()["pots"], answer.json()["code"]) == (2, "teapot")
        assert answer["Retry-After"] == "3"


def test_browsers_of_other_sites_may_ask(client):
    response = client.options("/v1/audio/speech", headers={"origin": "https://a.example"})

    assert response.status_code == 204
    assert "Authorization" in response["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in response


@pytest.mark.django_db
def test_pages_are_no_business_of_the_api(client):
    assert "x-request-id" not in client.get("/health")
    assert not dialects.is_ours("/v1")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "address",
    [
        "/v1/balance",
        "/v1/openapi.json",
        "/v1/models",
        "/v1/audio/voices",
        "/v1/voices",
        "/v2/voices",
    ],
)
@pytest.mark.parametrize("header", ["Authorization", "xi-api-key"])
def test_the_head_of_an_answer_is_that_of_get_without_its_body(
    client, alice, wallet, now, address, header
):
    _, secret = keys.create(customer=alice, name="k", scopes=["read"], now=now)
    headers = {header: secret if header == "xi-api-key" else f"Bearer {secret}"}

    whole, head = client.get(address, headers=headers), client.head(address, headers=headers)

    assert (head.status_code, head.content) == (whole.status_code, b"") and whole.content
    assert head["Content-Type"] == whole["Content-Type"]
    assert head["Content-Length"] == str(len(whole.content))


@pytest.mark.parametrize("address", ["/v1/speech", "/v1/nothing", "/v1/history"])
def test_the_head_of_a_failure_has_its_status(client, address):
    head = client.head(address)

    assert (head.status_code, head.content) == (client.get(address).status_code, b"")


@asynccontextmanager
async def all_taken():
    raise Busy
    yield


@pytest.mark.parametrize(
    ("address", "dialect"),
    [
        ("/v1/speech", "own"),
        ("/v1/audio/speech", "openai"),
        ("/v1/text-to-speech/standard-ava", "elevenlabs"),
    ],
)
@pytest.mark.parametrize(
    ("why", "status"), [("too large", 413), ("an unreadable header", 400), ("no thread", 503)]
)
def test_what_no_middleware_sees_is_answered_as_everything_else(
    monkeypatch, address, dialect, why, status
):
    """Without CORS a program in a browser would not hear why."""
    if why == "no thread":
        monkeypatch.setattr(asgi.pages.threads, "acquire", all_taken)
    kind = "text/plain; charset*=BOGUS''x" if why == "an unreadable header" else "application/json"
    content = b"x" * (2_000_000 if why == "too large" else 2)

    async def ask():
        transport = httpx.ASGITransport(app=asgi.application)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.post(address, content=content, headers={"Content-Type": kind})

    answer = asyncio.run(ask())

    assert answer.status_code == status
    assert SHAPES[dialect](answer.json())
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["x-request-id"] == answer.headers["request-id"] != ""
    assert answer.headers["x-request-id"] in answer.text or dialect == "openai"
    assert answer.headers["Content-Security-Policy"]
    assert ("Retry-After" in answer.headers) == (status == 503)
