"""Who gets in where in the API: every address and method, asked for with every kind of key.

A new address without a row here fails the test. A login counts for nothing there.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import get_resolver

from accounts import api_keys
from accounts.models import ApiKey
from billing import keys
from usage.models import Voice, VoiceConsent

pytestmark = pytest.mark.django_db

METHODS = ("GET", "HEAD", "POST", "PATCH", "DELETE")
# By address and method the scope that a key needs; "any" of any key, "public" without one.
ROWS = {
    "v1/openapi.json": {"GET": "public"},
    "v1/docs": {"GET": "public"},
    "v1/speech": {"POST": "speech"},
    "v1/quote": {"POST": "read"},
    "v1/balance": {"GET": "read"},
    "v1/ledger": {"GET": "read"},
    "v1/usage": {"GET": "read"},
    "v1/generations": {"GET": "read"},
    "v1/generations/<generation_id>": {"GET": "read"},
    "v1/generations/<generation_id>/audio": {"GET": "read"},
    "v1/models": {"GET": "any"},
    "v1/models/<str:model_id>": {"GET": "any"},
    "v1/audio/speech": {"POST": "speech"},
    "v1/audio/models": {"GET": "public"},
    "v1/audio/voices": {"GET": "public", "POST": "voices"},
    "v1/audio/voices/<str:voice_id>": {"GET": "read", "DELETE": "voices"},
    "v1/audio/voice_consents": {"GET": "read", "POST": "voices"},
    "v1/audio/voice_consents/<str:consent_id>": {
        "GET": "read",
        "POST": "voices",
        "DELETE": "voices",
    },
    "v1/text-to-speech/<str:voice_id>": {"POST": "speech"},
    "v1/text-to-speech/<str:voice_id>/stream": {"POST": "speech"},
    "v1/text-to-speech/<str:voice_id>/with-timestamps": {"POST": "speech"},
    "v1/text-to-speech/<str:voice_id>/stream/with-timestamps": {"POST": "speech"},
    "v1/voices": {"GET": "read", "POST": "voices"},
    "v1/voice-consent": {"GET": "read"},
    "v2/voices": {"GET": "read"},
    "v1/voices/settings/default": {"GET": "read"},
    "v1/voices/add": {"POST": "voices"},
    "v1/voices/<str:voice_id>": {"GET": "read", "DELETE": "voices"},
    "v1/voices/<voice_id>": {"GET": "read", "DELETE": "voices"},
    "v1/voices/<str:voice_id>/edit": {"POST": "voices"},
    "v1/voices/<str:voice_id>/settings": {"GET": "read"},
    "v1/voices/<str:voice_id>/settings/edit": {"POST": "voices"},
    "v1/user": {"GET": "read"},
    "v1/user/subscription": {"GET": "read"},
    "v1/usage/character-stats": {"GET": "read"},
    "v1/history": {"GET": "read"},
    "v1/history/download": {"POST": "read"},
    "v1/history/<str:item_id>": {"GET": "read", "DELETE": "speech"},
    "v1/history/<str:item_id>/audio": {"GET": "read"},
    "v1/key": {"GET": "any"},
    "v1/keys": {"GET": "keys", "POST": "keys"},
    "v1/keys/<key_id>": {"PATCH": "keys", "DELETE": "keys"},
    "v1/webhooks": {"GET": "webhooks", "POST": "webhooks"},
    "v1/webhooks/<webhook_id>": {"GET": "webhooks", "PATCH": "webhooks", "DELETE": "webhooks"},
    "v1/webhooks/<webhook_id>/rotate": {"POST": "webhooks"},
    "v1/webhooks/<webhook_id>/test": {"POST": "webhooks"},
    "v1/webhooks/<webhook_id>/deliveries": {"GET": "webhooks"},
    "v1/webhooks/<webhook_id>/deliveries/<delivery_id>/resend": {"POST": "webhooks"},
}
DOCUMENTS = {"v1/openapi.json", "v1/docs"}
IGNORED = {"v1/"}  # ninja's own root: a name, not a page


def addresses(nodes=None, before="") -> Iterator[str]:
    """The pattern of every address of the API."""
    for node in get_resolver().url_patterns if nodes is None else nodes:
        pattern = before + str(node.pattern)
        if hasattr(node, "url_patterns"):
            yield from addresses(node.url_patterns, pattern)
        elif pattern.startswith(("v1/", "v2/")) and pattern not in IGNORED:
            yield pattern


def path(pattern: str) -> str:
    """An address of things that nobody has."""
    with_ids = re.sub(
        r"<(?:uuid:)?(?:generation|key|webhook|delivery)_id>", str(uuid.uuid4()), pattern
    )
    return "/" + re.sub(r"<\w+:\w+>|<\w+>", "nobody", with_ids)


def ask(method: str, pattern: str, secret: str = "", client: Client | None = None) -> int:
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    answer = (client or Client()).generic(
        method, path(pattern), "{}", content_type="application/json", headers=headers
    )
    if answer.status_code >= 400:
        assert "json" in answer["Content-Type"], (method, pattern, answer.content)
    assert not answer.cookies
    return answer.status_code


def pairs() -> list[tuple[str, str, str]]:
    return [
        (pattern, method, scope)
        for pattern, methods in ROWS.items()
        for method, scope in methods.items()
    ]


def test_every_address_has_a_row():
    assert set(addresses()) == ROWS.keys()


@pytest.mark.parametrize("pattern", sorted(ROWS.keys() - DOCUMENTS))
def test_no_other_method_is_possible(pattern, alice, now):
    _, secret = keys.create(customer=alice, name="k", scopes=[*api_keys.SCOPES], now=now)

    possible = ROWS[pattern].keys() | ({"HEAD"} if "GET" in ROWS[pattern] else set())
    for method in set(METHODS) - possible:
        assert ask(method, pattern, secret) in (404, 405)


@pytest.mark.parametrize(("pattern", "method", "scope"), pairs())
def test_only_a_key_with_the_scope_gets_in(pattern, method, scope, alice, wallet, now):
    def secret(*scopes, **fields):
        made, secret = keys.create(customer=alice, name="k", scopes=scopes or ["read"], now=now)
        ApiKey.objects.filter(pk=made.pk).update(**({"name": "k"} | fields))
        return secret

    logged_in = Client()
    logged_in.force_login(alice.user)
    wrong = [
        "vk_wrong",
        api_keys.new_secret(),
        secret(*api_keys.SCOPES, revoked_at=now),
        secret(*api_keys.SCOPES, expires_at=now - timedelta(seconds=1)),
    ]
    others = [each for each in api_keys.SCOPES if each != scope]

    if scope == "public":
        assert ask(method, pattern) == 200
        return
    assert ask(method, pattern) == ask(method, pattern, client=logged_in) == 401
    assert {ask(method, pattern, each) for each in wrong} == {401}
    if scope != "any":
        assert ask(method, pattern, secret(*others)) == 403
    right = secret(*(["read"] if scope == "any" else [scope]))
    found = ask(method, pattern, right)
    assert found not in (401, 403, 405)
    assert found < 500
    if method == "GET":
        assert ask("HEAD", pattern, right) == found
        assert ask("HEAD", pattern) == 401


@pytest.fixture
def bobs(bob, now):
    """A voice of bob's and the consent it was made under, by the places they have in addresses."""
    consent = VoiceConsent.objects.create(
        customer=bob, name="c", language="en", recording="bob/c.wav", address="a", given_at=now
    )
    voice = Voice.objects.create(
        customer=bob,
        key="k",
        name="bob's voice",
        state="ready",
        engine="hibari",
        credits=5,
        created_at=now,
    )
    return {"consent_id": str(consent.id), "voice_id": str(voice.id)}


@pytest.mark.parametrize("header", ["Authorization", "xi-api-key"])
@pytest.mark.parametrize(
    "pattern", sorted(each for each in ROWS if "voice_id" in each or "consent_id" in each)
)
def test_what_is_anothers_is_not_there(pattern, header, alice, wallet, bobs, now):
    _, secret = keys.create(customer=alice, name="k", scopes=[*api_keys.SCOPES], now=now)
    named = re.sub(r"<(?:\w+:)?(\w+)>", lambda found: bobs[found[1]], pattern)
    before = list(Voice.objects.values()), list(VoiceConsent.objects.values())

    for method in ROWS[pattern]:
        body = {"text": "Hello.", "name": "mine", "speed": 1}
        answer = Client().generic(
            method,
            f"/{named}",
            json.dumps(body),
            content_type="application/json",
            headers={header: secret if header == "xi-api-key" else f"Bearer {secret}"},
        )
        assert answer.status_code == 404, (method, answer.content)
        assert b"bob" not in answer.content
    assert (list(Voice.objects.values()), list(VoiceConsent.objects.values())) == before
