"""Ten thousand webhooks of every kind of wrong: none is a 5xx, none changes anything unless its
signature is good.

FUZZ_BODIES=1000000 runs longer. What was signed and stored is then worked on: a handler must not
stumble over it either.
"""

from __future__ import annotations

import json
import logging
import os
import random
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from email.utils import format_datetime

import pytest
from django.apps import apps
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from billing.inbox import handlers, signature
from billing.inbox.receive import BODY_BYTES_MAX
from billing.models import InboundWebhook
from conftest import fund
from jobs.worker import Worker

PATHS = ["alerts", "payment-gating", "invoices"]
BODIES = int(os.environ.get("FUZZ_BODIES", "10000"))
BATCH = 25  # bodies made of one example: to draw one takes longer than to receive ten
SECRET = "sandbox-webhook-secret"  # of .env.example

# --- Events, as Metronome might send them and as it never would -----------------------------------

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
ids = (
    st.sampled_from(["metronome-alice", "contract-alice", "", "x" * 65, "\x00", "'; DROP TABLE--"])
    | anything
)
types = (
    st.sampled_from(sorted(handlers.table()))
    | st.sampled_from(["commit.create", "no.such"])
    | st.text(max_size=20)
)
names = [
    "customer_id",
    "contract_id",
    "workflow_id",
    "invoice_id",
    "invoice_total",
    "payment_status",
    "segment",
    "x",
]
fields = st.dictionaries(st.sampled_from(names), ids, max_size=5)
events = st.builds(
    lambda type_, properties, flat: {"type": type_, "properties": properties} | flat,
    types,
    fields | anything,
    st.just({}) | fields,
)


def body_of(event: dict, noise: object, dice: random.Random) -> bytes:
    """The event, or what is left of it after something went wrong with it."""
    event = {"id": str(uuid.uuid4())} | event
    whole = json.dumps(event).encode()
    at = dice.randrange(len(whole))
    match dice.randrange(12):
        case 0:
            return whole[:at]
        case 1:
            return whole[:at] + dice.randbytes(1) + whole[at + 1 :]
        case 2:
            return dice.randbytes(at)
        case 3:
            return dice.choice([b"[", b'{"a":', b'[{"id":']) * dice.randrange(30_000)
        case 4:
            return json.dumps(noise).encode()
        case 5:
            return json.dumps(event | {dice.choice(["id", "type", "x"]): noise}).encode()
        case 6:
            return whole + whole
        case 7:
            return json.dumps(event, ensure_ascii=False).encode("utf-16")
        case _:
            return whole


# --- Signatures -----------------------------------------------------------------------------------

BAD = [
    "none",
    "no date",
    "no signature",
    "cut off",
    "of another body",
    "of another date",
    "not ASCII",
    "odd date",
    "stale",
    "future",
    "of another secret",
]
KINDS = ["good"] * 10 + ["by the old header"] * 2 + BAD


def headers(kind: str, body: bytes) -> dict[str, str]:
    now = timezone.now()
    moments = {"stale": now - timedelta(seconds=330), "future": now + timedelta(seconds=330)}
    date = format_datetime(moments.get(kind, now), usegmt=True)

    def proof(body: bytes = body, secret: str = SECRET) -> str:
        return signature.sign(secret=secret, date=date, body=body)

    signature_header, date_header = "Metronome-Webhook-Signature", "X-Metronome-Date"
    good = {date_header: date, signature_header: proof()}
    wrong = {
        "none": {},
        "no date": {signature_header: proof()},
        "no signature": {date_header: date},
        "cut off": good | {signature_header: proof()[:-1]},
        "of another body": good | {signature_header: proof(body=body + b" ")},
        "of another date": good
        | {date_header: format_datetime(now - timedelta(seconds=1), usegmt=True)},
        "of another secret": good | {signature_header: proof(secret="another")},
        "not ASCII": good | {signature_header: "é" * 64},
        "odd date": good | {date_header: "Mon, 99 Foo 20260 99:99:99 +9999"},
    }
    return {"by the old header": {"Date": date, signature_header: proof()}, **wrong}.get(kind, good)


# --- What must hold -------------------------------------------------------------------------------


@contextmanager
def nothing_else_changes() -> Iterator[None]:
    """Inside, no row of any table changes but the inbox's."""
    models = [
        model
        for app in ("accounts", "billing", "usage")
        for model in apps.get_app_config(app).get_models()
    ]

    def rows() -> dict:
        return {
            model: list(model._default_manager.order_by("pk").values())
            for model in models
            if model is not InboundWebhook
        }

    before = rows()
    yield
    assert rows() == before


def post(client: Client, path: str, body: bytes, sent: dict[str, str]) -> int:
    url = f"/api/webhooks/metronome/{path}"
    return client.post(url, body, content_type="application/json", headers=sent).status_code


@pytest.fixture
def quiet():
    """Ten thousand refusals need not be written down."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.timeout(600)  # takes a minute by itself, and several on a busy machine
@pytest.mark.parametrize("path", PATHS)
def test_no_body_is_an_error_of_ours_and_none_counts_without_its_signature(
    db, alice, now, sandbox, path, quiet, caplog
):
    fund(alice, 500, now)
    type(alice).objects.filter(pk=alice.pk).update(metronome_id="metronome-alice")
    client = Client(raise_request_exception=False)

    @settings(
        max_examples=-(-BODIES // len(PATHS) // BATCH),
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(event=events, noise=anything, seed=st.integers(0, 2**32))
    def receive(event: dict, noise: object, seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(BATCH):
            stored = InboundWebhook.objects.count()
            body, kind = body_of(event, noise, dice), dice.choice(KINDS)
            sent = headers(kind, body)
            status = post(client, path, body, sent)
            assert status == 401 if kind in BAD else status in (200, 400), (
                kind,
                status,
                body[:1_000],
            )
            if status == 200:
                assert post(client, path, body, sent) == 200, "a replay"
            assert InboundWebhook.objects.count() - stored <= (status == 200)

    with nothing_else_changes():
        receive()
    assert InboundWebhook.objects.count() > BODIES / len(PATHS) / 20, "enough of them went in"

    logging.disable(logging.NOTSET)
    Worker([handlers.PROCESS], clock=lambda: now + timedelta(minutes=1)).drain(passes_max=100_000)
    assert "failed on row" not in caplog.text, "a handler stumbled"


@pytest.mark.parametrize("kind", ["good", "none", "of another secret"])
@pytest.mark.parametrize("over", [-1, 0, 1, 9 * BODY_BYTES_MAX])
def test_a_body_is_too_large_from_one_byte_over_the_limit_on(db, over, kind):
    body = b'{"id": "x", "type": "y"}'.ljust(BODY_BYTES_MAX + over)

    status = post(Client(), "alerts", body, headers(kind, body))

    assert status == (413 if over > 0 else 200 if kind == "good" else 401)
    assert InboundWebhook.objects.exists() == (status == 200)
