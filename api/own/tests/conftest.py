from __future__ import annotations

import json

import pytest

from billing import keys
from usage.engines.tests.quick import QuickEngine
from usage.speech import speak, stream


class Sentences(QuickEngine):
    """Speaks a sentence as a piece."""

    characters_max = first_characters_max = 100


@pytest.fixture
def engine(monkeypatch):
    quick = Sentences(samples=bytes(4_800))
    for module in (speak, stream):
        monkeypatch.setattr(module, "engine", lambda name: quick)
    return quick


ALL = ["speech", "read", "voices", "keys", "webhooks"]


class Caller:
    """Calls the API with a key."""

    def __init__(self, client, key, secret):
        self.client, self.key, self.secret = client, key, secret

    def __call__(self, method, path, body=None, **headers):
        data = (
            {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
        )
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.generic(
            method,
            f"/v1/{path}",
            headers={"Authorization": f"Bearer {self.secret}", **headers},
            **data,
        )

    def get(self, path, **headers):
        return self("GET", path, **headers)

    def post(self, path, body, **headers):
        return self("POST", path, body, **headers)


@pytest.fixture
def call(client, alice, wallet, now):
    key, secret = keys.create(customer=alice, name="all", scopes=ALL, now=now)
    return Caller(client, key, secret)
