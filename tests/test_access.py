"""Who gets in where: every address of the site, asked for by everybody who should not simply get
in.

A new address without a row here fails the test. The same walk looks at what comes back: no page
carries code of its own. Addresses of the API know no sessions: `test_api_access.py` walks them
with keys.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.conf import settings
from django.db import transaction
from django.http import HttpResponseBase
from django.test import Client
from django.urls import get_resolver, reverse
from django.utils import timezone

from accounts.models import BrowserSession, Customer, Passkey, User
from billing import keys
from billing.models import CardSetup, Invoice, Payment
from conftest import PASSWORD, fund, make_customer
from notifications import emit, endpoints
from notifications.models import OutboundWebhook
from usage.models import Folder, Generation, VoiceConsent, VoiceMatch
from vocalis import health

# What GET and POST (without any field) answer to: a visitor who is not logged in | alice, a
# customer who asks for what is bob's where the address names something | a clerk: staff without
# permissions | an operator: a superuser. Neither clerk nor operator has a customer. A word says
# where they are sent, a number is the status.
CUSTOMERS = "login login | 200 200 | 403 403 | 403 403"
CUSTOMERS_TO_READ = "login 405 | 200 405 | 403 405 | 403 405"
EVERYBODY = "200 200 | 200 200 | 200 200 | 200 200"
EVERYBODY_TO_READ = "200 405 | 200 405 | 200 405 | 200 405"
WHO_IS_NOT_LOGGED_IN = "200 200 | studio studio | admin admin | admin admin"
WHO_IS_LOGGED_IN = "login login | 200 200 | 200 200 | 200 200"
SIGNED = "405 401 | 405 401 | 405 401 | 405 401"
ONE_S_OWN_ALONE = "401 405 | 404 405 | 404 405 | 404 405"
NOT_THERE = "404 404 | 404 404 | 404 404 | 404 404"
DEVELOPERS = "login 405 | 404 405 | 404 405 | 404 405"  # this is no site under development
STAFF = "admin-login admin-login | admin-login admin-login | 200 200 | 200 200"
STAFF_TO_READ = "admin-login admin-login | admin-login admin-login | 200 405 | 200 405"
PAPERS = "login 405 | 404 405 | 404 405 | 200 405"  # staff who may look at them may read them
PERMITTED = "admin-login admin-login | admin-login admin-login | 403 403 | 200 200"
PERMITTED_TO_READ = "admin-login admin-login | admin-login admin-login | 403 403 | 200 403"
# Of the page of security, which asks for the password again.
BY_A_BUTTON = "security login | security again | security again | security again"
NOBODY = "admin-login admin-login | admin-login admin-login | 403 403 | 403 403"

ROWS = {
    "home": WHO_IS_NOT_LOGGED_IN,
    "pricing": EVERYBODY_TO_READ,
    "signup": WHO_IS_NOT_LOGGED_IN,
    "login": WHO_IS_NOT_LOGGED_IN,
    "logout": "home home | home home | home home | home home",
    "profile": WHO_IS_LOGGED_IN,
    "confirmation": "profile login | profile profile | profile profile | profile profile",
    "keep_address": "profile login | profile profile | profile profile | profile profile",
    "confirm_address": NOT_THERE,  # with a token that is none
    "change_password": "password password | password password | password password"
    " | password password",
    "login_second": "login login | login login | login login | login login",
    "passkey_use": "login login | login again | login again | login again",
    "passkey_options": "login 200 | login 200 | login 200 | login 200",
    "reauthenticate": WHO_IS_LOGGED_IN,
    "security": "login 405 | 200 405 | 200 405 | 200 405",
    "authenticator_app": "login login | again again | again again | again again",
    "authenticator_app_remove": BY_A_BUTTON,
    "recovery_codes": BY_A_BUTTON,
    "passkey_add": BY_A_BUTTON,
    "passkey_add_options": BY_A_BUTTON,
    "passkey_remove": BY_A_BUTTON,
    "devices": "login 405 | 200 405 | 200 405 | 200 405",
    "session_end": "devices login | devices devices | devices devices | devices devices",
    "sessions_end_others": "devices login | devices devices | devices devices | devices devices",
    "account_data": CUSTOMERS_TO_READ,
    "account_download": "data login | data again | data 403 | data 403",
    "account_delete": "login login | 200 422 | 403 403 | 403 403",
    "mails": "login login | 200 mails | 200 mails | 200 mails",
    "mails-unsubscribe": NOT_THERE,  # the same
    "outbox": DEVELOPERS,
    "outbox-mail": DEVELOPERS,
    "banner-close": "home login | home studio | home 403 | home 403",
    "password_change": WHO_IS_LOGGED_IN,
    "password_reset": EVERYBODY,
    "password_reset_confirm": EVERYBODY,  # with a token that is none: "this link no longer works"
    "billing": CUSTOMERS_TO_READ,
    "card_add": "billing login | billing billing | billing 403 | billing 403",
    "card_done": "login 405 | billing 405 | 403 405 | 403 405",  # of bob's card: nothing happens
    "card_remove": "billing login | billing billing | billing 403 | billing 403",
    "billing_portal": "billing login | billing billing | billing 403 | billing 403",
    "payment_confirmed": "login 405 | 404 405 | 403 405 | 403 405",
    "payment_confirm": "billing login | billing 404 | billing 403 | billing 403",
    "payment_pay": "billing login | billing 404 | billing 403 | billing 403",
    "payment_paid": "login 405 | billing 405 | 403 405 | 403 405",
    "payment_left": "login 405 | 404 405 | 403 405 | 403 405",
    "payment_call_off": "billing login | billing 404 | billing 403 | billing 403",
    "billing_profile": "login login | 200 422 | 403 403 | 403 403",
    "invoices": CUSTOMERS_TO_READ,
    "invoices_csv": CUSTOMERS_TO_READ,
    "invoice": PAPERS,
    "invoice_pdf": PAPERS,
    "receipt_pdf": PAPERS,
    "refund_pdf": PAPERS,
    "plans": "login login | 200 422 | 403 403 | 403 403",
    "plan_cancel": "plans login | plans plans | plans 403 | plans 403",
    "plan_preview": "login 405 | plans 405 | 403 405 | 403 405",
    "plan_pay": "billing login | billing billing | billing 403 | billing 403",
    "recharge": CUSTOMERS,
    "recharge_off": "404 404 | 404 404 | 404 404 | 404 404",  # with a link that is none
    "top_up": "login login | 200 422 | 403 403 | 403 403",
    "keys": "login login | 200 422 | 403 403 | 403 403",
    "key_budget": "keys login | keys 404 | keys 403 | keys 403",
    "key_revoke": "keys login | keys 404 | keys 403 | keys 403",
    "webhook_stripe": SIGNED,
    "webhook_alerts": SIGNED,
    "webhook_payment_gating": SIGNED,
    "webhook_invoices": SIGNED,
    "api_balance": "401 405 | 200 405 | 404 405 | 404 405",
    "events": ONE_S_OWN_ALONE,
    "studio": "login login | 200 422 | 403 403 | 403 403",
    "draft": "studio login | studio 409 | studio 403 | studio 403",  # POSTed without a version
    "favourite": "studio login | studio 409 | studio 403 | studio 403",
    "library": CUSTOMERS_TO_READ,
    "library-move": "library login | library library | library 403 | library 403",
    "folder-create": "library login | library 422 | library 403 | library 403",
    "folder-change": "library login | library 404 | library 403 | library 403",
    "archive": "login 405 | 404 405 | 403 405 | 403 405",
    "generation": "login login | 404 404 | 403 403 | 403 403",
    "generation-delete": "library login | library 404 | library 403 | library 403",
    "levels": "login 405 | 404 405 | 403 405 | 403 405",
    "again": "usage login | usage 404 | usage 403 | usage 403",
    "audio": "login 405 | 404 405 | 403 405 | 403 405",
    "listen": "login 405 | 404 405 | 403 405 | 403 405",
    "words": "login 405 | 404 405 | 403 405 | 403 405",
    "receipt": "login 405 | 404 405 | 403 405 | 403 405",
    "progress": "login 405 | 404 405 | 403 405 | 403 405",
    "parts": "login 405 | 404 405 | 403 405 | 403 405",
    "part": "login 405 | 404 405 | 403 405 | 403 405",
    "parts-archive": "login 405 | 404 405 | 403 405 | 403 405",
    "upload": "studio login | studio 422 | studio 403 | studio 403",  # POSTed without a file
    "stop": "studio login | studio 404 | studio 403 | studio 403",
    "own-voice": "login login | 200 422 | 403 403 | 403 403",
    "own-voice-preview": "login 405 | 422 405 | 403 405 | 403 405",
    "pronunciations": "login login | 200 422 | 403 403 | 403 403",
    "pronunciations-preview": "login 405 | 422 405 | 403 405 | 403 405",
    "voice-match": "own-voice login | own-voice 422 | own-voice 403 | own-voice 403",
    "voice-match-keep": "own-voice login | own-voice 404 | own-voice 403 | own-voice 403",
    "voice-match-forget": "own-voice login | own-voice 404 | own-voice 403 | own-voice 403",
    "voice-match-sample": "login 405 | 404 405 | 403 405 | 403 405",
    "voice-match-recording": "login 405 | 404 405 | 403 405 | 403 405",
    "consent-recording": "login 405 | 404 405 | 403 405 | 403 405",
    "consent-withdraw": "own-voice login | own-voice 404 | own-voice 403 | own-voice 403",
    "webhooks": "login login | 200 422 | 403 403 | 403 403",
    "webhook": "login login | 404 404 | 403 403 | 403 403",
    "webhook-resend": "webhooks login | webhooks 404 | webhooks 403 | webhooks 403",
    "usage": CUSTOMERS_TO_READ,
    "usage-csv": "login 405 | 200 405 | 403 405 | 403 405",
    "voices": EVERYBODY_TO_READ,
    "hear": "home 422 | home 422 | home 422 | home 422",
    "heard": "404 405 | 404 405 | 404 405 | 404 405",
    "documents": EVERYBODY_TO_READ,
    "document": EVERYBODY_TO_READ,
    "status": EVERYBODY_TO_READ,
    "terms": EVERYBODY_TO_READ,
    "privacy": EVERYBODY_TO_READ,
    "robots": EVERYBODY_TO_READ,
    "sitemap": EVERYBODY_TO_READ,
    "security_txt": EVERYBODY_TO_READ,
    "api_reference": EVERYBODY_TO_READ,
    "api_problems": EVERYBODY_TO_READ,
    "no_such_api": "404 404 | 404 404 | 404 404 | 404 404",
    "health": "200 405 | 200 405 | 200 405 | 200 405",
    "health_integrations": "503 405 | 503 405 | 503 405 | 503 405",  # nothing runs here
    "admin:index": STAFF,
    "admin:find": STAFF,
    "admin:login": "login login | 403 403 | admin admin | admin admin",
    "admin:logout": "admin admin | admin admin | admin home | admin home",
    "admin:password_change": (
        "admin-login admin-login | admin-login admin-login | password password | password password"
    ),
    "admin:password_change_done": STAFF_TO_READ,
    "admin:jsi18n": STAFF_TO_READ,
    "admin:autocomplete": "admin-login admin-login | admin-login admin-login | 403 405 | 403 405",
    "admin:view_on_site": "admin-login admin-login | admin-login admin-login | 404 404 | 404 404",
    "admin:app_list": "admin-login admin-login | admin-login admin-login | 404 404 | 200 200",
    "admin:auth_user_password_change": PERMITTED,
    "admin:billing_payment_refund": PERMITTED,
    "admin:billing_wallet_reconcile": (
        "admin-login admin-login | admin-login admin-login | 403 403 | 200 reconcile"
    ),
}
# The pages every model has in the admin. What people edit there is named; everything else is only
# read.
MODEL_PAGES = {
    "changelist": PERMITTED,
    "history": PERMITTED,
    "change": PERMITTED_TO_READ,
    "add": NOBODY,
    "delete": NOBODY,
}
EDITED = {("accounts_user", page) for page in MODEL_PAGES} | {
    ("auth_group", page) for page in MODEL_PAGES
}
EDITED |= {("jobs_pausedjob", "delete")}  # ends a pause

PLACES = {
    "/": "home",
    "/accounts/login/": "login",
    "/accounts/login/again/": "again",
    "/accounts/password/": "password",
    "/accounts/security/": "security",
    "/accounts/devices/": "devices",
    "/accounts/data/": "data",
    "/accounts/mail/": "mails",
    "/accounts/profile/": "profile",
    "/admin/login/": "admin-login",
    "/admin/": "admin",
    "/studio/": "studio",
    "/studio/library/": "library",
    "/studio/voice/": "own-voice",
    "/usage/": "usage",
    "/webhooks/": "webhooks",
    "/billing/": "billing",
    "/billing/plans/": "plans",
    "/keys/": "keys",
}
ROLES = ("visitor", "alice", "clerk", "operator")
INLINE = re.compile(
    r"<style|\sstyle=|\son[a-z]+=[\"']|<script(?![^>]*\ssrc=)(?![^>]*json)|javascript:",
    re.IGNORECASE,
)
TOKEN = re.compile(rb'name="csrfmiddlewaretoken" value="\w+"')  # random letters spell anything

pytestmark = pytest.mark.django_db


# Of the admin, and without a name: they only send on to one that has, or to its login.
NAMELESS = {"admin:<path:object_id>/", "admin:(?P<url>.*)$"}


def addresses(nodes=None, name_space="") -> Iterator[str]:
    """The name of every address of the site, or its pattern if it has none."""
    for node in get_resolver().url_patterns if nodes is None else nodes:
        if str(node.pattern).startswith(("v1/", "v2/")):
            continue
        if hasattr(node, "url_patterns"):
            yield from addresses(
                node.url_patterns,
                f"{name_space}{node.namespace}:" if node.namespace else name_space,
            )
        elif (name := f"{name_space}{node.name or node.pattern}") not in NAMELESS:
            yield name


def row(name: str) -> str | None:
    model, _, page = name.removeprefix("admin:").rpartition("_")
    if name in ROWS or page not in MODEL_PAGES:
        return ROWS.get(name)
    return PERMITTED if (model, page) in EDITED else MODEL_PAGES[page]


def url(name: str, bobs: dict[str, list]) -> str:
    model, _, page = name.removeprefix("admin:").rpartition("_")
    if name in bobs:
        return reverse(name, args=bobs[name])
    if name not in ROWS and page in ("change", "delete", "history"):
        found = apps.get_model(*model.split("_"))._default_manager.first()
        return reverse(name, args=[found.pk if found else 1])
    return reverse(name)


@pytest.fixture(scope="module")
def here(django_db_setup, django_db_blocker):
    """Everybody's sessions and bob's things, made once: what a test changes is undone after it."""
    with django_db_blocker.unblock(), transaction.atomic():
        bob = make_customer("bob@example.com", "Bob")
        yield SimpleNamespace(sessions=make_sessions(), bobs=make_bobs(bob))
        transaction.set_rollback(True)


@pytest.fixture
def bobs(here):
    """What the addresses name: things of bob's."""
    return here.bobs


def make_bobs(bob: Customer) -> dict[str, list]:
    now = timezone.now().replace(microsecond=0)
    wallet = fund(bob, 700, now)
    Customer.objects.filter(pk=bob.pk).update(metronome_id="metronome-bob")
    reservation = wallet.reservations.create(
        key="k", amount=5, captured=5, state="captured", expires_at=now, created_at=now
    )
    generation = Generation.objects.create(
        customer=bob,
        key="k",
        body_hash="h",
        text="bob's words",
        words="0 5 0 200 1 5 0 300",
        voice="standard-ava",
        voice_name="Ava",
        voice_type="standard",
        characters=5,
        credits=5,
        state="done",
        reservation=reservation,
        taken_at=now,
        created_at=now,
    )
    folder = Folder.objects.create(customer=bob, name="bob's folder", created_at=now)
    consent = VoiceConsent.objects.create(customer=bob, sentence="s", address="a", given_at=now)
    recorded = VoiceConsent.objects.create(
        customer=bob,
        sentence="s",
        address="a",
        name="Bob",
        recording="bob/consent.wav",
        key="k",
        given_at=now,
    )
    match = VoiceMatch.objects.create(
        customer=bob,
        key="k",
        consent=consent,
        state="ready",
        candidates=[{"style": "af_heart", "gain": 1.0, "likeness": 0.7}],
        sample="bob/sample.wav",
        created_at=now,
    )
    payment = Payment.objects.create(
        customer=bob,
        kind="recharge",
        state="requires_action",
        amount_cents=5,
        gateway="stripe",
        created_at=now,
        confirm_by_at=now,
    )
    paid, refunded = (
        Payment.objects.create(
            customer=bob,
            kind="pack",
            state=state,
            amount_cents=500,
            gateway="test",
            created_at=now,
            settled_at=now,
        )
        for state in ("charged", "refunded")
    )
    invoice = Invoice.objects.create(
        customer=bob, remote_id="i", status="finalized", total_cents=5, dated_at=now
    )
    setup = CardSetup.objects.create(customer=bob, gateway="stripe", created_at=now)
    key, _ = keys.create(customer=bob, name="bob's key", now=now)
    endpoint, _ = endpoints.create(bob, "https://bob.example", ["voice.ready"], now)
    emit(bob.pk, "voice.ready", "k", {}, now)
    webhook = OutboundWebhook.objects.get()
    passkey = Passkey.objects.create(
        user=bob.user, name="p", credential_id="c", public_key=b"k", sign_count=0, added_at=now
    )
    session = BrowserSession.objects.create(
        user=bob.user, session_key="s", address="a", began_at=now, seen_at=now
    )
    return {
        "webhook": [endpoint.pk],
        "confirm_address": ["a-token"],
        "heard": ["a-token"],
        "document": ["quick-start"],
        "mails-unsubscribe": ["a-token"],
        "outbox-mail": ["a-mail"],
        "banner-close": [1],
        "webhook-resend": [endpoint.pk, webhook.pk],
        "key_budget": [key.pk],
        "key_revoke": [key.pk],
        "payment_confirm": [payment.pk],
        "payment_call_off": [payment.pk],
        "payment_pay": [payment.pk],
        "payment_paid": [payment.pk],
        "payment_left": [payment.pk],
        "payment_confirmed": [payment.pk],
        "invoice": [invoice.pk],
        "invoice_pdf": [invoice.pk],
        "receipt_pdf": [paid.pk],
        "refund_pdf": [refunded.pk],
        "card_done": [setup.pk],
        "events": ["metronome-bob"],
        "no_such_api": ["nothing"],
        "again": [generation.id],
        "generation": [generation.id],
        "generation-delete": [generation.id],
        "levels": [generation.id],
        "folder-change": [folder.id],
        "archive": [folder.id],
        "audio": [generation.id],
        "words": [generation.id],
        "usage-csv": ["days"],
        "voice-match-keep": [match.id],
        "voice-match-forget": [match.id],
        "voice-match-sample": [match.id, 0],
        "voice-match-recording": [match.id],
        "consent-recording": [recorded.id],
        "consent-withdraw": [recorded.id],
        "progress": [generation.id],
        "parts": [generation.id],
        "part": [generation.id, 1],
        "parts-archive": [generation.id],
        "receipt": [generation.id],
        "stop": [generation.id],
        "password_reset_confirm": ["MQ", "a-token"],
        "recharge_off": ["a-token"],
        "passkey_remove": [passkey.pk],
        "session_end": [session.pk],
        "admin:app_list": ["billing"],
        "admin:view_on_site": [1, 1],
        "admin:auth_user_password_change": [bob.user.pk],
        "admin:billing_payment_refund": [payment.pk],
        "admin:billing_wallet_reconcile": [wallet.pk],
    }


def make_sessions() -> dict[str, str]:
    """The session of each role that is logged in."""
    names = {"first_name": "C", "last_name": "K"}
    users = {
        "alice": make_customer("alice@example.com", "Alice").user,
        "clerk": User.objects.create_user("clerk@example.com", PASSWORD, is_staff=True, **names),
        "operator": User.objects.create_superuser("staff@example.com", PASSWORD, **names),
    }
    sessions = {}
    for role, user in users.items():
        client = Client()
        client.force_login(user)
        sessions[role] = client.cookies[settings.SESSION_COOKIE_NAME].value
    return sessions


@pytest.fixture
def come_as(here):
    """A browser of its own for every question: some of them log out."""

    def client(role: str) -> Client:
        made = Client()
        if role in here.sessions:
            made.cookies[settings.SESSION_COOKIE_NAME] = here.sessions[role]
        return made

    return client


def outcome(answer: HttpResponseBase) -> str:
    if answer.status_code != 302:
        return str(answer.status_code)
    path = answer.headers["Location"].partition("?")[0]
    return "reconcile" if path.endswith("/reconcile/") else PLACES.get(path, path)


# Pages of no room: for everybody, and on the way in.
UNMARKED = {"status", "terms", "privacy", "password_reset", "password_reset_confirm", "hear"}


def is_marked(page: str) -> bool:
    """Whether the menu of a customer's page marks where it is; so does a page without a menu."""
    head = page.partition("</header>")[0]
    is_of_a_room = 'class="nav nav--app"' in head
    return not is_of_a_room or "aria-current=" in head


@pytest.mark.parametrize("name", sorted(set(addresses())))
def test_everybody_gets_what_the_table_says(name, bobs, come_as, sandbox, monkeypatch):
    monkeypatch.setattr(health, "_last", None)
    expected = row(name)
    assert expected, f"{name} is new: say in ROWS who may see it"

    found = {}
    for role in ROLES:
        answers = [getattr(come_as(role), method)(url(name, bobs)) for method in ("get", "post")]
        found[role] = " ".join(map(outcome, answers))
        for answer in answers:
            assert "unsafe" not in answer.headers["Content-Security-Policy"]
            if answer.headers.get("Content-Type", "").startswith("text/html"):
                assert not INLINE.findall(answer.content.decode())
                is_page = role == "alice" and answer.status_code not in (400, 403, 404, 405)
                assert not is_page or name in UNMARKED or is_marked(answer.content.decode())
            assert role in ("clerk", "operator") or b"bob" not in TOKEN.sub(b"", answer.getvalue())
    # The admin's way to say that it has no such row. Only its history says so before it looks at
    # the right to see it.
    nothing_there = "admin" if name.startswith("admin:") else ""
    unseen = ("200", "403") if name.endswith("_history") else ("200",)
    for role, cell in zip(ROLES, expected.split(" | "), strict=True):
        for said, wanted in zip(found[role].split(), cell.split(), strict=True):
            assert said == wanted or (said == nothing_there and wanted in unseen), (
                f"{role}: {found[role]}"
            )


def test_no_two_addresses_share_a_name():
    names = Counter(addresses())  # only one of them would be asked

    assert names.most_common(1)[0][1] == 1


def test_every_row_is_of_an_address():
    assert set(ROWS) - set(addresses()) == set()


@pytest.mark.any_database  # which methods an address takes is no row's matter
@pytest.mark.parametrize("method", ["get", "head"])
@pytest.mark.parametrize("name", sorted(set(addresses())))
def test_no_address_answers_a_browser_that_merely_looks_with_405(
    name, method, bobs, come_as, sandbox
):
    """A login leads back with GET to where it came from, and people reload what a form answered."""
    for role in ROLES:
        answer = getattr(come_as(role), method)(
            url(name, bobs), headers={"accept": "text/html,*/*;q=0.8"}
        )
        assert answer.status_code != 405 or answer.request["PATH_INFO"].startswith("/api/"), (
            name,
            role,
        )
        if answer.status_code == 405 and method == "get":
            assert answer.json()["error"] == "GET is not possible here. Use POST."


@pytest.mark.any_database
@pytest.mark.parametrize("name", sorted(set(addresses())))
def test_a_405_has_words_and_names_what_is_possible(name, bobs, come_as, sandbox):
    for headers in ({"accept": "text/html"}, {"accept": "application/json"}):
        for method in ("post", "put", "delete"):
            answer = getattr(come_as("operator"), method)(url(name, bobs), headers=headers)
            if answer.status_code == 405:
                assert answer["Allow"] and answer.content, (name, method)
