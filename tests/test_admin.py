"""What operators see and may do: everything, read-only, with what it owes and a way to try again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Customer, User
from billing.models import Drift, LedgerEntry, Payment, WebhookEvent
from conftest import PASSWORD, fund
from jobs.models import Heartbeat, Job, Lane
from jobs.worker import pause_lane
from usage.models import Generation, UsageEvent

APPS = ("accounts", "billing", "usage", "jobs")
MODELS = [model for app in APPS for model in apps.get_app_config(app).get_models()]
WRITABLE = {"User"}
pytestmark = pytest.mark.django_db


@pytest.fixture
def operator(client, staff):
    client.force_login(staff)
    return client


@pytest.fixture
def shop(alice, bob, now):
    """One row of nearly everything, for alice; bob has a wallet only."""
    wallet = fund(alice, 500, now)
    fund(bob, 700, now)
    Customer.objects.filter(pk=alice.pk).update(metronome_id="metronome-alice")
    times = {"created_at": now}
    reservation = wallet.reservations.create(key="k", amount=5, captured=5, state="captured", expires_at=now, **times)
    Generation.objects.create(
        customer=alice, key="k", body_hash="h", text="My secret words", voice="standard-ava", voice_name="Ava",
        voice_type="standard", characters=5, credits=5, state="done", reservation=reservation, taken_at=now, **times,
    )  # fmt: skip
    UsageEvent.objects.create(
        transaction_id="vocalis-gen-1", customer=alice, event_type="voice_generation", happened_at=now, properties={},
        credits=5, reservation=reservation, due_at=now, last_error="Rejected: 400 bad", attempts=3, dead_at=now, **times,
    )  # fmt: skip
    WebhookEvent.objects.create(
        event_id="event-1", type="commit.create", customer_metronome_id="metronome-alice",
        payload={"text": "<script>alert(1)</script>"}, received_at=now, processed_at=now, outcome="read",
    )  # fmt: skip
    Payment.objects.create(
        customer=alice, kind="recharge", state="charged", amount_cents=4900, workflow_id="w-1", gateway="test",
        due_at=now, **times,
    )  # fmt: skip
    Drift.objects.create(
        wallet=wallet, difference=-2_000, wallet_balance=500, metronome_balance=0, first_seen_at=now, last_seen_at=now
    )
    Heartbeat.objects.create(worker="w", started_at=now, beat_at=timezone.now())
    pause_lane("report", seconds=600, reason="401 unauthorized", now=now)
    return wallet


def url(model, page: str = "changelist", *args: object) -> str:
    from django.urls import reverse

    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def act(client, model, action: str, *rows, follow: bool = True):
    chosen = {"action": action, "_selected_action": [str(row.pk) for row in rows]}
    return client.post(url(model), chosen, follow=follow)


def messages(response) -> list[str]:
    return [str(message) for message in response.context["messages"]]


# --- What is there --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_model_can_be_looked_at_and_only_people_are_edited(operator, shop, model):
    assert admin.site.is_registered(model)
    assert operator.get(url(model)).status_code == 200

    row = model._default_manager.first()
    if row is not None:
        page = operator.get(url(model, "change", row.pk))
        assert page.status_code == 200
        assert (b'name="_save"' in page.content) == (model.__name__ in WRITABLE)
    if model.__name__ not in WRITABLE:
        assert operator.get(url(model, "add")).status_code == 403
        if row is not None and model is not Lane:
            assert operator.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("model", [model for model in MODELS if issubclass(model, Job)], ids=lambda m: m.__name__)
def test_whatever_owes_work_shows_it_and_filters_by_it(operator, shop, model):
    for work in ("dead", "due"):
        assert operator.get(url(model), {"work": work}).status_code == 200
    assert {"work", "attempts", "trouble"} <= set(admin.site.get_model_admin(model).get_list_display(None))


def test_a_dead_row_shows_its_last_error(operator, shop):
    page = operator.get(url(UsageEvent), {"work": "dead"}).content.decode()

    assert "dead since" in page and "Rejected: 400 bad" in page


@pytest.mark.parametrize(
    ("model", "term", "expected"),
    [
        (LedgerEntry, "alice@example.com", 1),
        (LedgerEntry, "ALICE", 1),
        (LedgerEntry, "nobody@example.com", 0),
        (LedgerEntry, "metronome-alice", 1),
        (LedgerEntry, "99999999", 0),
        (UsageEvent, "vocalis-gen-1", 1),
        (UsageEvent, "bob@", 0),
        (WebhookEvent, "alice@example.com", 1),
        (WebhookEvent, "commit.create", 1),
        (Payment, "w-1", 1),
        (Customer, "alice@", 1),
        (Customer, "not-a-uuid", 0),
        (User, "alice@", 1),
    ],
)
def test_search_finds_by_email_and_ids(operator, shop, model, term, expected):
    page = operator.get(url(model), {"q": term})

    assert page.context["cl"].result_count == expected


def test_search_finds_a_customer_by_id_and_alias(operator, shop, alice):
    for term in (str(alice.pk), alice.stable_alias):
        assert operator.get(url(Customer), {"q": term}).context["cl"].result_count == 1


def test_the_page_of_a_customer_leads_to_everything_of_theirs(operator, shop, alice):
    page = operator.get(url(Customer, "change", alice.pk))

    html = page.content.decode()
    assert "500 credits" in html
    for model, query in [
        (Generation, f"customer__id__exact={alice.pk}"),
        (UsageEvent, f"customer__id__exact={alice.pk}"),
        (Payment, f"customer__id__exact={alice.pk}"),
        (LedgerEntry, f"wallet__id__exact={shop.pk}"),
        (WebhookEvent, "customer_metronome_id__exact=metronome-alice"),
    ]:
        link = f"{url(model)}?{query}"
        assert link in html
        assert operator.get(link).context["cl"].result_count == 1
    assert "http://localhost:8100" in html


def test_a_customer_without_anything_has_a_page_too(operator, bob):
    assert operator.get(url(Customer, "change", bob.pk)).status_code == 200


def test_a_page_that_does_not_exist_says_so(operator):
    page = operator.get(url(Customer, "change", "00000000-0000-4000-8000-000000000000"), follow=True)

    assert any("exist" in message for message in messages(page))


def test_payloads_are_text_and_what_people_said_is_not_shown(operator, shop, alice):
    event = operator.get(url(WebhookEvent, "change", WebhookEvent.objects.get().pk)).content.decode()
    generation = operator.get(url(Generation, "change", Generation.objects.get().pk)).content.decode()

    assert "&lt;script&gt;alert(1)" in event and "<script>alert" not in event
    assert "My secret words" not in generation


def test_lists_neither_count_all_rows_nor_ask_per_row(operator, shop, alice, now):
    few = CaptureQueriesContext(connection)
    with few:
        operator.get(url(LedgerEntry))
    for _ in range(10):
        fund(alice, 10, now)
    many = CaptureQueriesContext(connection)
    with many:
        operator.get(url(LedgerEntry))

    assert len(many) == len(few)
    counts = [query["sql"] for query in many if "COUNT(" in query["sql"] and "ledgerentry" in query["sql"]]
    assert counts and all("LIMIT 10000" in sql for sql in counts)


# --- What one may do ------------------------------------------------------------------------------------------------


def test_retry_makes_dead_rows_due_and_writes_down_who_did_it(operator, shop, staff):
    event = UsageEvent.objects.get()

    response = act(operator, UsageEvent, "retry", event)

    event.refresh_from_db()
    assert (event.dead_at, event.attempts) == (None, 0)
    assert event.due_at <= timezone.now()
    assert messages(response) == ["Retry: 1 due now."]
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id, entry.change_message) == (staff, str(event.pk), "Retry by hand.")


def test_retry_leaves_rows_alone_that_owe_nothing(operator, shop):
    UsageEvent.objects.update(due_at=None, dead_at=None)

    response = act(operator, UsageEvent, "retry", UsageEvent.objects.get())

    assert UsageEvent.objects.get().due_at is None
    assert messages(response) == ["Retry: 0 due now.", "1 left alone: nothing to do for them."]
    assert not LogEntry.objects.exists()


def test_replay_processes_a_webhook_again(operator, shop):
    response = act(operator, WebhookEvent, "replay", WebhookEvent.objects.get())

    assert messages(response) == ["Replay: 1 due now."]
    assert WebhookEvent.objects.due(timezone.now()).count() == 1
    assert LogEntry.objects.get().change_message == "Replay by hand."


def test_send_again_leaves_events_alone_that_metronome_would_not_recognise(operator, shop):
    UsageEvent.objects.update(happened_at=timezone.now() - timedelta(days=34))

    response = act(operator, UsageEvent, "send_again", UsageEvent.objects.get())

    assert messages(response) == ["Send again: 0 due now.", "1 left alone: nothing to do for them."]


def test_agreeing_to_a_drift_notes_who(operator, shop, staff):
    response = act(operator, Drift, "approve", Drift.objects.get())

    assert Drift.objects.get().approved_by == staff
    assert messages(response)[0].startswith("Agreed to 1;")


def test_deleting_a_lane_ends_its_pause(operator, shop):
    operator.post(url(Lane, "delete", "report"), {"post": "yes"})

    assert not Lane.objects.exists()


@pytest.mark.parametrize("rights", [[], ["view_usageevent"]])
def test_staff_without_the_right_cannot_act(client, shop, rights):
    from django.contrib.auth.models import Permission

    user = User.objects.create_user("viewer@example.com", PASSWORD, is_staff=True, first_name="V", last_name="V")
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client.force_login(user)

    act(client, UsageEvent, "retry", UsageEvent.objects.get(), follow=False)

    assert UsageEvent.objects.get().dead_at is not None
    assert client.get(url(UsageEvent)).status_code == (200 if rights else 403)


def test_customers_do_not_get_in(client, alice):
    client.force_login(alice.user)

    assert client.get("/admin/").status_code == 302


# --- People ---------------------------------------------------------------------------------------------------------


def test_staff_are_made_by_email_in_lower_case(operator):
    response = operator.post(
        url(User, "add"),
        {
            "email": "New@Example.com", "first_name": "New", "last_name": "Person", "usable_password": "true",
            "password1": "a long enough secret", "password2": "a long enough secret",
        },
    )  # fmt: skip

    assert response.status_code == 302, response.context["adminform"].form.errors
    assert User.objects.get(email="new@example.com").check_password("a long enough secret")


def test_the_email_of_a_customer_is_changed_on_their_profile_only(operator, alice, staff):
    """It is an ingest alias at Metronome too."""
    assert b'name="email"' not in operator.get(url(User, "change", alice.user.pk)).content
    assert b'name="email"' in operator.get(url(User, "change", staff.pk)).content


# --- The start page -------------------------------------------------------------------------------------------------


def test_the_start_page_shows_what_needs_a_person(operator, shop):
    html = operator.get("/admin/").content.decode()

    for text in ("dead usage events", "1 to look at", "report pauses: 401 unauthorized", "1 open"):
        assert text in html
    assert f"{url(UsageEvent)}?work=dead" in html
    assert f"{url(Drift)}?state__exact=open" in html


def test_admin_pages_hold_no_inline_code(operator, shop):
    """The Content-Security-Policy would stop it."""
    for page in ("/admin/", url(UsageEvent), url(Customer, "change", Customer.objects.first().pk)):
        html = operator.get(page).content.decode()
        assert "<style" not in html and " style=" not in html and " onclick=" not in html
        assert all("src=" in tag.split(">")[0] or "application/json" in tag for tag in html.split("<script")[1:])
