from __future__ import annotations

import re
import uuid

import pytest
from django.contrib.sessions.models import Session
from django.urls import reverse

from notifications import emit, endpoints
from notifications.models import OutboundWebhook, WebhookEndpoint

pytestmark = pytest.mark.django_db

SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]+")


@pytest.fixture
def browser(client, alice):
    client.force_login(alice.user)
    return client


def form(url="https://example.com/hooks", events=("balance.low",), **more):
    return {"url": url, "events": list(events), "key": str(uuid.uuid4()), **more}


def text(answer) -> str:
    return answer.content.decode()


def test_an_endpoint_is_added_and_its_secret_shown_once(browser, alice):
    answer = browser.post(reverse("webhooks"), form(), follow=True)

    [endpoint] = endpoints.of(alice)
    assert answer.redirect_chain == [(reverse("webhook", args=[endpoint.id]), 302)]
    assert SECRET.findall(text(answer)) == [endpoint.secret]
    assert "no-store" in answer["Cache-Control"]
    again = browser.get(reverse("webhook", args=[endpoint.id]))
    assert not SECRET.search(text(again)) and not SECRET.search(
        text(browser.get(reverse("webhooks")))
    )
    assert SHOWN not in Session.objects.get().get_decoded()


SHOWN = "webhook secret"


def test_a_double_click_adds_one_and_shows_its_secret(browser, alice):
    sent = form()
    browser.post(reverse("webhooks"), sent)
    answer = browser.post(reverse("webhooks"), sent, follow=True)

    [endpoint] = endpoints.of(alice)
    assert SECRET.findall(text(answer)) == [endpoint.secret]


def test_what_is_wrong_stands_at_its_field_and_what_was_typed_stays(browser, alice):
    answer = browser.post(reverse("webhooks"), form("http://typed.example", ["voice.ready"]))

    page = text(answer)
    assert answer.status_code == 422 and endpoints.of(alice) == []
    assert "must begin with https://" in page and 'value="http://typed.example"' in page
    assert re.search(r'value="voice\.ready" checked', page)
    assert not re.search(r'value="balance\.low" checked', page)

    assert "Choose at least one event" in text(browser.post(reverse("webhooks"), form(events=[])))


def test_settings_are_changed(browser, alice, now):
    endpoint, _ = endpoints.create(alice, "https://a.example", ["balance.low"], now)
    address = reverse("webhook", args=[endpoint.id])
    sent = {"do": "save", "url": "https://b.example", "events": ["voice.ready"]}
    assert "Saved." in text(browser.post(address, sent, follow=True))
    endpoint.refresh_from_db()
    assert (endpoint.url, endpoint.events) == ("https://b.example", ["voice.ready"])

    answer = browser.post(address, sent | {"url": "ftp://typed.example"})
    assert answer.status_code == 422 and "ftp://typed.example" in text(answer)
    endpoint.refresh_from_db()
    assert endpoint.url == "https://b.example"


def test_the_secret_is_replaced_once_by_a_double_click(browser, alice, now):
    endpoint, former = endpoints.create(alice, "https://a.example", ["balance.low"], now)
    address = reverse("webhook", args=[endpoint.id])
    browser.post(address, {"do": "rotate", "rotations": "0"})
    answer = browser.post(address, {"do": "rotate", "rotations": "0"}, follow=True)

    endpoint.refresh_from_db()
    assert SECRET.findall(text(answer)) == [endpoint.secret]
    assert (endpoint.rotations, endpoint.former_secret) == (1, former)
    assert "former secret signs as well until" in text(answer)
    assert not SECRET.search(text(browser.get(address)))


def test_disable_enable_delete(browser, alice, now):
    endpoint, _ = endpoints.create(alice, "https://a.example", ["balance.low"], now)
    address = reverse("webhook", args=[endpoint.id])

    page = text(browser.post(address, {"do": "disable"}, follow=True))
    assert "Nothing is sent to this endpoint since" in page and "You disabled it." in page
    page = text(browser.post(address, {"do": "enable"}, follow=True))
    assert "Nothing is sent" not in page
    answer = browser.post(address, {"do": "delete"}, follow=True)
    assert "The endpoint is deleted." in text(answer) and "No endpoint yet" in text(answer)
    assert browser.get(address).status_code == browser.post(address).status_code == 404


def test_a_test_event_and_its_answer_are_seen(browser, alice, endpoint, receiver, work, now):
    address = reverse("webhook", args=[endpoint.id])
    key = re.search(r'name="key" value="([^"]+)"', text(browser.get(address))).group(1)
    for _ in range(2):
        browser.post(address, {"do": "ping", "key": key})
    [row] = OutboundWebhook.objects.all()
    receiver.answers = [(500, {}, b"<b>it broke</b>")]
    work(row.due_at)

    page = text(browser.get(address))
    assert row.message_id in page and "1 attempt" in page and "answered 500" in page
    assert "&lt;b&gt;it broke&lt;/b&gt;" in page and "Trying again" in page
    assert "&quot;type&quot;: &quot;ping&quot;" in page


def test_resend_sends_again(browser, alice, told, endpoint, receiver, work, now):
    work(now)
    address = reverse("webhook-resend", args=[endpoint.id, told.id])
    answer = browser.post(address, follow=True)

    assert "It is being sent again." in text(answer)
    told.refresh_from_db()
    assert told.state == "pending" and work(told.due_at) == 1 and len(receiver.got) == 2

    endpoints.disable(endpoint, now)
    assert "Enable it first" in text(browser.post(address, follow=True))


def test_resends_and_tests_have_a_limit(browser, alice, told, endpoint, monkeypatch, work, now):
    from accounts import throttle

    monkeypatch.setitem(throttle.RATES, "webhook", ("2/10m", ""))
    address = reverse("webhook-resend", args=[endpoint.id, told.id])
    for _ in range(2):
        browser.post(address)
    work(OutboundWebhook.objects.get().due_at)
    assert "Wait some minutes" in text(browser.post(address, follow=True))
    assert OutboundWebhook.objects.get().state == "delivered"
    answer = browser.post(reverse("webhook", args=[endpoint.id]), {"do": "ping", "key": "k"})
    assert answer.status_code == 422 and "Wait some minutes" in text(answer)


def test_somebody_elses_are_not_there(browser, bob, now):
    theirs, _ = endpoints.create(bob, "https://bob.example", ["voice.ready"], now)
    emit(bob.id, "voice.ready", "k", {}, now)
    row = OutboundWebhook.objects.get()
    address = reverse("webhook", args=[theirs.id])

    assert browser.get(address).status_code == 404
    for act in ("save", "rotate", "enable", "disable", "delete", "ping"):
        assert browser.post(address, {"do": act, **form()}).status_code == 404
    assert browser.post(reverse("webhook-resend", args=[theirs.id, row.id])).status_code == 404
    mine, _ = endpoints.create(theirs.customer, "https://b2.example", ["voice.ready"], now)
    assert browser.post(reverse("webhook-resend", args=[mine.id, row.id])).status_code == 404
    assert WebhookEndpoint.objects.get(pk=theirs.pk).secret == theirs.secret


def test_a_delivery_of_another_endpoint_of_ones_own_is_not_resent_by_it(browser, alice, told, now):
    other, _ = endpoints.create(alice, "https://other.example", ["voice.ready"], now)

    assert browser.post(reverse("webhook-resend", args=[other.id, told.id])).status_code == 404


def test_deliveries_go_on_on_a_second_page(browser, alice, endpoint, now, monkeypatch):
    monkeypatch.setattr(endpoints, "DELIVERIES_A_PAGE", 2)
    for number in range(3):
        emit(alice.id, "voice.ready", str(number), {"number": number}, now)
    address = reverse("webhook", args=[endpoint.id])
    first = text(browser.get(address))
    older = re.search(r'href="(\?before=[^"]+)" rel="next"', first).group(1)
    second = text(browser.get(address + older))

    seen = re.findall(r"&quot;number&quot;: (\d)", first + second)
    assert sorted(seen) == ["0", "1", "2"]
    assert text(browser.get(address + "?before=nonsense")).count("webhook-id: msg_") == 2


def test_the_account_menu_leads_there(browser, wallet):
    assert f'href="{reverse("webhooks")}"' in text(browser.get(reverse("billing")))


def test_what_was_typed_before_a_login_is_there_after_it(client, alice):
    client.get(reverse("webhooks"))
    client.post(reverse("webhooks"), form("https://typed.example"))
    assert not WebhookEndpoint.objects.exists()


def test_the_admin_shows_no_secret(client, staff, told, endpoint, work, now):
    client.force_login(staff)
    secret = endpoint.secret
    fresh = endpoints.rotate(endpoint, now)
    work(now)
    pages = [
        reverse("admin:notifications_webhookendpoint_changelist"),
        reverse("admin:notifications_webhookendpoint_change", args=[endpoint.pk]),
        reverse("admin:notifications_webhookendpoint_history", args=[endpoint.pk]),
        reverse("admin:notifications_outboundwebhook_changelist"),
        reverse("admin:notifications_outboundwebhook_change", args=[told.pk]),
    ]
    for page in pages:
        answer = text(client.get(page))
        assert secret not in answer and fresh not in answer and "whsec_" not in answer
    assert "voice.ready" in answer


@pytest.mark.parametrize(
    ("action", "state"), [("cancel", "cancelled"), ("send_again", "pending"), ("retry", "pending")]
)
def test_operators_cancel_and_send_again(action, state, client, staff, told, endpoint, work, now):
    client.force_login(staff)
    sent = {"action": action, "_selected_action": str(told.pk), "confirmed": "1"}
    answer = client.post(
        reverse("admin:notifications_outboundwebhook_changelist"), sent, follow=True
    )

    told.refresh_from_db()
    assert answer.status_code == 200 and told.state == state
    assert (told.due_at is None) == (action == "cancel")


def test_operators_disable_an_endpoint(client, staff, told, endpoint):
    client.force_login(staff)
    sent = {"action": "disable", "_selected_action": str(endpoint.pk), "confirmed": "1"}
    client.post(reverse("admin:notifications_webhookendpoint_changelist"), sent)

    endpoint.refresh_from_db()
    told.refresh_from_db()
    assert not endpoint.is_enabled and told.state == "cancelled"
