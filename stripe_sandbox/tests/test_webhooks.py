"""Events: signed, at least once, and to be read again."""

import json

import pytest
import stripe
import time_machine

from stripe_sandbox import Sandbox, delivery

from .world import NOW, SECRET, Shop, Wire


def verify(received, secret=SECRET, at=NOW, tolerance=300):
    _, body, headers = received
    with time_machine.travel(at, tick=False):
        return stripe.Webhook.construct_event(
            body, headers["Stripe-Signature"], secret, tolerance=tolerance
        )


def test_every_event_is_signed_for_the_official_client(box, shop, alice, wire):
    shop.charge(alice, shop.card(alice), key="k")
    box.tick()

    events = [verify(one) for one in wire.received]
    assert [event.type for event in events] == [
        "customer.created",
        "payment_method.attached",
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
    ]
    paid = events[-1]
    assert (paid.api_version, paid.livemode, paid.pending_webhooks) == (
        "2026-10-28.endive",
        False,
        1,
    )
    assert (paid.request.idempotency_key, paid.data.object.status) == ("k", "succeeded")
    assert (
        stripe.WebhookSignature.generate_signature_header(
            wire.received[0][1].decode(), SECRET, timestamp=int(NOW.timestamp())
        )
        == wire.received[0][2]["Stripe-Signature"]
    )


def test_while_a_secret_is_rotated_both_sign():
    wire = Wire()
    box = Sandbox(now=NOW, webhooks=[("http://app", "whsec_new,whsec_old")], sender=wire)
    Shop(box).customer()
    box.tick()

    for secret in ("whsec_new", "whsec_old"):
        assert verify(wire.received[0], secret).type == "customer.created"
    with pytest.raises(stripe.SignatureVerificationError):
        verify(wire.received[0], "whsec_other")


def test_only_a_2xx_is_taken_for_received(box, alice, wire):
    for status in (500, 302, OSError("refused")):
        wire.status = status
        box.tick()
        box.clock.advance(seconds=10)
    wire.status = 204
    box.tick()
    box.clock.advance(seconds=delivery.RETRIES.longest.total_seconds())
    box.tick()

    assert wire.types == ["customer.created"] * 4
    assert len({event["id"] for event in wire.bodies}) == 1
    assert box.deliveries[0]["status"] == 204


def test_after_three_days_it_is_given_up(box, alice, wire):
    wire.status = 500
    for _ in range(100):
        box.tick()
        box.clock.advance(seconds=3600)
    assert box.deliveries[0]["note"] == "given up: 500"
    assert 72 <= len(wire.received) <= 75


@pytest.mark.parametrize(
    "kind", ["drop", "duplicate", "bad_signature", "stale", "delay", "reorder"]
)
def test_webhooks_go_wrong_on_demand(box, shop, wire, kind):
    box.faults.add("webhook", kind, seconds=60)
    shop.customer("a@example.com")
    shop.customer("b@example.com")
    box.tick()

    emails = [event["data"]["object"]["email"][0] for event in wire.bodies]
    expected = {"drop": "b", "duplicate": "aab", "delay": "b", "reorder": "ba"}
    assert "".join(emails) == expected.get(kind, "ab")
    if kind in ("bad_signature", "stale"):
        with pytest.raises(stripe.SignatureVerificationError):
            verify(wire.received[0])
    assert verify(wire.received[-1]).type == "customer.created"
    box.clock.advance(seconds=60)
    box.tick()
    assert len(wire.received) == (1 if kind == "drop" else 3 if kind == "duplicate" else 2)


def test_events_are_listed_by_type_and_by_what_became_of_them(box, shop, alice, wire):
    wire.status = 500
    shop.charge(alice, shop.card(alice))
    box.tick()
    wire.status = 200
    shop.customer("bob@example.com")
    box.tick()
    listed = shop.v1.events.list

    lost = listed({"delivery_success": False}).data
    assert [event.type for event in listed({"delivery_success": True}).data] == ["customer.created"]
    assert (len(lost), {event.pending_webhooks for event in lost}) == (5, {1})
    assert [one.type for one in listed({"type": "charge.*"}).data] == ["charge.succeeded"]
    types = ["payment_intent.succeeded", "customer.created"]
    assert len(listed({"types": types}).data) == 3
    with pytest.raises(stripe.InvalidRequestError, match="not both"):
        listed({"types": types, "type": "charge.*"})
    box.clock.advance(seconds=30 * 24 * 3600 + 1)
    assert listed().data == []
    with pytest.raises(stripe.InvalidRequestError, match="No such event"):
        shop.v1.events.retrieve(lost[0].id)


def test_an_event_keeps_what_the_object_was(shop, alice):
    shop.v1.customers.update(alice.id, {"name": "Alice"})
    shop.v1.customers.update(alice.id, {"name": "Eve"})

    created, first, second = reversed(shop.v1.events.list().data)
    assert created.data.object.name is None
    assert (first.data.object.name, first.data.previous_attributes.name) == ("Alice", None)
    assert second.data.previous_attributes.to_dict() == {"name": "Alice"}
    assert shop.v1.events.retrieve(first.id).data.object.name == "Alice"


def test_a_delivery_and_an_event_are_sent_again_by_hand(box, shop, alice, wire):
    box.tick()
    event = wire.bodies[0]["id"]
    shop.control(f"deliveries/{box.deliveries[0]['id']}/replay")
    box.tick()
    shop.control(f"events/{event}/resend")
    box.tick()

    assert [one["id"] for one in wire.bodies] == [event] * 3
    assert shop.http.post("/_sandbox/deliveries/nothing/replay").status_code == 404


def test_the_body_is_json_as_it_was_signed(box, alice, wire):
    box.tick()
    _, body, headers = wire.received[0]
    assert json.loads(body)["object"] == "event"
    at = int(NOW.timestamp())
    assert headers["Stripe-Signature"] == f"t={at},v1={delivery.sign(SECRET, at, body)}"
