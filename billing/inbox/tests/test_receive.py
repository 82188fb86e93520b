from __future__ import annotations

import io
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email.utils import format_datetime

import pytest
from django.conf import settings as django_settings
from django.db import IntegrityError, connections, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from hypothesis import HealthCheck, given, strategies
from hypothesis import settings as hypothesis_settings
from hypothesis.extra.django import TestCase

from billing.inbox import receive, signature
from billing.models import InboundWebhook

PATHS = [f"/api/webhooks/metronome/{name}" for name in ("alerts", "payment-gating", "invoices")]
WRAPPED = {
    "id": "event-1",
    "properties": {"customer_id": "customer-1"},
    "type": "payment_gate.threshold_reached",
}
FLAT = {
    "id": "event-2",
    "type": "commit.create",
    "timestamp": "2026-01-01T00:00:00Z",
    "customer_id": "customer-2",
}


def signed(body: bytes, *, at=None, secret: str = "sandbox-webhook-secret") -> dict[str, str]:
    date = format_datetime(at or timezone.now(), usegmt=True)
    return {
        "X-Metronome-Date": date,
        "Metronome-Webhook-Signature": signature.sign(secret=secret, date=date, body=body),
    }


def post(client, payload, *, path=PATHS[0], headers=None, **more):
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return client.post(
        path,
        body,
        content_type="application/json",
        headers=signed(body) if headers is None else headers,
        **more,
    )


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("payload", "customer_id"), [(WRAPPED, "customer-1"), (FLAT, "customer-2")]
)
def test_every_path_takes_both_envelopes(client, db, path, payload, customer_id):
    answer = post(client, payload, path=path)

    assert (answer.status_code, answer.json()) == (200, {"id": payload["id"], "status": "stored"})
    event = InboundWebhook.objects.get()
    assert (event.event_id, event.type, event.payload) == (payload["id"], payload["type"], payload)
    assert event.customer_ref == customer_id
    assert event.due_at == event.received_at


def test_an_id_that_another_provider_used_too_is_another_event(client, db, now):
    other = {
        "source": "other",
        "event_id": WRAPPED["id"],
        "type": "t",
        "payload": {},
        "received_at": now,
    }
    InboundWebhook.objects.create(**other)

    answer = post(client, WRAPPED)

    assert answer.json()["status"] == "stored"
    assert InboundWebhook.objects.get(source="metronome").event_id == WRAPPED["id"]
    with pytest.raises(IntegrityError), transaction.atomic():
        InboundWebhook.objects.create(**other)


@pytest.mark.parametrize("path", PATHS)
def test_a_slash_at_the_end_of_the_address_changes_nothing(client, db, path):
    assert post(client, WRAPPED, path=f"{path}/").json()["status"] == "stored"
    assert post(client, WRAPPED, path=path).json()["status"] == "known"
    assert post(client, WRAPPED, path=f"{path}/", headers={}).status_code == 401
    assert client.get(f"{path}/").status_code == 405


def test_the_address_told_to_others_has_no_slash_at_its_end():
    names = ("webhook_alerts", "webhook_payment_gating", "webhook_invoices")

    assert [reverse(name) for name in names] == PATHS


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/api/webhooks/metronome/alert", ""),
        ("/api/webhooks/metronome/alerts//", ""),
        ("/api/webhooks/metronome", ""),
        ("/api/billing/balance/", " Leave out the slash at the end: /api/billing/balance"),
    ],
)
def test_a_wrong_address_of_the_api_is_said_in_json_and_never_redirected(
    client, db, settings, debug, path, hint
):
    settings.DEBUG = debug

    answer = post(client, WRAPPED, path=path)

    assert answer.status_code == 404
    assert answer.json() == {"error": f"There is nothing at this address.{hint}"}
    assert not InboundWebhook.objects.exists()


def test_a_repeated_event_is_answered_and_not_stored_again(client, db):
    post(client, WRAPPED)
    again = post(client, WRAPPED, path=PATHS[2])

    assert (again.status_code, again.json()["status"]) == (200, "known")
    assert InboundWebhook.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_an_event_delivered_to_all_paths_at_once_is_stored_once():
    def deliver(number: int) -> int:
        try:
            return post(Client(), WRAPPED, path=PATHS[number % 3]).status_code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(deliver, range(24)))

    assert statuses == [200] * 24
    assert InboundWebhook.objects.count() == 1


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Metronome-Date": "Mon, 02 Jan 2006 22:04:05 GMT"},
        signed(b"another body"),
        signed(json.dumps(WRAPPED).encode(), secret="another secret"),
    ],
)
def test_a_bad_signature_is_refused_and_stores_nothing(client, db, headers):
    answer = post(client, WRAPPED, headers=headers)

    assert answer.status_code == 401
    assert not InboundWebhook.objects.exists()


@pytest.mark.parametrize("seconds", [-330, 330])
def test_a_stale_date_is_refused_and_stores_nothing(client, db, seconds):
    body = json.dumps(WRAPPED).encode()

    answer = post(
        client, body, headers=signed(body, at=timezone.now() + timedelta(seconds=seconds))
    )

    assert answer.status_code == 401
    assert not InboundWebhook.objects.exists()


def test_the_exact_bytes_are_verified(client, db):
    spaced = json.dumps(WRAPPED, indent=3).encode() + b"\n "

    assert post(client, spaced).status_code == 200
    assert (
        post(client, FLAT, headers=signed(json.dumps(FLAT, indent=1).encode())).status_code == 401
    )


def test_no_csrf_token_is_asked_for(db):
    assert post(Client(enforce_csrf_checks=True), WRAPPED).status_code == 200


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete", "head", "options"])
def test_other_methods_are_refused(client, db, method):
    assert getattr(client, method)(PATHS[0]).status_code == 405


def test_without_a_secret_events_are_refused_and_the_log_names_the_setting(
    client, db, settings, caplog
):
    settings.METRONOME_WEBHOOK_SECRETS = []
    settings.DEBUG = False

    assert post(client, WRAPPED).status_code == 401
    assert "METRONOME_WEBHOOK_SECRET" in caplog.text
    assert not InboundWebhook.objects.exists()


def test_without_a_secret_events_are_taken_while_debugging_and_the_log_says_so(
    client, db, settings, caplog
):
    settings.METRONOME_WEBHOOK_SECRETS = []
    settings.DEBUG = True

    assert post(client, WRAPPED, headers={}).status_code == 200
    assert "accepted unverified" in caplog.text


def test_the_log_does_not_quote_secrets_or_bodies(client, db, caplog):
    with caplog.at_level(logging.DEBUG):
        post(client, WRAPPED, headers=signed(b"x"))

    assert django_settings.METRONOME_WEBHOOK_SECRETS[0] not in caplog.text
    assert "customer-1" not in caplog.text


MALFORMED = {
    "empty": b"",
    "no JSON": b"{",
    "truncated": json.dumps(WRAPPED).encode()[:-1],
    "a list": b"[]",
    "a text": b'"id"',
    "a number": b"1",
    "null": b"null",
    "no id": b'{"type": "x"}',
    "no type": b'{"id": "x"}',
    "empty id": b'{"id": "", "type": "x"}',
    "id of another type": b'{"id": 7, "type": "x"}',
    "long id": json.dumps({"id": "x" * 129, "type": "x"}).encode(),
    "long type": json.dumps({"id": "x", "type": "x" * 129}).encode(),
    "not UTF-8": b'{"id": "\xff", "type": "x"}',
    "UTF-16": json.dumps(WRAPPED).encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + json.dumps(WRAPPED).encode(),
    "NUL": b'{"id": "x", "type": "x", "note": "a\\u0000b"}',
    "NUL in a name": b'{"id": "x", "type": "x", "a\\u0000b": 1}',
    "NUL in the id": b'{"id": "\\u0000", "type": "x"}',
    "lone surrogate": b'{"id": "x", "type": "x", "note": "\\ud800"}',
    "NaN": b'{"id": "x", "type": "x", "total": NaN}',
    "infinity": b'{"id": "x", "type": "x", "total": 1e999}',
    "long number": b'{"id": "x", "type": "x", "total": ' + b"1" * 5_000 + b"}",
    "deep list": b'{"id": "x", "type": "x", "deep": ' + b"[" * 200 + b"]" * 200 + b"}",
    "very deep list": b"[" * 200_000,
    "very deep object": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_no_event_is_refused_clearly_whoever_signed_it(client, db, body):
    answer = post(client, body)

    assert answer.status_code == 400
    assert answer.json()["error"]
    assert not InboundWebhook.objects.exists()


@pytest.mark.parametrize("customer_id", [None, 7, [], {"id": 1}, "x" * 65])
def test_an_odd_customer_id_is_no_reason_to_lose_the_event(client, db, customer_id):
    assert post(client, FLAT | {"customer_id": customer_id}).status_code == 200
    assert InboundWebhook.objects.get().customer_ref == ""


def test_a_body_of_just_a_mebibyte_is_taken(client, db):
    body = json.dumps(WRAPPED).encode().ljust(receive.BODY_BYTES_MAX)

    assert post(client, body).status_code == 200


def test_a_larger_body_is_refused_even_with_a_good_signature(client, db):
    body = json.dumps(WRAPPED).encode().ljust(receive.BODY_BYTES_MAX + 1)

    assert post(client, body).status_code == 413
    assert not InboundWebhook.objects.exists()


class Endless(io.RawIOBase):
    """A body that goes on for 10 MB and counts what was read of it."""

    def __init__(self) -> None:
        self.taken = 0

    def read(self, size: int = -1) -> bytes:
        size = 10 * receive.BODY_BYTES_MAX - self.taken if size < 0 else size
        self.taken += size
        return b"x" * size


def request_with(rf, stream, **environ):
    request = rf.post(PATHS[0], content_type="application/json", **environ)
    request._stream = stream
    return request


def test_a_declared_ten_megabytes_is_refused_without_reading_any(rf):
    stream = Endless()

    answer = receive.receive(
        request_with(rf, stream, CONTENT_LENGTH=str(10 * receive.BODY_BYTES_MAX))
    )

    assert (answer.status_code, stream.taken) == (413, 0)


@pytest.mark.parametrize("declared", ["", "12", "-1", "many", "9" * 50 + "x", "²"])
def test_an_undeclared_ten_megabytes_is_refused_after_the_first(rf, declared):
    stream = Endless()

    answer = receive.receive(request_with(rf, stream, CONTENT_LENGTH=declared))

    assert (answer.status_code, stream.taken) == (413, receive.BODY_BYTES_MAX + 1)


def test_a_body_that_breaks_off_is_refused(rf):
    class Broken(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise ConnectionResetError

    assert receive.receive(request_with(rf, Broken())).status_code == 400


anything = strategies.recursive(
    strategies.none()
    | strategies.booleans()
    | strategies.integers()
    | strategies.floats()
    | strategies.text(),
    lambda inner: strategies.lists(inner) | strategies.dictionaries(strategies.text(), inner),
    max_leaves=12,
)
bodies = (
    strategies.binary(max_size=300)
    | strategies.text().map(lambda text: text.encode("utf-8", "surrogatepass"))
    | anything.map(lambda value: json.dumps(value).encode())
    | strategies.fixed_dictionaries(
        {
            "id": anything | strategies.text(min_size=1),
            "type": anything | strategies.text(min_size=1),
        },
        optional={"properties": anything, "customer_id": anything, "note": anything},
    ).map(lambda value: json.dumps(value).encode())
)
fuzzed = hypothesis_settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class TestFuzz(TestCase):
    @fuzzed
    @given(body=bodies)
    def test_no_signed_body_breaks_the_endpoint(self, body):
        answer = post(self.client, body)

        assert answer.status_code in (200, 400)
        assert InboundWebhook.objects.count() == (answer.status_code == 200)

    @fuzzed
    @given(
        body=bodies,
        signature_text=strategies.text(strategies.characters(codec="latin-1"), max_size=70),
    )
    def test_no_unsigned_body_changes_anything(self, body, signature_text):
        printable = "".join(letter for letter in signature_text if letter.isprintable())
        headers = signed(body) | {"Metronome-Webhook-Signature": printable}

        answer = post(self.client, body, headers=headers)

        assert answer.status_code == 401
        assert not InboundWebhook.objects.exists()
