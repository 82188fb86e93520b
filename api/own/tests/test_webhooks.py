"""Webhook endpoints over the API: made, changed, rotated, deleted, what was sent and sent again."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest

from accounts import throttle
from billing import keys
from notifications import emit, endpoints
from notifications.kinds import KINDS
from notifications.models import OutboundWebhook, WebhookEndpoint

from .conftest import ALL, Caller

pytestmark = pytest.mark.django_db(transaction=True)
WANTED = {"url": "https://example.com/hooks", "events": ["voice.ready", "balance.low"]}


@pytest.fixture(autouse=True)
def private_is_refused(settings):
    """As in production."""
    settings.WEBHOOKS_OUT_ALLOW_PRIVATE = False


@pytest.fixture
def made(call):
    answer = call.post("webhooks", WANTED)
    assert answer.status_code == 201
    return answer.json()


@pytest.fixture
def told(alice, made, now):
    """Three events, the oldest first."""
    for number in range(3):
        emit(alice.id, "voice.ready", f"v{number}", {"voice": number}, now)
    return list(OutboundWebhook.objects.order_by("created_at", "id"))


def stored(made) -> WebhookEndpoint:
    return WebhookEndpoint.objects.get(pk=made["id"])


def test_an_endpoint_is_made_and_its_secret_is_in_that_answer_only(call, made):
    assert made["secret"] == stored(made).secret
    assert (made["url"], made["events"]) == (WANTED["url"], ["balance.low", "voice.ready"])
    shown = {name: value for name, value in made.items() if name != "secret"}

    assert call.get(f"webhooks/{made['id']}").json() == shown
    assert call.get("webhooks").json() == {"object": "list", "data": [shown], "has_more": False}
    assert call("PATCH", f"webhooks/{made['id']}", {}).json() == shown


def test_endpoints_page_by_page(call):
    made = [call.post("webhooks", WANTED).json()["id"] for _ in range(3)]

    first = call.get("webhooks?limit=2").json()
    rest = call.get(f"webhooks?limit=2&starting_after={first['data'][-1]['id']}").json()

    assert (first["has_more"], rest["has_more"]) == (True, False)
    assert [each["id"] for each in first["data"] + rest["data"]] == made
    assert call.get(f"webhooks?starting_after={uuid.uuid4()}").status_code == 404


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"url": "http://example.com"}, "url"),
        ({"url": "https://10.0.0.1/"}, "url"),
        ({"url": ""}, "url"),
        ({"events": []}, "events"),
        ({"events": ["voice.ready", "ping"]}, "events"),
        ({"url": 5}, "url"),
    ],
)
def test_what_is_no_endpoint_is_refused_by_field(call, made, given, field):
    answers = [
        call.post("webhooks", WANTED | given),
        call("PATCH", f"webhooks/{made['id']}", given),
    ]

    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
        assert answer.json()["errors"][0]["pointer"] == f"/{field}"
    assert WebhookEndpoint.objects.count() == 1
    assert (stored(made).url, stored(made).events) == (made["url"], made["events"])


def test_ten_are_enough(call):
    for _ in range(endpoints.ENDPOINTS_MAX):
        assert call.post("webhooks", WANTED).status_code == 201

    refused = call.post("webhooks", WANTED)

    assert refused.status_code == 422 and "10 endpoints" in refused.json()["detail"]


def test_each_field_is_changed_alone(call, made):
    path = f"webhooks/{made['id']}"

    moved = call("PATCH", path, {"url": "https://example.com/new"}).json()
    assert (moved["url"], moved["events"]) == ("https://example.com/new", made["events"])
    fewer = call("PATCH", path, {"events": ["voice.ready"], "url": None}).json()
    assert (fewer["url"], fewer["events"]) == (moved["url"], ["voice.ready"])
    off = call("PATCH", path, {"enabled": False}).json()
    assert (off["enabled"], off["disabled_because"]) == (False, endpoints.BY_CUSTOMER)
    assert off["disabled_at"]
    on = call("PATCH", path, {"enabled": True}).json()
    assert on == fewer


def test_what_waits_is_cancelled_by_disabling(call, made, told):
    call("PATCH", f"webhooks/{made['id']}", {"enabled": False})

    listed = call.get(f"webhooks/{made['id']}/deliveries").json()["data"]
    assert {each["state"] for each in listed} == {"cancelled"}
    refused = call("POST", f"webhooks/{made['id']}/deliveries/{told[0].pk}/resend")
    assert (refused.status_code, refused.json()["code"]) == (409, "webhook_disabled")


def test_an_endpoint_whose_address_is_possible_no_more_can_be_disabled(call, made):
    WebhookEndpoint.objects.update(url="http://127.0.0.1:9/")

    assert call("PATCH", f"webhooks/{made['id']}", {"enabled": False}).json()["enabled"] is False


def test_a_deleted_one_is_gone_with_its_deliveries(call, made, told):
    assert call("DELETE", f"webhooks/{made['id']}").json() == {"id": made["id"], "deleted": True}

    assert call("DELETE", f"webhooks/{made['id']}").status_code == 404
    assert call.get(f"webhooks/{made['id']}").status_code == 404
    assert call.get("webhooks").json()["data"] == []
    assert not OutboundWebhook.objects.exists()


def test_the_secret_is_replaced_and_signs_with_the_former_for_a_day(call, made, now):
    answer = call("POST", f"webhooks/{made['id']}/rotate")

    assert answer.status_code == 200
    found = answer.json()
    assert found["secret"] not in ("", made["secret"])
    assert stored(made).secrets(now) == [found["secret"], made["secret"]]
    assert found["rotations"] == 1 and found["former_secret_until"]
    assert "secret" not in call.get(f"webhooks/{made['id']}").json()


def test_a_rotation_that_is_sent_twice_replaces_one_secret(call, made):
    def rotate():
        return call.post(f"webhooks/{made['id']}/rotate", {"rotations": made["rotations"]})

    first, again = rotate(), rotate()
    assert first.json()["secret"] == again.json()["secret"]
    WebhookEndpoint.objects.update(
        former_until_at=stored(made).former_until_at - timedelta(minutes=2)
    )
    late = rotate()

    assert (late.status_code, late.json()["code"], late.json()["rotations"]) == (
        409,
        "secret_replaced",
        1,
    )
    assert stored(made).rotations == 1
    assert call.post(f"webhooks/{made['id']}/rotate", {"rotations": -1}).status_code == 422
    assert call.post(f"webhooks/{made['id']}/rotate", {"rotations": 10**30}).status_code == 422


def test_deliveries_page_by_page_with_body_and_answer(call, made, told):
    OutboundWebhook.objects.filter(pk=told[1].pk).update(
        state="failed", status=500, answer="broken", failure="It answered 500.", tries=3
    )
    path = f"webhooks/{made['id']}/deliveries"

    first = call.get(f"{path}?limit=2").json()
    rest = call.get(f"{path}?limit=2&starting_after={first['data'][-1]['id']}").json()

    assert (first["has_more"], rest["has_more"]) == (True, False)
    rows = first["data"] + rest["data"]
    assert [row["id"] for row in rows] == [str(row.pk) for row in reversed(told)]
    failed = rows[1]
    assert (failed["state"], failed["status"], failed["answer"]) == ("failed", 500, "broken")
    assert (failed["tries"], failed["next_try_at"]) == (3, None)
    assert failed["message_id"] == told[1].message_id
    assert failed["body"]["type"] == failed["type"] == "voice.ready"
    assert failed["body"]["data"] in [{"voice": number} for number in range(3)]
    assert rows[0]["next_try_at"]


def test_one_is_sent_again_under_its_id(call, made, told):
    OutboundWebhook.objects.filter(pk=told[0].pk).update(state="failed", tries=9, due_at=None)

    answer = call("POST", f"webhooks/{made['id']}/deliveries/{told[0].pk}/resend")

    assert answer.status_code == 200
    found = answer.json()
    assert (found["state"], found["tries"]) == ("pending", 0)
    assert found["message_id"] == told[0].message_id and found["next_try_at"]


@pytest.mark.parametrize("act", ["deliveries/{}/resend", "test"])
def test_sending_again_has_a_limit(call, made, told, settings, monkeypatch, act):
    settings.RATELIMIT_ENABLE = True
    monkeypatch.setitem(throttle.RATES, "webhook", ("1/10m", ""))
    path = f"webhooks/{made['id']}/{act.format(told[0].pk)}"
    assert call("POST", path).status_code == 200

    refused = call("POST", path)

    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limit_exceeded")
    assert refused["Retry-After"]


def test_a_test_event_is_sent_once_for_its_key_whatever_the_endpoint_wants(call, made):
    path = f"webhooks/{made['id']}/test"

    first = call.post(path, {}, Idempotency_Key="a").json()
    again = call.post(path, {}, Idempotency_Key="a").json()
    other = call("POST", path).json()

    assert first == again and first["id"] != other["id"]
    assert (first["type"], first["state"]) == ("ping", "pending")
    assert first["body"]["data"] == {"endpoint": made["id"]}
    listed = call.get(f"webhooks/{made['id']}/deliveries").json()["data"]
    assert sorted(each["id"] for each in listed) == sorted([first["id"], other["id"]])
    call("PATCH", f"webhooks/{made['id']}", {"enabled": False})
    refused = call("POST", path)
    assert (refused.status_code, refused.json()["code"]) == (409, "webhook_disabled")


def test_nothing_of_others_is_there(client, call, made, told, bob, now):
    key, secret = keys.create(customer=bob, name="b", scopes=ALL, now=now)
    other = Caller(client, key, secret)
    theirs = other.post("webhooks", WANTED).json()
    path = f"webhooks/{made['id']}"

    for method, address in (
        ("GET", path),
        ("PATCH", path),
        ("DELETE", path),
        ("POST", f"{path}/rotate"),
        ("POST", f"{path}/test"),
        ("GET", f"{path}/deliveries"),
        ("POST", f"{path}/deliveries/{told[0].pk}/resend"),
        ("POST", f"webhooks/{theirs['id']}/deliveries/{told[0].pk}/resend"),
    ):
        assert other(method, address, {}).status_code == 404, address
    assert [each["id"] for each in other.get("webhooks").json()["data"]] == [theirs["id"]]
    assert stored(made).is_enabled and stored(made).rotations == 0


def test_the_same_request_under_an_idempotency_key_makes_one(call):
    def make(body=WANTED):
        return call.post("webhooks", body, Idempotency_Key="one")

    first, again = make(), make()
    assert first.json() == again.json() and again["Idempotent-Replayed"] == "true"
    other = make(WANTED | {"events": [*KINDS]})
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")
    endpoint = WebhookEndpoint.objects.get()
    WebhookEndpoint.objects.update(created_at=endpoint.created_at - timedelta(minutes=2))

    late = make()

    assert (late.status_code, late.json()["code"]) == (409, "already_made")
    assert late.json()["webhook"] == first.json()["id"]
    assert f"/v1/webhooks/{first.json()['id']}/rotate" in late.json()["detail"]
    changed = {"url": "https://example.com/moved", "events": [*KINDS]}
    assert call("PATCH", f"webhooks/{endpoint.pk}", changed).status_code == 200
    assert (make().status_code, make(changed).status_code) == (409, 422)
    call("DELETE", f"webhooks/{endpoint.pk}")
    assert make().status_code == 422
    assert WebhookEndpoint.objects.count() == 1
