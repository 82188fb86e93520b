"""What customers take with them: all that is theirs, no secret, nothing of others."""

from __future__ import annotations

import csv
import io
import json
import zipfile

import pytest
from django.apps import apps
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db.models import ForeignKey

from accounts.models import Customer, User
from billing import keys
from billing.models import Wallet
from conftest import PASSWORD
from mails import write
from notifications import endpoints
from usage.models import Generation, VoiceConsent
from vocalis.operations import export

PATH = "/accounts/data/download/"
# Rows of a customer that are not in the export, and why.
LEFT_OUT = {
    "IngestAlias": "the address and the id, which are in it",
    "AuthenticatorApp": "a secret",
    "RecoveryCode": "hashes",
    "AccountDeletion": "there is none while somebody can log in",
    "Banner": "what a mail says, too",
    "Wallet": "the sum of the entries",
    "Reservation": "what is set aside for a moment; the entries say what was paid",
    "Drift": "our work",
    "Contract": "our work",
    "GatewayCustomer": "the gateway's name for the customer",
    "CardSetup": "visits to the gateway's page",
    "AutoRecharge": "settings, shown on their page",
    "InvoiceReading": "our work",
    "PaymentAlert": "warnings of the gateway to staff",
    "ComplimentaryGrant": "among the grants",
    "TrialClaim": "a hash that outlives the account",
    "UsageEvent": "reports of the texts to Metronome",
    "UsageDiscrepancy": "our work",
    "LogEntry": "what staff did in the admin",
}


def download(client) -> zipfile.ZipFile:
    answer = client.post(PATH)
    assert answer.status_code == 200 and answer["Content-Type"] == "application/zip"
    return zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content)))


@pytest.fixture
def here(client, alice, bob, wallet):
    client.force_login(alice.user)
    client.post("/accounts/login/again/", {"password": PASSWORD})
    return client


def generation(customer, now, key, **fields):
    return Generation.objects.create(
        customer=customer,
        key=key,
        body_hash="h",
        voice="standard-ava",
        voice_name="Ava",
        voice_type="standard",
        characters=5,
        credits=5,
        state="failed",
        taken_at=now,
        created_at=now,
        **fields,
    )


@pytest.fixture
def life(here, alice, bob, now):
    """Alice's rows with secrets in them, and a text of bob's."""
    stored = default_storage.save("a.flac", ContentFile(b"flac of alice"))
    with_file = generation(alice, now, "k1", text="=Grüße", audio=stored, content_type="audio/flac")
    lost = generation(alice, now, "k2", text="lost", audio="no.flac", content_type="audio/flac")
    generation(bob, now, "k3", text="bob's words")
    VoiceConsent.objects.create(customer=alice, sentence="I agree", address="a", given_at=now)
    _, secret = keys.create(customer=alice, name="My key", now=now)
    endpoint, _ = endpoints.create(alice, "https://a.example", ["voice.ready"], now)
    write(alice.user_id, "account.welcome", "w", {}, now)
    return with_file, lost, [secret, endpoint.secret, alice.user.password]


def test_texts_audio_keys_and_money_are_in_it_and_no_secret_is(here, life, alice):
    with_file, lost, secrets = life
    archive = download(here)
    files = {name: archive.read(name) for name in archive.namelist()}
    whole = b"".join(files.values()).decode()

    texts = {row["id"]: row for row in json.loads(files["texts.json"])}
    mine = texts[str(with_file.pk)]
    assert (mine["text"], mine["file"]) == ("=Grüße", f"audio/{with_file.pk}.flac")
    assert files[mine["file"]] == b"flac of alice"
    assert texts[str(lost.pk)]["address"] == f"http://testserver/studio/{lost.pk}/audio/"
    assert json.loads(files["account.json"])[0]["email"] == "alice@example.com"
    assert json.loads(files["keys.json"])[0]["name"] == "My key"
    assert json.loads(files["webhooks.json"])[0]["url"] == "https://a.example"
    assert json.loads(files["consents.json"])[0]["sentence"] == "I agree"
    assert json.loads(files["mails.json"])[0]["kind"] == "account.welcome"
    rows = list(csv.DictReader(io.StringIO(files["entries.csv"].decode("utf-8-sig"))))
    assert [row["balance_after"] for row in rows] == ["500"]
    assert "bob" not in whole
    assert [secret for secret in secrets if secret in whole] == []


def test_text_in_a_spreadsheet_is_no_formula(here, alice, wallet):
    archive = download(here)
    assert archive.testzip() is None
    assert export._cell("=1+1") == "'=1+1" and export._cell(-5) == -5


def test_audio_that_is_too_much_is_named_by_its_address(here, life, monkeypatch):
    monkeypatch.setattr(export, "AUDIO_BYTES_MAX", 5)
    archive = download(here)

    assert not [name for name in archive.namelist() if name.startswith("audio/")]
    assert all("address" in row for row in json.loads(archive.read("texts.json")))


def test_it_asks_for_the_password_again_and_is_made_three_times_an_hour(here, alice, client):
    assert [here.post(PATH).status_code for _ in range(4)] == [200, 200, 200, 429]
    session = client.session
    del session["confirmed_at"]
    session.save()
    assert here.post(PATH).url.startswith("/accounts/login/again/")
    assert here.get(PATH).url == "/accounts/data/"


def test_every_row_of_a_customer_is_exported_or_left_out_for_a_reason(alice):
    """A new model of a customer's rows: put it among TABLES, or say above why not."""
    exported = {table.rows(alice).model.__name__ for table in export.TABLES} | {"Generation"}
    owned = {
        model.__name__
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if isinstance(field, ForeignKey) and field.related_model in (User, Customer, Wallet)
    }

    assert owned - exported - set(LEFT_OUT) == set()
    assert set(LEFT_OUT) - owned == set()
