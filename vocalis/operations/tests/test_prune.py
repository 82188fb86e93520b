"""Old rows go; what the ledger refers to, what still has work,
and what may be asked for again stays."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session

import notifications
from accounts.models import BrowserSession, PasswordReset
from billing import ledger
from billing.models import InboundWebhook, LedgerEntry, Reservation
from billing.tests.operate import run
from conftest import PASSWORD, fund
from mails.models import OutboundMail
from notifications import endpoints
from notifications.models import Banner, OutboundWebhook, WebhookEndpoint
from usage.models import Generation, UsageDiscrepancy, UsageEvent
from usage.speech import capture
from vocalis.operations.prune import MAIL_DAYS_MIN

pytestmark = pytest.mark.django_db


def webhook(event_id, received_at, **fields):
    settled = {"processed_at": received_at}
    return InboundWebhook.objects.create(
        event_id=event_id, type="t", payload={}, received_at=received_at, **(settled | fields)
    )


def event(alice, name, at, **fields):
    reservation = ledger.reserve(wallet_id=alice.wallet.pk, key=name, amount=1, now=at)
    capture.capture_and_report(
        customer_id=alice.pk,
        reservation=reservation,
        transaction_id=name,
        event_type="voice_generation",
        properties={},
        now=at,
    )
    ledger.acknowledge(reservation_ids=[reservation.id], now=at)
    UsageEvent.objects.filter(transaction_id=name).update(
        **({"sent_at": at, "due_at": None} | fields)
    )
    return reservation.id


@pytest.fixture
def rows(alice, now):
    old = now - timedelta(days=40)
    fund(alice, 500, old)
    webhook("settled", old)
    webhook("young", now - timedelta(days=8))
    webhook("replayed", old, due_at=now)
    webhook("dead", old, dead_at=now, due_at=now)
    webhook("never-processed", old, processed_at=None)
    event(alice, "old", old)
    event(alice, "within-34-days", now - timedelta(days=20))
    event(alice, "unsent", old, sent_at=None, due_at=now)
    event(alice, "dead", old, dead_at=now, due_at=now)
    for hour, resolved_at in enumerate((old, now - timedelta(days=20), None)):
        UsageDiscrepancy.objects.create(
            customer=alice,
            hour_at=old + timedelta(hours=hour),
            event_type="voice_generation",
            local_units=1,
            remote_units=0,
            is_in_transit=False,
            first_seen_at=old,
            last_seen_at=old,
            resolved_at=resolved_at,
        )
    endpoint, gone = (
        endpoints.create(alice, f"https://{name}.example", ["voice.ready"], old)[0]
        for name in ("kept", "gone")
    )
    for key, at in (("old", old), ("waits", old), ("young", now - timedelta(days=20))):
        notifications.emit(alice.id, "voice.ready", key, {}, at)
    OutboundWebhook.objects.exclude(key="waits").cancel(state="delivered")
    OutboundWebhook.objects.filter(endpoint=gone).delete()
    endpoints.delete(gone, old)
    long_ago = now - timedelta(days=MAIL_DAYS_MIN + 8)  # its banner was up for a week
    for key, at in (("old", long_ago), ("waits", long_ago), ("young", old)):
        notifications.emit(alice.id, "payment.refunded", key, {}, at)
    OutboundMail.objects.exclude(key="waits").cancel(state="sent")
    Banner.objects.exclude(key="old").update(until_at=now)
    for name, due_at in (("old", None), ("waits", now)):
        PasswordReset.objects.create(email=f"{name}@example.com", asked_at=old, due_at=due_at)
    PasswordReset.objects.create(email="young@example.com", asked_at=now)
    for key, days in (("ended", -1), ("live", 1)):
        Session.objects.create(
            session_key=key, session_data="", expire_date=now + timedelta(days=days)
        )
        BrowserSession.objects.create(
            user=alice.user,
            session_key=key,
            address="a",
            began_at=long_ago,
            seen_at=long_ago if key == "ended" else old,
        )


def test_what_is_settled_and_old_goes_and_all_else_stays(rows):
    entries, reservations = LedgerEntry.objects.count(), Reservation.objects.count()

    code, text = run("prune", "--days", 30)

    assert code == 0
    kinds = (
        "banners",
        "browsers",
        "deleted webhook endpoints",
        "deliveries of webhooks",
        *(
            "mails",
            "password resets",
            "sessions",
            "usage discrepancies",
            "usage events",
            "webhooks",
        ),
    )
    assert text == f"Summary: {', '.join(f'1 {kind} deleted' for kind in kinds)}.\n"
    assert set(PasswordReset.objects.values_list("email", flat=True)) == {
        "waits@example.com",
        "young@example.com",
    }
    assert set(InboundWebhook.objects.values_list("event_id", flat=True)) == {
        "young",
        "replayed",
        "dead",
        "never-processed",
    }
    assert set(UsageEvent.objects.values_list("transaction_id", flat=True)) == {
        "within-34-days",
        "unsent",
        "dead",
    }
    assert Session.objects.get().session_key == "live"
    assert BrowserSession.objects.get().session_key == "live"
    assert set(OutboundWebhook.objects.values_list("key", flat=True)) == {"waits", "young"}
    assert set(OutboundMail.objects.values_list("key", flat=True)) == {"waits", "young"}
    assert set(Banner.objects.values_list("key", flat=True)) == {"waits", "young"}
    assert WebhookEndpoint.objects.get().url == "https://kept.example"
    assert (LedgerEntry.objects.count(), Reservation.objects.count()) == (entries, reservations)
    assert run("prune", "--days", 30).text == "Summary: nothing to do.\n"


def test_usage_events_stay_as_long_as_metronome_takes_them(rows):
    run("prune", "--days", 7)

    assert UsageEvent.objects.filter(transaction_id="within-34-days").exists()
    assert OutboundWebhook.objects.filter(key="young").exists(), "30 days, as the page says"


def test_a_dry_run_deletes_nothing(rows):
    code, text = run("prune", "--days", 30, "--dry-run")

    assert code == 1
    assert "1 webhooks would be deleted" in text
    assert (
        InboundWebhook.objects.count(),
        UsageEvent.objects.count(),
        Session.objects.count(),
    ) == (5, 4, 2)


@pytest.mark.parametrize("days", [-1, 6, 36_501, 10**12])
def test_less_than_a_week_and_more_than_a_century_is_refused(db, days):
    assert run("prune", "--days", days) == (
        1,
        "--days is 7 to 36,500: "
        "Metronome repeats webhooks for two days, and operators replay them.",
    )


def test_rows_go_chunk_by_chunk(rows, now, monkeypatch):
    monkeypatch.setattr("vocalis.operations.prune.CHUNK", 2)
    for at in range(5):
        webhook(f"more-{at}", now - timedelta(days=40))

    assert "6 webhooks deleted" in run("prune", "--days", 30).text


def test_the_usage_page_calls_a_pruned_event_sent(client, alice, now, rows):
    reservation_id = Reservation.objects.get(key="old").pk
    Generation.objects.create(
        customer=alice,
        key="k",
        body_hash="h",
        text="Hello",
        voice="standard-ava",
        voice_name="Ava",
        voice_type="standard",
        characters=1,
        credits=1,
        state="done",
        reservation_id=reservation_id,
        created_at=now,
        taken_at=now,
    )
    run("prune", "--days", 30)

    client.login(username=alice.user.email, password=PASSWORD)
    page = client.get("/usage/").content.decode()

    assert "Hello" in page
    assert ">Sent<" in page
    assert "Waiting" not in page
