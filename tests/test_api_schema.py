"""Our OpenAPI document against the running product: whatever it allows to be sent is answered as it
says, and nothing of it makes the server fail."""

from __future__ import annotations

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_schema_conformance,
    status_code_conformance,
)

from billing import keys
from billing.models import Wallet

from . import processes

pytestmark = [
    pytest.mark.process,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(600),
]

EXAMPLES = 15  # an operation
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    ignored_auth,
]


@pytest.fixture
def site(tmp_path, wallet):
    env = processes.settings_env(
        database_url=processes.own_database_url(),
        metronome_url=processes.NOBODY,
        MEDIA_ROOT=str(tmp_path / "media"),
        AUDIO_CACHE=str(tmp_path / "cache"),
        THROTTLE="off",
    )
    with processes.web(tmp_path / "web.log", env) as client:
        yield client


def test_the_product_keeps_what_the_document_says(site, alice, wallet, now):
    Wallet.objects.filter(pk=wallet.pk).update(balance=1_000_000)
    scopes = ["speech", "read", "voices", "keys", "webhooks"]
    _, secret = keys.create(customer=alice, name="k", scopes=scopes, now=now)
    headers = {"Authorization": f"Bearer {secret}"}
    schema = schemathesis.openapi.from_dict(site.get("/v1/openapi.json").json())
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) >= 26

    for operation in operations:

        @hypothesis.settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy())
        def asks(case):
            address = str(site.base_url).rstrip("/")
            case.call_and_validate(base_url=address, headers=headers, checks=CHECKS)

        asks()
