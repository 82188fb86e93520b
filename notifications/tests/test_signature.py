"""What Standard Webhooks' own verifiers, in Python and in JavaScript, say of our deliveries."""

from __future__ import annotations

import base64
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from standardwebhooks import Webhook, WebhookVerificationError

from notifications import emit, endpoints, signature
from tests import nodejs

pytestmark = pytest.mark.any_database  # test_delivery has the same rows sent


def by_python(secret: str, body: bytes, headers: dict[str, str]) -> dict | None:
    """What it reads, or None if it refuses."""
    try:
        return Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        return None


def by_javascript(secret: str, body: bytes, headers: dict[str, str]) -> dict | None:
    asked = {"secret": secret, "body": body.decode(), "headers": headers}
    return nodejs.run(Path(__file__).with_name("verify.mjs"), asked)


@pytest.fixture(
    params=[by_python, pytest.param(by_javascript, marks=pytest.mark.timeout(700))],
    ids=["python", "javascript"],
)
def verify(request):
    """Reads a delivery with a secret; None if it is refused."""
    return request.param


@pytest.fixture
def sent(alice, endpoint, receiver, work, now):
    """Body and headers of an event as they arrived, and the secret."""
    emit(alice.id, "balance.recharged", "r", {"credits": 5, "name": "é"}, now)
    work(timezone.now())
    [got] = receiver.got
    return endpoint.secret, got.body, got.headers


@pytest.mark.django_db
def test_a_delivery_is_accepted(verify, sent):
    read = verify(*sent)

    assert read["type"] == "balance.recharged" and read["data"] == {"credits": 5, "name": "é"}


@pytest.mark.django_db
def test_a_forged_delivery_is_not(verify, sent):
    secret, body, headers = sent

    assert verify(signature.new_secret(), body, headers) is None
    assert verify(secret, body.replace(b"5", b"6"), headers) is None
    assert verify(secret, body, headers | {"webhook-id": "msg_other"}) is None


@pytest.mark.django_db
def test_while_a_secret_is_replaced_both_accept_and_then_the_new_one_alone(
    verify, alice, endpoint, receiver, work
):
    former, began = endpoint.secret, timezone.now() - timedelta(hours=23)
    secret = endpoints.rotate(endpoint, began)
    emit(alice.id, "voice.ready", "1", {}, began)
    work(timezone.now())
    [got] = receiver.got
    assert verify(former, got.body, got.headers) and verify(secret, got.body, got.headers)

    type(endpoint).objects.update(former_until_at=timezone.now())
    emit(alice.id, "voice.ready", "2", {}, began)
    work(timezone.now())
    got = receiver.got[1]
    assert verify(former, got.body, got.headers) is None
    assert verify(secret, got.body, got.headers)


def test_a_secret_is_of_the_length_that_the_rules_ask_for():
    secrets = {signature.new_secret() for _ in range(100)}

    assert len(secrets) == 100
    for secret in secrets:
        assert secret.startswith("whsec_")
        assert 24 <= len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) <= 64


def test_a_signature_is_that_of_the_published_example(now):
    """Of the specification's own tests."""
    at = now.fromtimestamp(1614265330, tz=now.tzinfo)
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    found = signature.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', [secret], at)

    assert found["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
