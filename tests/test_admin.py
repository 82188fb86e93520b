"""What operators see and may do: everything, read-only, with open jobs and a way to try again."""

from __future__ import annotations

import re
import threading
from datetime import timedelta

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Customer, User
from billing.models import (
    CreditGrant,
    Dispute,
    Drift,
    InboundWebhook,
    LedgerEntry,
    Payment,
    PaymentAlert,
    Recharge,
    Refund,
    Reservation,
    Wallet,
)
from conftest import PASSWORD, fund
from jobs.models import JobRow, PausedJob
from mails.models import OutboundMail
from usage.engines import engine
from usage.engines.whole import speak_whole
from usage.models import Generation, Pronunciation, UsageEvent
from vocalis import start
from vocalis.health import remote
from vocalis.health.check import Check

from .admin_pages import confirm, messages, url

APPS = ("accounts", "billing", "usage", "jobs")
MODELS = [model for app in APPS for model in apps.get_app_config(app).get_models()]
WRITABLE = {"User"}
pytestmark = pytest.mark.django_db


# --- What is there --------------------------------------------------------------------------------


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
        if row is not None and model is not PausedJob:
            assert operator.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403


@pytest.mark.parametrize(
    "model", [model for model in MODELS if issubclass(model, JobRow)], ids=lambda m: m.__name__
)
def test_whatever_has_work_shows_it_and_filters_by_it(operator, shop, model, rf):
    for work in ("dead", "due"):
        assert operator.get(url(model), {"work": work}).status_code == 200
    columns = admin.site.get_model_admin(model).get_list_display(rf.get(url(model)))
    assert {"work", "attempts", "trouble"} <= {getattr(one, "__name__", one) for one in columns}


def test_numbers_have_separators_in_lists_and_on_the_pages_of_rows(operator, shop, now):
    wallet = fund(shop.customer, 12_345_678, now)
    entry, grant = LedgerEntry.objects.latest("pk"), CreditGrant.objects.latest("pk")
    for row, expected in ((wallet, wallet.balance), (entry, 12_345_678), (grant, 12_345_678)):
        assert expected > 12_000_000
        for place in (url(type(row)), url(type(row), "change", row.pk)):
            page = operator.get(place).text
            assert f">{expected:,}<" in page and f">{expected}<" not in page, place


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
        (InboundWebhook, "alice@example.com", 1),
        (InboundWebhook, "commit.create", 1),
        (Recharge, "w-1", 1),
        (Payment, "alice@example.com", 1),
        (Customer, "alice@", 1),
        (Customer, "not-a-uuid", 0),
        (User, "alice@", 1),
    ],
)
def test_search_finds_by_email_and_ids(operator, shop, model, term, expected):
    page = operator.get(url(model), {"q": term})

    assert page.context["cl"].result_count == expected


def test_search_finds_mails_by_who_got_them_where_and_of_which_event(operator, alice, bob, now):
    for who, key in ((alice, "a-1"), (bob, "b-1")):
        OutboundMail.objects.create(
            user=who.user, kind="welcome", key=key, sent_to=f"old-{key}@example.com", created_at=now
        )

    for term, expected in (
        ("alice@", 1),
        (str(alice.pk), 1),
        ("old-a-1@example.com", 1),
        ("b-1", 1),
        ("carol@", 0),
    ):
        found = operator.get(url(OutboundMail), {"q": term}).context["cl"]
        assert found.result_count == expected, term


def test_a_list_that_stops_counting_says_so(operator, shop, monkeypatch):
    assert "or more" not in operator.get(url(LedgerEntry)).content.decode()
    found = LedgerEntry.objects.count()
    monkeypatch.setattr("operations.admin.ROWS_COUNTED_MAX", found)

    assert f"{found} or more ledger entries" in operator.get(url(LedgerEntry)).content.decode()


def test_search_finds_a_customer_by_id_and_alias(operator, shop, alice):
    for term in (str(alice.pk), alice.stable_alias):
        assert operator.get(url(Customer), {"q": term}).context["cl"].result_count == 1


@pytest.mark.parametrize(
    "model",
    [model for model, page in admin.site._registry.items() if getattr(page, "exact_fields", ())],
)
def test_what_lists_are_searched_for_begins_an_index(model):
    """Else PostgreSQL reads the whole table, for a customer's e-mail address, too:
    the parts are joined by OR."""
    indexed = {field.name for field in model._meta.fields if field.unique or field.db_index}
    for index in (*model._meta.indexes, *model._meta.constraints):
        if getattr(index, "fields", None) and index.condition is None:
            indexed.add(index.fields[0].lstrip("-"))

    assert set(admin.site.get_model_admin(model).exact_fields) <= indexed


def test_the_page_of_a_customer_leads_to_everything_of_theirs(operator, shop, alice):
    page = operator.get(url(Customer, "change", alice.pk))

    html = page.content.decode()
    assert "500 credits" in html
    for model, query in [
        (Generation, f"customer__id__exact={alice.pk}"),
        (UsageEvent, f"customer__id__exact={alice.pk}"),
        (Payment, f"customer__id__exact={alice.pk}"),
        (LedgerEntry, f"wallet__id__exact={shop.pk}"),
        (InboundWebhook, "customer_ref__exact=metronome-alice"),
    ]:
        link = f"{url(model)}?{query}"
        assert link in html
        assert operator.get(link).context["cl"].result_count == 1
    assert "http://localhost:8100/dashboard/metronome-alice" in html


def test_pages_lead_only_to_what_one_may_look_at(client, shop, alice):
    user = User.objects.create_user(
        "viewer@example.com", PASSWORD, is_staff=True, first_name="V", last_name="V"
    )
    user.user_permissions.set(
        Permission.objects.filter(codename__in=["view_customer", "view_payment", "view_recharge"])
    )
    client.force_login(user)

    html = client.get(url(Customer, "change", alice.pk)).content.decode()

    assert f"{url(Payment)}?customer__id__exact={alice.pk}" in html
    assert f"{url(Recharge)}?customer__id__exact={alice.pk}" in html
    for model in (LedgerEntry, InboundWebhook, Generation, Wallet):
        assert url(model) not in html


def test_a_webhook_leads_to_its_customer_and_a_reservation_to_what_it_paid_for(
    operator, shop, alice
):
    event = operator.get(
        url(InboundWebhook, "change", InboundWebhook.objects.get().pk)
    ).content.decode()
    reservation = shop.reservations.get()
    page = operator.get(url(Reservation, "change", reservation.pk)).content.decode()

    assert url(Customer, "change", alice.pk) in event
    assert f"{url(Generation)}?reservation__id__exact={reservation.pk}" in page


def test_a_customer_without_anything_has_a_page_too(operator, bob):
    assert operator.get(url(Customer, "change", bob.pk)).status_code == 200


def test_a_page_that_does_not_exist_says_so(operator):
    page = operator.get(
        url(Customer, "change", "00000000-0000-4000-8000-000000000000"), follow=True
    )

    assert any("exist" in message for message in messages(page))


def test_payloads_are_text_and_what_people_said_is_not_shown(operator, shop, alice):
    event = operator.get(
        url(InboundWebhook, "change", InboundWebhook.objects.get().pk)
    ).content.decode()
    generation = operator.get(
        url(Generation, "change", Generation.objects.get().pk)
    ).content.decode()

    assert "&lt;script&gt;alert(1)" in event and "<script>alert" not in event
    assert "My secret words" not in generation


def test_words_of_pronunciations_are_not_shown(operator, alice):
    row = alice.pronunciations.create(written="Secretword", spoken="see crate")
    pages = [operator.get(url(Pronunciation)), operator.get(url(Pronunciation, "change", row.pk))]

    assert [page.status_code for page in pages] == [200, 200]
    assert not any(b"Secretword" in page.content or b"crate" in page.content for page in pages)


def test_lists_neither_count_all_rows_nor_ask_per_row(operator, shop, alice, now):
    operator.get("/admin/")  # with the first page the session is noted
    few = CaptureQueriesContext(connection)
    with few:
        operator.get(url(LedgerEntry))
    for _ in range(10):
        fund(alice, 10, now)
    many = CaptureQueriesContext(connection)
    with many:
        operator.get(url(LedgerEntry))

    assert len(many) == len(few)
    counts = [
        query["sql"] for query in many if "COUNT(" in query["sql"] and "ledgerentry" in query["sql"]
    ]
    assert counts and all("LIMIT 10000" in sql for sql in counts)
    assert "sortable" not in operator.get(url(LedgerEntry)).content.decode()


# --- People ---------------------------------------------------------------------------------------


def test_the_list_of_people_does_not_count_them_all(operator, shop):
    with CaptureQueriesContext(connection) as asked:
        operator.get(url(User))

    counts = [query["sql"] for query in asked if "COUNT(" in query["sql"]]
    assert counts and all("LIMIT 10000" in sql for sql in counts)


def test_staff_are_made_by_email_in_lower_case(operator):
    response = operator.post(
        url(User, "add"),
        {
            "email": "New@Example.com",
            "first_name": "New",
            "last_name": "Person",
            "usable_password": "true",
            "password1": "a long enough secret",
            "password2": "a long enough secret",
        },
    )

    assert response.status_code == 302, response.context["adminform"].form.errors
    assert User.objects.get(email="new@example.com").check_password("a long enough secret")


def test_the_email_of_a_customer_is_changed_on_their_profile_only(operator, alice, staff):
    """It is an ingest alias at Metronome too."""
    assert b'name="email"' not in operator.get(url(User, "change", alice.user.pk)).content
    assert b'name="email"' in operator.get(url(User, "change", staff.pk)).content


# --- The start page -------------------------------------------------------------------------------


def test_the_start_page_shows_what_needs_a_person(operator, shop):
    html = operator.get("/admin/").content.decode()

    for text in (
        "dead usage events",
        "1 need a person",
        "report pauses: 401 unauthorized",
        "1 open",
    ):
        assert text in html
    assert f"{url(UsageEvent)}?work=dead" in html
    assert f"{url(Drift)}?state__exact=open" in html


def test_the_start_page_tells_staff_only_what_they_may_look_at(client, shop):
    user = User.objects.create_user(
        "viewer@example.com", PASSWORD, is_staff=True, first_name="V", last_name="V"
    )
    client.force_login(user)
    assert "What needs a person" not in client.get("/admin/").content.decode()

    user.user_permissions.set(Permission.objects.filter(codename="view_drift"))
    html = client.get("/admin/").content.decode()
    assert "1 open" in html
    assert "usage events" not in html


def test_the_start_page_shows_how_the_speech_engines_are(operator, shop, lacking):
    speak_whole(engine("hibari"), "Hello there.", settings={})
    lacking("kokoro")
    html = operator.get("/admin/").content.decode()
    rows = {
        cells[0]: cells[1:]
        for row in html.partition("<h2>Speech engines")[2].partition("</table>")[0].split("<tr")[1:]
        if (cells := re.findall(r"<t[hd][^>]*>([^<]*)</t", row))
    }

    assert rows["engine"] == ["state", "alive", "waiting", "speed", "restarts"]
    status = engine("hibari").status()
    assert rows["hibari"] == [
        "runs",
        str(status.alive),
        "0",
        f"{status.real_time_factor:.2f} × real time",
        str(status.restarts),
    ]
    assert rows["kokoro"][1:] == ["–"] * 4
    assert "Premium voices are hidden: Nora, Theo, " in rows["kokoro"][0]
    assert rows.keys() == {"engine", "hibari", "kokoro", "espeak"}


def test_speech_engines_are_shown_to_those_who_may_see_the_workers(client, shop):
    user = User.objects.create_user(
        "viewer@example.com", PASSWORD, is_staff=True, first_name="V", last_name="V"
    )
    client.force_login(user)
    assert "Speech engines" not in client.get("/admin/").content.decode()

    user.user_permissions.set(Permission.objects.filter(codename="view_heartbeat"))
    assert "Speech engines" in client.get("/admin/").content.decode()


def test_times_are_told_to_the_second(operator, shop, now):
    assert f"{now:%Y-%m-%d %H:%M:%S}" in operator.get(url(LedgerEntry)).content.decode()


def test_the_log_of_what_staff_did_is_there_to_read(operator, shop):
    confirm(operator, Wallet, "freeze", shop, reason="Stolen card")

    html = operator.get(url(LogEntry)).content.decode()
    assert "Frozen: Stolen card" in html
    assert url(Wallet, "change", shop.pk) in html


def test_admin_pages_hold_no_inline_code(operator, shop):
    """The Content-Security-Policy would stop it."""
    for page in ("/admin/", url(UsageEvent), url(Customer, "change", Customer.objects.first().pk)):
        html = operator.get(page).content.decode()
        assert "<style" not in html and " style=" not in html and " onclick=" not in html
        assert all(
            "src=" in tag.split(">")[0] or "application/json" in tag
            for tag in html.split("<script")[1:]
        )


def test_the_start_page_says_what_waits_since_when_and_what_was_done(operator, shop, alice, now):
    InboundWebhook.objects.update(due_at=now - timedelta(minutes=12), processed_at=None)
    Payment.objects.update(created_at=now - timedelta(minutes=11))
    LogEntry.objects.log_actions(User.objects.get(is_staff=True).pk, [shop], 2, "Frozen: why")

    page = operator.get("/admin/")
    html = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.content.decode()))

    assert "Money stuck $49.00 1 charged, not granted; oldest 11 min" in html
    [late] = [row for row, _ in page.context["waiting"] if row.name == "inbound webhooks"]
    assert (late.count, late.level, late.state) == (1, "error", "late")
    assert "12 min" in html and "Nothing waits of:" in html
    assert "pauses: 401 unauthorized" in html
    assert "Frozen: why" in html


def test_the_start_page_shows_what_failed_and_is_tried_again(operator, alice, now):
    def told():
        rows = [row for row, _ in operator.get("/admin/").context["waiting"]]
        return [(row.count, row.level, row.state) for row in rows if row.name == "customers"]

    later = timezone.now() + timedelta(minutes=2)
    Customer.objects.update(due_at=later, attempts=0, last_error="Snooze: not yet", dead_at=None)
    assert told() == []

    Customer.objects.filter(pk=alice.pk).update(attempts=1, last_error="MetronomeUnavailable: 503")
    assert told() == [(1, "ok", "1 failed and tried again: MetronomeUnavailable: 503")]

    Customer.objects.filter(pk=alice.pk).update(attempts=3)
    assert told()[0][1] == "warn"


def test_the_start_page_shows_what_metronome_and_stripe_answer_without_waiting_for_them(
    operator, shop, settings, monkeypatch
):
    asked = threading.Event()
    remote.forget_answers()
    monkeypatch.setattr(remote, "PAGE_WAITS_SECONDS", 0.1)
    monkeypatch.setattr(
        remote, "_connection_checks", lambda: [Check("reachability", "ok", "answers in 0.1 s")]
    )
    monkeypatch.setattr(remote, "_stripe_checks", lambda: asked.wait(5) and [])

    page = operator.get("/admin/").content.decode()
    asked.set()

    assert "answers in 0.1 s" in page and "has not answered yet" in page
    remote.forget_answers()


def test_who_is_silent_is_not_shown_as_well_because_it_answered_before(operator, monkeypatch):
    remote.forget_answers()
    monkeypatch.setattr(remote, "_connection_checks", lambda: [Check("reachability", "ok", "0.1")])
    monkeypatch.setattr(remote, "_stripe_checks", lambda: [Check("stripe", "ok", "0.2 s")])
    assert [one["status"] for one in operator.get("/admin/").context["answers"]] == ["ok", "ok"]
    silent = threading.Event()
    monkeypatch.setattr(remote, "FRESH_SECONDS", 0)
    monkeypatch.setattr(remote, "PAGE_WAITS_SECONDS", 0.1)
    monkeypatch.setattr(remote, "_stripe_checks", lambda: silent.wait(5) and [])

    [_, stripe] = operator.get("/admin/").context["answers"]
    silent.set()

    assert stripe["status"] == "warn"
    assert stripe["detail"] == "has not answered yet; before: 0.2 s"
    remote.forget_answers()


def test_refunds_disputes_and_alerts_are_on_the_start_page_until_they_are_settled(
    operator, shop, alice, now
):
    payment = Payment.objects.get()
    about = {"payment": payment, "customer": alice, "amount_cents": 4_900, "created_at": now}
    Refund.objects.create(**about, state="refused", reason="r")
    Dispute.objects.create(
        **about,
        state="withdrawn",
        gateway="stripe",
        reference="dp_1",
        evidence_due_at=now + timedelta(days=6),
    )
    PaymentAlert.objects.create(**about, kind="early_warning", reference="issfr_1")
    needs = {row["name"]: row for row in operator.get("/admin/").context["needs"]}

    for name, model in [
        ("refunds that came back", Refund),
        ("disputes", Dispute),
        ("payment alerts", PaymentAlert),
    ]:
        assert needs[name]["detail"].startswith("1, $49.00; the oldest since")
        assert operator.get(needs[name]["url"]).context["cl"].result_count == 1
        assert operator.get(url(model, "change", model.objects.get().pk)).status_code == 200
    assert "evidence is due by" in needs["disputes"]["detail"]
    page = operator.get(url(Payment, "change", payment.pk)).content.decode()
    assert "withdrawn" in page and "early fraud warning" in page


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0 s"), (59, "59 s"), (60, "1 min"), (7_199, "1 h"), (90_000, "1 d")],
)
def test_ages_are_said_in_their_largest_unit(now, seconds, words):
    assert start.ago(now - timedelta(seconds=seconds), now) == words
    assert start.ago(None, now) == "—"
