import json
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx
import pytest

from metronome_sandbox import Sandbox
from metronome_sandbox.delivery import headers, sign

from .conftest import client_of
from .world import NOW

# Published at https://docs.metronome.com/guides/platform-configuration/setup-webhooks
PUBLISHED_BODY = """{
  "id": "b2c9e307-624e-4e7d-a5a4-1b74107d78c4",
  "type": "widget_created",
  "properties": {
    "customer_id": "5f794d50-085a-4db6-8d15-286e518b7225",
    "widget_id": "0891458d-b6f0-4fdd-a41e-380aae1a1e38"
  }
}"""
PUBLISHED_SIGNATURE = "b82652fa2246cf1d8a27e591f155c865f68b46c19b9213fd9c052f2419b4742b"


@pytest.fixture
def http(box):
    with httpx.Client(
        transport=box.transport(),
        base_url="http://sandbox",
        headers={"Authorization": "Bearer sandbox"},
    ) as http:
        yield http


def announce(http):
    assert http.post("/_sandbox/webhooks/test").status_code == 200


def test_the_signature_is_the_published_one():
    secret, date = "correct-horse-battery-staple", "Mon, 02 Jan 2006 22:04:05 GMT"
    assert sign(secret, date, PUBLISHED_BODY.encode()) == PUBLISHED_SIGNATURE
    sent = headers(secret, datetime(2006, 1, 2, 22, 4, 5, tzinfo=UTC), PUBLISHED_BODY.encode())
    assert sent == {
        "Content-Type": "application/json",
        "User-Agent": "Metronome",
        "Date": date,
        "X-Metronome-Date": date,
        "Metronome-Webhook-Signature": PUBLISHED_SIGNATURE,
    }


def test_every_destination_gets_every_notification_with_its_own_secret(wire):
    box = Sandbox(now=NOW, webhooks=[("http://a", "one"), ("http://b", "two")], sender=wire)
    client_of(box).post("/_sandbox/webhooks/test", cast_to=object)
    box.tick()

    assert [url for url, _, _ in wire.received] == ["http://a", "http://b"]
    assert wire.bodies[0] == wire.bodies[1] == {"id": wire.bodies[0]["id"], "type": "webhooks.test"}
    for (_, body, sent), secret in zip(wire.received, ("one", "two"), strict=True):
        assert sent["Metronome-Webhook-Signature"] == sign(secret, sent["X-Metronome-Date"], body)


def test_a_delivery_is_listed_with_what_became_of_it(box, wire, http):
    announce(http)
    (waiting,) = http.get("/_sandbox/deliveries").json()["data"]
    assert (waiting["status"], waiting["attempts"], waiting["sent_at"]) == (None, 0, None)
    box.tick()

    (sent,) = http.get("/_sandbox/deliveries").json()["data"]
    assert sent["id"] == waiting["id"]
    assert (sent["url"], sent["status"], sent["attempts"]) == ("http://app/hooks", 200, 1)
    assert json.loads(sent["body"])["type"] == "webhooks.test"
    assert len(box.deliveries) == 1


@pytest.mark.parametrize("failure", [300, 401, 500, OSError("refused")])
def test_what_is_not_accepted_is_tried_again_with_growing_pauses_and_a_fresh_date(
    box, wire, http, failure
):
    wire.status = failure
    announce(http)
    times = []
    for _ in range(60 * 20):
        before = len(wire.received)
        box.tick()
        if len(wire.received) > before:
            times.append((box.clock.now() - NOW).total_seconds())
        box.clock.advance(seconds=1)

    pauses = [later - earlier for earlier, later in zip(times, times[1:], strict=False)]
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
    dates = [parsedate_to_datetime(sent["X-Metronome-Date"]) for _, _, sent in wire.received]
    assert dates == sorted(set(dates))
    assert len({body for _, body, _ in wire.received}) == 1


def test_pauses_stop_growing_at_15_minutes_and_it_gives_up_after_two_days(box, wire, http):
    wire.status = 500
    announce(http)
    for _ in range(4 * 24 * 3):
        box.tick()
        box.clock.advance(timedelta(minutes=15))

    assert 4 * 48 <= len(wire.received) <= 4 * 48 + 10
    assert box.deliveries[0]["note"].startswith("given up")
    assert box.deliveries[0]["next_attempt_at"] is None


def test_a_redelivered_notification_keeps_its_id(box, wire, http):
    wire.status = 503
    announce(http)
    box.tick()
    wire.status = 204
    box.clock.advance(seconds=1)
    box.tick()

    assert wire.bodies[0]["id"] == wire.bodies[1]["id"]
    assert (box.deliveries[0]["status"], box.deliveries[0]["attempts"]) == (204, 2)
    box.clock.advance(timedelta(hours=1))
    box.tick()
    assert len(wire.received) == 2


def test_a_delivery_can_be_replayed_by_hand(box, wire, http):
    announce(http)
    box.tick()
    (row,) = box.deliveries

    assert http.post(f"/_sandbox/deliveries/{row['id']}/replay").status_code == 200
    box.tick()

    assert wire.received[0][1] == wire.received[1][1]
    assert len(box.deliveries) == 1


def test_a_receiver_may_call_the_api_while_it_is_being_called(wire):
    box = Sandbox(now=NOW, webhooks=[("http://app", "s")], sender=lambda *sent: receive(*sent))
    client = client_of(box)
    seen = []

    def receive(url, body, headers):
        seen.append(len(list(client.v1.customers.list())))
        box.tick()
        return 200

    client.post("/_sandbox/webhooks/test", cast_to=object)
    box.tick()

    assert seen == [0]


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        ("duplicate", lambda sent: sent[0][1] == sent[1][1]),
        (
            "bad_signature",
            lambda sent: signature(sent[0]) != sent[0][2]["Metronome-Webhook-Signature"],
        ),
        (
            "stale",
            lambda sent: (
                signature(sent[0]) == sent[0][2]["Metronome-Webhook-Signature"]
                and NOW - parsedate_to_datetime(sent[0][2]["Date"]) > timedelta(minutes=5)
            ),
        ),
    ],
)
def test_deliveries_can_be_spoilt(box, wire, http, kind, check):
    box.faults.add("webhook", kind)
    announce(http)
    box.tick()

    assert check(wire.received)
    before = len(wire.received)
    announce(http)
    box.tick()
    assert len(wire.received) == before + 1


def signature(sent):
    _, body, headers = sent
    return sign("secret", headers["X-Metronome-Date"], body)


def test_deliveries_can_be_dropped_delayed_and_reordered(box, wire, http):
    box.faults.add("webhook", "drop")
    announce(http)
    box.tick()
    assert wire.received == []
    assert box.deliveries[0]["note"] == "dropped by a fault"

    box.faults.add("webhook", "delay", seconds=60)
    announce(http)
    box.tick()
    assert wire.received == []
    box.clock.advance(seconds=60)
    box.tick()
    assert len(wire.received) == 1

    box.faults.add("webhook", "reorder")
    announce(http)
    announce(http)
    box.tick()
    first, second = (json.loads(row["body"])["id"] for row in box.deliveries[2:])
    assert [body["id"] for body in wire.bodies[1:]] == [second, first]
