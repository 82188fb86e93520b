"""A customer who asks for it is forgotten, here and at Metronome;
the ledger stays and names nobody."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO

import pytest
import stripe
from django.contrib.admin.models import CHANGE, LogEntry
from django.core import mail, serializers
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.urls import reverse
from django.utils import timezone

from accounts import api_keys, profile
from accounts.models import ApiKey, Customer, IngestAlias, PasswordReset, User
from billing import keys, metronome, recharge
from billing.ledger import budgets
from billing.models import (
    AutoRecharge,
    BillingProfile,
    CardSetup,
    GatewayCustomer,
    GatewayRemoval,
    InboundWebhook,
    LedgerEntry,
    Paper,
    Payment,
    PaymentAttempt,
    PaymentMethod,
    Recharge,
    Wallet,
)
from billing.papers import issue, profiles
from billing.subscriptions import choose as subscriptions
from billing.subscriptions import complimentary
from billing.sync import customers
from billing.tests.money_stage import Killed, balance, establish, remote_balance, select
from billing.tests.operate import run
from billing.tests.stripe_stage import CONFIRMED, save_card
from conftest import PASSWORD
from jobs.worker import Worker, all_jobs
from mails.models import OutboundMail
from notifications import emit, endpoints
from notifications.models import Banner, OutboundWebhook, WebhookEndpoint
from usage import voiceprint
from usage.engines import remote
from usage.engines.remote.configuration import read_servers
from usage.engines.remote.tests.contract_server import ContractServer
from usage.models import (
    Draft,
    Favourite,
    Folder,
    Generation,
    Pronunciation,
    VoiceConsent,
    VoiceCopy,
    VoiceMatch,
)
from usage.speech import (
    consent,
    consents,
    drafts,
    favourites,
    folders,
    manner,
    match,
    problems,
    pronunciations,
    speak,
)
from usage.speech.tests.test_match import described
from usage.text import MAX_CHARACTERS
from vocalis.operations import deletion

pytestmark = pytest.mark.django_db
PROFILE = {"name": "Alice Tester Ltd", "line1": "1 secret Road", "city": "Cork", "country": "IE"}


@pytest.fixture
def life(stage, alice, staff, monkeypatch):
    """Alice with a plan, recharge, speech, a card and complimentary credits."""
    monkeypatch.setattr("operations.command.timezone.now", stage.now)
    establish(stage, alice)
    select(alice, "creator", stage.now())
    recharge.save_settings(
        customer=alice,
        enabled=True,
        threshold_credits=25_000,
        recharge_to_credits=200_000,
        now=stage.now(),
    )
    stage.drain()
    pronunciations.save(alice, "secret", "see crate")
    profiles.save(customer=alice, fields=PROFILE, now=stage.now())
    speak.speak(
        customer=alice, text="My secret words", voice_id="standard-ava", key="k", now=stage.now()
    )
    complimentary.give(customer=alice, credits=10, reason="r", by=staff, key="g", now=stage.now())
    drafts.save(customer=alice, typed=drafts.Typed("My secret draft"), version=0, now=stage.now())
    favourites.put(customer=alice, voice_id="standard-ava", is_favourite=True)
    folder = folders.create(customer=alice, name="My secret folder", now=stage.now())
    alice.generations.update(title="My secret title", folder=folder)
    PasswordReset.objects.create(email=alice.user.email, asked_at=stage.now())
    stage.drain()
    return alice


def delete(*args):
    return run("delete_customer", "alice@example.com", "--no-input", *args)


def everything_we_know():
    rows = [
        row
        for model in (
            User,
            Customer,
            ApiKey,
            Generation,
            Pronunciation,
            Draft,
            Favourite,
            Folder,
            LogEntry,
            PaymentMethod,
            PasswordReset,
            OutboundMail,
            Banner,
            BillingProfile,
            Paper,
        )
        for row in model.objects.all()
    ]
    rows += Customer.objects.get().aliases.all()
    return serializers.serialize(
        "json", [row for row in rows if not getattr(row, "is_staff", False)]
    )


def test_customer_and_cards_are_deleted_at_the_gateway_that_keeps_them(stage, life):
    """By the worker, which may be killed before it: the row stays until it is done."""
    reference = GatewayCustomer.objects.get(customer=life).reference
    CardSetup.objects.create(customer=life, gateway="stripe", created_at=stage.now())
    assert PaymentAttempt.objects.exclude(fingerprint="").exists()

    assert delete()[0] == 0

    removals = GatewayRemoval.objects.order_by("kind").values_list("kind", "reference")
    assert list(removals) == [("customer", reference), ("person", str(life.pk))]
    assert not CardSetup.objects.exists() and not PaymentMethod.objects.exists()
    assert not GatewayCustomer.objects.exists()
    assert not PaymentAttempt.objects.exclude(fingerprint="", label="").exists()

    assert not stage.stripe.world.store.customers[reference].body.get("deleted")
    stage.drain()
    assert stage.stripe.world.store.customers[reference].body["deleted"]
    stage.advance(minutes=11)
    stage.drain()
    assert not GatewayRemoval.objects.exists()


def test_one_made_at_stripe_whose_answer_got_lost_is_deleted_there_too(stage, life):
    """And whose address has changed since, so that another was made."""
    lost = stage.stripe.http_client()
    sdk = stripe.StripeClient("sk_test_sandbox", http_client=lost, max_network_retries=0)
    fields = {"email": "old@example.com", "metadata": {"vocalis_customer": str(life.pk)}}
    stray = sdk.v1.customers.create(fields)
    stage.advance(minutes=2)

    assert delete()[0] == 0
    stage.advance(minutes=11)
    stage.drain()

    assert stage.stripe.world.store.customers[stray.id].body["deleted"]
    assert not GatewayRemoval.objects.exists()


def test_the_person_goes_and_the_ledger_stays(stage, life):
    entries = list(LedgerEntry.objects.values())
    audio = Generation.objects.get().audio
    assert default_storage.exists(audio)
    assert Generation.objects.get().words

    code, text = delete()
    stage.drain()

    assert code == 0
    assert "1 anonymised, 1 closed, 1 texts and audio deleted" in text
    known = everything_we_know()
    assert not [word for word in ("alice", "Alice", "Tester", "secret", audio) if word in known]
    assert json.loads(known)
    assert not default_storage.exists(audio)
    assert Generation.objects.get().words is None
    assert list(LedgerEntry.objects.values()) == entries
    assert balance(life) == remote_balance(life)


def test_papers_stay_as_numbers(stage, life):
    payment = Payment.objects.get(kind="plan")
    paper = issue.receipt(payment, now=stage.now())
    assert paper.content["paid_with"] and BillingProfile.objects.exists()

    assert delete()[0] == 0

    again = issue.receipt(payment, now=stage.now())
    assert (again.pk, again.number) == (paper.pk, paper.number)
    assert again.content["total_cents"] == payment.amount_cents
    assert again.content["buyer"]["name"] == again.content["paid_with"] == ""
    assert not BillingProfile.objects.exists()


def test_what_is_known_of_a_voice_goes_and_a_comparison_is_waited_for(stage, life):
    consent = VoiceConsent.objects.create(
        customer=life, sentence="s", address="192.0.2.7", given_at=stage.now()
    )
    name = default_storage.save(f"{life.id}/sample-x.wav", ContentFile(b"a voice"))
    found = VoiceMatch.objects.create(
        customer=life,
        key="k",
        consent=consent,
        embedding=bytes(512),
        sample=name,
        created_at=stage.now(),
    )

    code, text = delete("--no-input")
    assert code == 1 and "A sample of a voice is being compared" in text

    VoiceMatch.objects.filter(id=found.id).update(state="kept")
    code, _ = delete("--no-input")
    assert code == 0
    assert not VoiceMatch.objects.exists() and not VoiceConsent.objects.exists()
    assert not default_storage.exists(name)


def test_a_recorded_consent_goes_with_its_recording(stage, life, monkeypatch):
    monkeypatch.setattr(voiceprint, "describe", lambda sample, *_: described())
    given = consents.give(
        customer=life,
        name="Alice",
        language="en",
        recording=b"RIFF\x24\0\0\0WAVE of a sentence",
        address="192.0.2.7",
        key="k",
        now=stage.now(),
    )
    assert default_storage.exists(given.recording)

    code, _ = delete()

    assert code == 0
    assert not VoiceConsent.objects.exists() and not default_storage.exists(given.recording)


def test_a_copy_of_a_voice_is_deleted_at_its_server_later_if_that_is_away(stage, life, monkeypatch):
    server = ContractServer()
    written = f"{server.address}?model=m&label=Studio&clones=yes"
    monkeypatch.setattr(remote, "_servers", read_servers(written))
    monkeypatch.setattr(voiceprint, "describe", lambda sample: described())
    match.begin(
        customer=life,
        sample=b"RIFF\x24\0\0\0WAVE of a voice",
        consent_sha256=consent.sha256(consent.sentence()),
        keeps_sample=False,
        address="192.0.2.7",
        key="k",
        now=stage.now(),
    )
    server.die()

    code, _ = delete()
    stage.drain()

    assert code == 0
    assert not VoiceMatch.objects.exists() and not VoiceConsent.objects.exists()
    copy = VoiceCopy.objects.get()
    assert (copy.match, copy.deleted_at, copy.attempts) == (None, None, 1)
    assert str(life.pk) not in serializers.serialize("json", [copy])
    again = ContractServer(port=server.server_port)
    again.kept = server.kept
    try:
        stage.advance(minutes=3)
        stage.drain()
        assert VoiceCopy.objects.get().deleted_at
        assert again.kept == {"voice_consents": {}, "voices": {}}
    finally:
        again.die()


def test_a_request_that_stood_still_while_it_spoke_leaves_no_audio(stage, life, monkeypatch):
    """It was taken for gone, and its customer was deleted (simulation, seed 5969)."""
    real = speak.engine

    class Standing:
        def __init__(self, name):
            self.engine = real(name)

        def __getattr__(self, name):
            return getattr(self.engine, name)

        def speak(self, pieces, **how):
            stage.advance(seconds=speak.taken_seconds(MAX_CHARACTERS, manner.SLOWEST) + 1)
            assert delete()[0] == 0
            return self.engine.speak(pieces, **how)

    monkeypatch.setattr(speak, "engine", Standing)
    credits = balance(life)

    with pytest.raises(problems.StillRunning):
        speak.speak(
            customer=life, text="Never", voice_id="standard-ava", key="late", now=stage.now()
        )
    stage.advance(minutes=11)
    stage.drain()

    assert not Generation.objects.exclude(text="", audio="", body_hash="").exists()
    assert default_storage.listdir(str(life.pk))[1] == []
    assert balance(life) == credits
    assert Wallet.objects.get(customer=life).reserved == 0


def test_api_keys_are_revoked_and_their_names_forgotten(stage, life, staff):
    key, secret = keys.create(customer=life, name="secret plan", limit=9, now=stage.now())
    LogEntry.objects.log_actions(staff.pk, [key], CHANGE, "Looked at.")
    assert delete("--dry-run").code == 1
    assert api_keys.find(secret, stage.now()) == key

    assert delete().code == 0

    with pytest.raises(api_keys.InvalidKey, match="revoked"):
        api_keys.find(secret, stage.now())
    assert "secret plan" not in everything_we_know()
    assert budgets.budget(key.pk, stage.now()).limit == 9  # it counts, and names nobody


def test_a_key_that_is_made_while_the_account_is_closed_is_forgotten_too(stage, life, monkeypatch):
    close = deletion._close

    def then_made(customer, now):
        close(customer, now)
        keys.create(customer=customer, name="secret plan", now=now)

    monkeypatch.setattr(deletion, "_close", then_made)

    assert delete().code == 0

    assert ApiKey.objects.get().revoked_at
    assert "secret plan" not in everything_we_know()


def test_metronome_forgets_the_person_too(stage, life):
    delete()
    stage.drain()

    life.refresh_from_db()
    there = metronome.client.client().v1.customers.retrieve(customer_id=life.metronome_id).data
    assert there.ingest_aliases == [life.stable_alias]
    assert there.name == "Deleted customer"
    assert metronome.find_customer(alias="vocalis_alice@example.com") is None


def test_nothing_goes_on_in_their_name(stage, life, client):
    client.force_login(life.user)
    delete()
    stage.drain()

    assert client.get("/usage/").status_code == 302
    assert not client.login(username="alice@example.com", password=PASSWORD)
    assert subscriptions.current_plan(life) is None
    assert not AutoRecharge.objects.get().enabled
    contract = life.contract
    assert (
        metronome.recharge_configuration(
            customer_id=metronome.find_customer(alias=life.stable_alias),
            contract_id=contract.metronome_id,
        ).enabled
        is False
    )
    assert Wallet.objects.get().frozen_at


def test_no_mail_goes_to_who_is_gone(stage, webhooks, life):
    delete()
    stage.drain()
    mail.outbox.clear()

    for _ in range(3):  # their credits end: announced, and then gone
        stage.advance(days=30)
        stage.drain()

    assert InboundWebhook.objects.filter(
        type="credit.segment.end", processed_at__isnull=False
    ).exists()
    assert not mail.outbox


def test_the_address_is_free_for_a_new_account(stage, life):
    from accounts.signup import register

    delete()

    assert (
        register(
            email="alice@example.com",
            password=PASSWORD,
            first_name="New",
            last_name="Alice",
            now=timezone.now(),
        ).pk
        != life.pk
    )


def test_a_dry_run_deletes_nothing(stage, life):
    before = everything_we_know()

    code, text = delete("--dry-run")

    assert code == 1
    assert "1 texts would be deleted" in text
    assert everything_we_know() == before


def test_a_deletion_that_was_cut_off_is_finished_by_the_next(stage, life, monkeypatch):
    delete_speech = deletion._delete_speech

    def killed(generation, now):
        raise KeyboardInterrupt

    monkeypatch.setattr(deletion, "_delete_speech", killed)
    code, text = delete()
    assert code == 130
    assert "Interrupted after alice@example.com" in text
    monkeypatch.setattr(deletion, "_delete_speech", delete_speech)

    assert delete().code == 0
    assert "secret" not in everything_we_know()


def test_a_payment_that_waits_for_the_customer_is_called_off(stage, life):
    payment = Payment.objects.create(
        customer=life,
        kind="recharge",
        amount_cents=4_500,
        gateway="stripe",
        created_at=stage.now(),
        due_at=stage.now(),
    )
    save_card(life, CONFIRMED, stage.now())
    Recharge.objects.create(
        customer=life,
        state="paying",
        payment=payment,
        workflow_id="w",
        invoice_total="4500",
        created_at=stage.now(),
    )
    stage.drain()
    assert delete("--dry-run").code == 1
    payment.refresh_from_db()
    assert (payment.state, payment.failure) == ("requires_action", "")

    assert "Finish or cancel it, or try again in a minute" in delete().text
    stage.drain()
    payment.refresh_from_db()
    assert payment.state == "failed"


def test_it_waits_for_money_and_speech_on_their_way(stage, life):
    payment = Payment.objects.create(
        customer=life,
        kind="recharge",
        state="charging",
        amount_cents=1,
        gateway="stripe",
        created_at=stage.now(),
    )
    assert "A payment or a plan is in progress" in delete().text
    Payment.objects.filter(pk=payment.pk).update(state="failed")
    recharge_row = Recharge.objects.create(
        customer=life, workflow_id="w", invoice_total="1", created_at=stage.now()
    )
    assert "A payment or a plan is in progress" in delete().text
    Recharge.objects.filter(pk=recharge_row.pk).update(state="failed")

    Generation.objects.update(state="pending", taken_at=stage.now() - timedelta(seconds=5))
    assert "Something is being spoken right now" in delete().text

    assert User.objects.filter(email="alice@example.com", is_active=True).exists()


def test_staff_and_strangers_are_refused(life, staff):
    User.objects.filter(pk=life.user_id).update(is_staff=True)

    assert "is a member of staff" in delete().text
    assert (
        "There is no customer staff@example.com"
        in run("delete_customer", staff.email, "--no-input").text
    )


def test_a_person_is_asked_first(stage, life, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda question: "no")

    assert run("delete_customer", "alice@example.com") == (1, "Nothing was deleted.")
    assert User.objects.filter(email="alice@example.com").exists()


def test_nothing_is_deleted_where_nobody_can_be_asked(stage, life, monkeypatch):
    monkeypatch.setattr("sys.stdin", StringIO())

    assert (
        "Nobody confirmed the deletion, so nothing was deleted."
        in run("delete_customer", "alice@example.com").text
    )
    assert User.objects.filter(email="alice@example.com").exists()


# --- At Metronome, whatever is under way there ----------------------------------------------------


@pytest.fixture
def clock(stage, monkeypatch):
    """Commands read the stage's clock."""
    monkeypatch.setattr("operations.command.timezone.now", stage.now)


def at_metronome():
    """Name and aliases of every customer there."""
    return [
        (remote.name, *remote.ingest_aliases)
        for remote in metronome.client.client().v1.customers.list()
    ]


def drain(stage):
    Worker(all_jobs(), clock=stage.now).drain()


def delete_before(stage, monkeypatch, module, call, fate):
    """Whoever comes to `call` first, its words ready,
    stands still until the customer is deleted and Metronome told."""
    real = getattr(module, call)

    def late(**arguments):
        monkeypatch.setattr(module, call, real)
        stage.advance(seconds=121)  # its lease ends
        assert delete().code == 0
        drain(stage)
        real(**arguments)
        if fate != "goes on":
            raise Killed if fate == "is killed" else metronome.MetronomeUnavailable("no answer")

    monkeypatch.setattr(module, call, late)


@pytest.mark.parametrize("fate", ["goes on", "is killed", "hears nothing"])
@pytest.mark.parametrize("call", ["create_customer", "rename_customer", "set_aliases"])
def test_a_worker_that_writes_the_old_name_late_brings_nobody_back(
    stage, clock, alice, monkeypatch, call, fate
):
    if call == "rename_customer":
        drain(stage)
        Customer.objects.run_now(stage.now())
    delete_before(
        stage, monkeypatch, customers if call == "rename_customer" else metronome, call, fate
    )
    try:
        drain(stage)
    except Killed:
        stage.advance(seconds=customers.LATE_SECONDS)
    drain(stage)

    assert at_metronome() == [("Deleted customer", alice.stable_alias)]
    alice.refresh_from_db()
    assert alice.metronome_id == metronome.find_customer(alias=alice.stable_alias)
    assert metronome.find_customer(alias="vocalis_alice@example.com") is None


@pytest.mark.parametrize("fate", ["goes on", "is killed"])
def test_a_backfill_that_writes_the_old_address_late_brings_nobody_back(
    stage, clock, alice, monkeypatch, fate
):
    drain(stage)
    delete_before(stage, monkeypatch, metronome, "set_aliases", fate)
    try:
        run("backfill_customers", "--all")
    except Killed:
        stage.advance(seconds=customers.LATE_SECONDS)
    drain(stage)

    assert at_metronome() == [("Deleted customer", alice.stable_alias)]


@pytest.mark.parametrize("kind", ["timeout_before", "timeout_after", "error_after"])
def test_who_was_deleted_before_metronome_answered_is_known_there_without_name_and_address(
    stage, clock, alice, kind
):
    stage.sandbox.faults.add("/v1/customers", kind, every=2, times=3)
    drain(stage)
    delete()
    for _ in range(6):
        drain(stage)
        stage.advance(minutes=3)

    alice.refresh_from_db()
    assert alice.metronome_id == metronome.find_customer(alias=alice.stable_alias)
    assert at_metronome() == [("Deleted customer", alice.stable_alias)]


def test_who_was_deleted_while_being_made_by_another_worker_loses_the_name_it_gave(
    stage, clock, alice, monkeypatch
):
    real = metronome.create_customer

    def overtaken(**arguments):
        real(name="Alice Tester", alias=alice.stable_alias)
        return real(**arguments)

    monkeypatch.setattr(metronome, "create_customer", overtaken)
    delete()
    drain(stage)

    assert at_metronome() == [("Deleted customer", alice.stable_alias)]


def test_a_deletion_is_told_only_once_metronome_confirms_it_and_is_looked_at_an_hour_later(
    stage, clock, alice
):
    drain(stage)
    delete()
    stable = IngestAlias.objects.get()
    assert stable.pushed_at is None

    drain(stage)
    told_at = stage.now()
    stable.refresh_from_db()
    assert stable.pushed_at == told_at
    for wait in (0, 600):  # whoever asks for a look before then does not end the watch
        stage.advance(seconds=wait)
        Customer.objects.run_now(stage.now())
        drain(stage)
        assert Customer.objects.get().due_at == told_at + timedelta(seconds=customers.LATE_SECONDS)
    stage.advance(seconds=customers.LATE_SECONDS)
    drain(stage)

    assert Customer.objects.get().due_at is None
    assert at_metronome() == [("Deleted customer", alice.stable_alias)]


def test_a_profile_saved_while_its_owner_is_deleted_brings_nobody_back(stage, life):
    delete()
    profile.change(
        user=life.user,
        first_name="Alice",
        last_name="T",
        email="alice@new.example",
        now=stage.now(),
    )
    stage.drain()

    assert "lice" not in everything_we_know()
    assert at_metronome() == [("Deleted customer", life.stable_alias)]


def test_a_form_of_the_admin_that_was_opened_before_brings_nobody_back(stage, life, staff, client):
    client.force_login(staff)
    url = reverse("admin:accounts_user_change", args=[life.user_id])
    form = client.get(url).context["adminform"].form
    delete()

    answer = client.post(
        url, {name: value for name, value in form.initial.items() if value is not None}
    )

    assert answer.status_code == 302
    assert "lice" not in everything_we_know()


def test_an_address_that_changed_just_before_the_deletion_is_forgotten_too(stage, life):
    found = Customer.objects.select_related("user").get()
    profile.change(
        user=life.user,
        first_name="Alice",
        last_name="T",
        email="alice@new.example",
        now=stage.now(),
    )
    PasswordReset.objects.create(email="alice@new.example", asked_at=stage.now())
    list(deletion.delete(found, dry_run=False, now=stage.now()))

    assert "alice@new.example" not in everything_we_know()


def test_webhooks_end_with_the_account(stage, life):
    now = stage.now()
    endpoint, _ = endpoints.create(life, "https://alice.example/hook", ["voice.ready"], now)
    emit(life.pk, "voice.ready", "k", {}, now)

    list(deletion.delete(life, dry_run=True, now=now))
    assert OutboundWebhook.objects.exists()
    list(deletion.delete(life, dry_run=False, now=now))

    endpoint.refresh_from_db()
    assert (endpoint.url, endpoint.secret, endpoint.is_enabled) == ("", "", False)
    assert not OutboundWebhook.objects.exists()
    emit(life.pk, "voice.ready", "later", {}, now)
    assert not OutboundWebhook.objects.exists()
    life.user.refresh_from_db()
    with pytest.raises(endpoints.EndpointRefused, match="closed"):
        endpoints.create(life, "https://alice.example/again", ["voice.ready"], now)
    assert WebhookEndpoint.objects.kept().count() == 0
