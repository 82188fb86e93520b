from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection

from notifications import delivery, emit, endpoints
from notifications.endpoints import EndpointRefused
from notifications.kinds import KINDS
from notifications.models import OutboundWebhook, WebhookEndpoint

pytestmark = pytest.mark.django_db

URL = "https://example.com/hooks"


def make(customer, now, url=URL, events=("balance.low",), **more):
    return endpoints.create(customer, url, list(events), now, **more)


def test_a_new_endpoint_has_a_secret_of_its_own(alice, now):
    (first, secret), (other, other_secret) = make(alice, now), make(alice, now)

    assert first.id != other.id and secret != other_secret
    assert (first.secret, first.url, first.events) == (secret, URL, ["balance.low"])
    assert endpoints.of(alice) == sorted([first, other], key=lambda one: one.id)


def test_events_are_kept_once_and_in_one_order(alice, now):
    endpoint, _ = make(alice, now, events=["voice.ready", "balance.low", "voice.ready"])

    assert endpoint.events == ["balance.low", "voice.ready"]


def test_the_same_form_twice_is_one_endpoint_and_shows_its_secret_for_a_minute(alice, now):
    endpoint, secret = make(alice, now, key="k")
    soon, late = now + timedelta(seconds=60), now + timedelta(seconds=61)

    assert make(alice, soon, key="k") == (endpoint, secret)
    assert make(alice, late, key="k") == (endpoint, "")
    with pytest.raises(EndpointRefused, match="sent before"):
        make(alice, now, key="k", url="https://example.com/other")
    endpoints.delete(endpoint, now)
    with pytest.raises(EndpointRefused, match="sent before"):
        make(alice, now, key="k")


def test_a_key_is_of_one_customer(alice, bob, now):
    assert make(alice, now, key="k")[0] != make(bob, now, key="k")[0]


def test_a_customer_has_ten_at_most(alice, bob, now):
    made = [make(alice, now)[0] for _ in range(endpoints.ENDPOINTS_MAX)]
    with pytest.raises(EndpointRefused, match="You have 10 endpoints"):
        make(alice, now)
    make(bob, now)

    endpoints.delete(made[0], now)
    make(alice, now)


@pytest.mark.django_db(transaction=True)
def test_of_two_that_make_the_last_one_one_is_refused(alice, now):
    for _ in range(endpoints.ENDPOINTS_MAX - 1):
        make(alice, now)
    together, refused = threading.Barrier(2), []

    def try_it():
        together.wait()
        try:
            make(alice, now)
        except EndpointRefused as error:
            refused.append(error)
        connection.close()

    both = [threading.Thread(target=try_it) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert len(refused) == 1 and len(endpoints.of(alice)) == endpoints.ENDPOINTS_MAX


def test_what_is_wrong_is_said_by_field(alice, now):
    with pytest.raises(EndpointRefused) as refused:
        make(alice, now, url="http://example.com", events=[], key="a b")
    assert set(refused.value.errors) == {"url", "events", "key"}
    with pytest.raises(EndpointRefused, match="no event called balance.gone"):
        make(alice, now, events=["balance.gone"])
    assert not WebhookEndpoint.objects.exists()


def test_a_closed_account_gets_none(alice, now):
    alice.user.is_active = False
    alice.user.save(update_fields=["is_active"])

    with pytest.raises(EndpointRefused, match="closed"):
        make(alice, now)


def test_a_change_applies_to_what_waits(told, endpoint, receiver, work, now):
    endpoints.change(endpoint, now, url=receiver.url + "/new", events=["voice.ready"])
    work(now)

    assert [got.path for got in receiver.got] == ["/hooks/new"]
    with pytest.raises(EndpointRefused):
        endpoints.change(endpoint, now, url="nowhere", events=["voice.ready"])


def test_a_replaced_secret_signs_for_a_day(alice, now):
    endpoint, former = make(alice, now)
    secret = endpoints.rotate(endpoint, now)

    assert secret != former and endpoint.secret == secret
    assert endpoint.secrets(now + timedelta(hours=24, seconds=-1)) == [secret, former]
    assert endpoint.secrets(now + timedelta(hours=24)) == [secret]


def test_a_double_click_replaces_one_secret(alice, now):
    """Or the one that the customer's program knows would be gone at once."""
    endpoint, former = make(alice, now)
    stale = WebhookEndpoint.objects.get()
    secret = endpoints.rotate(endpoint, now, rotations=0)

    assert endpoints.rotate(stale, now + timedelta(seconds=1), rotations=0) == secret
    assert stale.secrets(now) == [secret, former]
    with pytest.raises(EndpointRefused, match="replaced meanwhile"):
        endpoints.rotate(stale, now + timedelta(hours=1), rotations=0)
    assert endpoints.rotate(stale, now, rotations=1) != secret


def test_disabled_it_gets_nothing_and_enabled_it_does_again(
    alice, told, endpoint, receiver, work, now
):
    endpoints.disable(endpoint, now)
    emit(alice.id, "voice.ready", "v2", {}, now)
    told.refresh_from_db()
    assert (told.state, told.due_at) == ("cancelled", None)
    assert OutboundWebhook.objects.count() == 1 and work(now) == 0
    assert endpoint.disabled_because == endpoints.BY_CUSTOMER

    endpoints.enable(endpoint)
    emit(alice.id, "voice.ready", "v3", {}, now)
    endpoints.resend(told, now)
    work(now)
    assert {got.headers["webhook-id"] for got in receiver.got} == {
        row.message_id for row in OutboundWebhook.objects.all()
    }
    assert len(receiver.got) == 2 and endpoint.disabled_at is None


def test_resent_it_has_its_id_and_three_days_anew(told, receiver, work, now):
    work(now)
    later = now + timedelta(days=20)
    receiver.answers = [(500, {}, b"")]
    endpoints.resend(told, later)
    work(later)

    told.refresh_from_db()
    assert (told.state, told.tries, told.give_up_at) == ("pending", 1, later + timedelta(days=3))
    assert [got.headers["webhook-id"] for got in receiver.got] == [told.message_id] * 2
    assert receiver.got[0].body == receiver.got[1].body


def test_nothing_is_resent_to_a_disabled_endpoint(told, endpoint, work, now):
    work(now)
    endpoints.disable(endpoint, now)
    with pytest.raises(EndpointRefused, match="Enable it first"):
        endpoints.resend(told, now)
    with pytest.raises(EndpointRefused, match="Enable it first"):
        endpoints.ping(endpoint, "k", now)

    told.refresh_from_db()
    assert told.state == "delivered"


def test_a_ping_is_sent_once_for_its_key(endpoint, receiver, work, now):
    for key in ("a", "a", "b"):
        endpoints.ping(endpoint, key, now)
    work(now)

    assert len(receiver.got) == 2 and b'"type":"ping"' in receiver.got[0].body
    with pytest.raises(EndpointRefused):
        endpoints.ping(endpoint, "a b", now)


def test_deleted_it_leaves_neither_address_nor_secret_nor_deliveries(
    alice, told, endpoint, work, now
):
    endpoints.rotate(endpoint, now)
    endpoints.delete(endpoint, now)

    row = WebhookEndpoint.objects.get()
    assert (row.url, row.secret, row.former_secret, row.events) == ("", "", "", [])
    assert not OutboundWebhook.objects.exists() and endpoints.of(alice) == []
    endpoints.enable(endpoint)
    assert not WebhookEndpoint.objects.get().is_enabled


def test_deliveries_are_paged_newest_first(alice, endpoint, now, monkeypatch):
    monkeypatch.setattr(endpoints, "DELIVERIES_A_PAGE", 2)
    for number in range(5):
        emit(alice.id, "voice.ready", str(number), {}, now + timedelta(seconds=number // 2))

    pages, before = [], None
    while page := endpoints.deliveries(endpoint, before=before):
        pages.append({row.key for row in page})
        before = page[-1]
    assert pages == [{"4", pages[0].difference({"4"}).pop()}, pages[1], pages[2]]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert set.union(*pages) == {"0", "1", "2", "3", "4"}


def test_every_kind_can_be_chosen(alice, now):
    assert make(alice, now, events=KINDS)[0].events == list(KINDS)
    assert delivery.QUEUE == "webhooks"
