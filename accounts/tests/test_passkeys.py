"""Answers to WebAuthn's challenges that are taken, and those that are not.

The key is a software one that says what a test wants; `tests/test_browser_account.py` goes the
whole way with a browser's.
"""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import time_machine
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from django.test import Client
from fido2.cose import ES256
from fido2.utils import sha256, websafe_encode
from fido2.webauthn import (
    AttestationObject,
    AttestedCredentialData,
    AuthenticatorData,
    CollectedClientData,
)

from accounts import passkeys
from accounts.models import Passkey, RecoveryCode
from conftest import PASSWORD
from mails.models import OutboundMail

OPTIONS, USE = "/accounts/login/passkey/options/", "/accounts/login/passkey/"
ADD_OPTIONS, ADD = "/accounts/security/passkeys/options/", "/accounts/security/passkeys/"
FLAGS = AuthenticatorData.FLAG.UP | AuthenticatorData.FLAG.UV


class Key:
    """One passkey of one device."""

    def __init__(self, name: bytes = b"k" * 32) -> None:
        self.private, self.id, self.count = ec.generate_private_key(ec.SECP256R1()), name, 0

    def make(self, options, *, origin="http://localhost:8000", flags=FLAGS) -> str:
        public = ES256.from_cryptography_key(self.private.public_key())
        data = AttestedCredentialData.create(b"\0" * 16, self.id, public)
        flags |= AuthenticatorData.FLAG.AT
        auth = AuthenticatorData.create(sha256(b"localhost"), flags, self.count, bytes(data))
        client = _client("webauthn.create", options, origin)
        attestation = AttestationObject.create("none", auth, {})
        return self._answer(
            {"clientDataJSON": client, "attestationObject": bytes(attestation), "transports": []}
        )

    def use(self, options, *, origin="http://localhost:8000", flags=FLAGS, rp=b"localhost") -> str:
        auth = AuthenticatorData.create(sha256(rp), flags, self.count)
        client = _client("webauthn.get", options, origin)
        signature = self.private.sign(auth + sha256(client), ec.ECDSA(hashes.SHA256()))
        return self._answer(
            {"clientDataJSON": client, "authenticatorData": bytes(auth), "signature": signature}
        )

    def _answer(self, response) -> str:
        encoded = {
            name: websafe_encode(value) if isinstance(value, bytes) else value
            for name, value in response.items()
        }
        id = websafe_encode(self.id)
        return json.dumps(
            {
                "id": id,
                "rawId": id,
                "type": "public-key",
                "response": encoded,
                "clientExtensionResults": {},
            }
        )


def _client(kind, options, origin) -> bytes:
    challenge = options["publicKey"]["challenge"]
    return bytes(CollectedClientData.create(kind, challenge, origin))


def options(client, path=OPTIONS) -> dict:
    return client.post(path, headers={"accept": "application/json"}).json()


def add(client, key, **more):
    answer = key.make(options(client, ADD_OPTIONS), **more)
    return client.post(ADD, {"name": "Phone", "credential": answer}, follow=True)


def use(key, client=None, **more) -> Client:
    client = client or Client()
    client.post(USE, {"credential": key.use(options(client), **more)})
    return client


def is_in(client) -> bool:
    return "_auth_user_id" in client.session


def logged_in(customer) -> Client:
    client = Client()
    client.post("/accounts/login/", {"email": customer.user.email, "password": PASSWORD})
    return client


@pytest.fixture
def key(alice):
    key = Key()
    add(logged_in(alice), key)
    return key


def test_a_passkey_is_added_once_with_codes_and_a_mail(alice):
    client, key = logged_in(alice), Key()

    assert "Phone is added." in add(client, key).text
    assert "This passkey is there already." in add(client, key).text

    row = Passkey.objects.get()
    assert (row.user, row.name, row.last_used_at) == (alice.user, "Phone", None)
    assert RecoveryCode.objects.count() == 10
    assert OutboundMail.objects.get(kind="account.factor_added").data == {"what": "passkey"}


def test_it_logs_in_alone(key, alice):
    client = use(key)

    assert client.session["_auth_user_id"] == str(alice.user.pk)
    assert Passkey.objects.get().last_used_at is not None


def test_it_is_the_second_step_after_the_password_and_another_ones_is_not(key, alice, bob):
    other = Key(b"b" * 32)
    add(logged_in(bob), other)
    client = logged_in(alice)
    assert not is_in(client)
    asked = options(client)["publicKey"]["allowCredentials"]
    assert [one["id"] for one in asked] == [websafe_encode(key.id)]

    assert not is_in(use(other, client))
    assert client.get("/accounts/login/second/").status_code == 200
    assert use(key, client).session["_auth_user_id"] == str(alice.user.pk)


def test_the_login_page_begins_anew(key, alice, bob):
    other = Key(b"b" * 32)
    add(logged_in(bob), other)
    client = logged_in(alice)
    client.get("/accounts/login/")

    assert client.get("/accounts/login/second/").url == "/accounts/login/"
    assert use(other, client).session["_auth_user_id"] == str(bob.user.pk)


@pytest.mark.parametrize(
    "more",
    [
        {"origin": "https://localhost:8000"},
        {"origin": "http://localhost:8001"},
        {"origin": "http://evil.example"},
        {"rp": b"evil.example"},
        {"flags": AuthenticatorData.FLAG.UP},  # its user was not verified
    ],
)
def test_of_another_site_or_without_its_user_it_lets_nobody_in(key, more):
    assert not is_in(use(key, **more))


def test_a_passkey_of_another_origin_is_not_added(alice):
    page = add(logged_in(alice), Key(), origin="http://evil.example")

    assert "could not be verified" in page.text and not Passkey.objects.exists()


def test_an_answer_is_taken_once_in_its_own_session_and_in_time(key, now):
    client = Client()
    answer = key.use(options(client))
    stranger = Client()
    options(stranger)
    stranger.post(USE, {"credential": answer})
    assert not is_in(stranger)

    with time_machine.travel(now + timedelta(seconds=passkeys.ANSWER_SECONDS + 5)):
        client.post(USE, {"credential": answer})
        assert not is_in(client)
    client.post(USE, {"credential": answer})
    assert not is_in(client), "the challenge is gone"


def test_a_key_that_signs_for_another_is_refused(key):
    forged = Key(key.id)

    assert not is_in(use(forged))


def test_a_counter_that_does_not_rise_is_that_of_a_copy(key):
    for count, expected in ((5, True), (5, False), (4, False), (6, True)):
        key.count = count
        assert is_in(use(key)) is expected
    assert Passkey.objects.get().sign_count == 6


def test_of_a_closed_account_it_lets_nobody_in(key, alice):
    type(alice.user).objects.update(is_active=False)

    assert not is_in(use(key))


@pytest.mark.parametrize(
    "answer",
    ["", "{", "[]", "null", "1", '{"id": 1}', "[" * 10_000, '{"rawId": "", "response": {}}'],
)
def test_what_no_browser_says_is_refused_in_words(key, alice, answer):
    client = Client()
    options(client)
    assert "could not be verified" in client.post(USE, {"credential": answer}, follow=True).text

    whole = json.loads(key.use(options(client)))
    for name in ("clientDataJSON", "authenticatorData", "signature"):
        for value in ("", "AA", "!", 5, None, "A" * 400):
            options(client)
            bad = whole | {"response": whole["response"] | {name: value}}
            assert client.post(USE, {"credential": json.dumps(bad)}).status_code == 302
            assert not is_in(client)


def test_a_malformed_new_passkey_is_refused_in_words(alice):
    client, key = logged_in(alice), Key()
    whole = json.loads(key.make(options(client, ADD_OPTIONS)))
    for name in ("clientDataJSON", "attestationObject"):
        for value in ("", "AA", "!", 5, None, "o2Nm", "A" * 400):
            options(client, ADD_OPTIONS)
            bad = json.dumps(whole | {"response": whole["response"] | {name: value}})
            page = client.post(ADD, {"name": "x", "credential": bad}, follow=True)
            assert "could not be verified" in page.text
    assert not Passkey.objects.exists()


def test_it_shows_again_who_one_is(key, alice):
    client = Client()
    client.force_login(alice.user)
    assert client.get("/accounts/security/app/").status_code == 302

    credential = key.use(options(client))
    answer = client.post(USE, {"credential": credential, "next": "/accounts/security/app/"})

    assert answer.url == "/accounts/security/app/"
    assert client.get("/accounts/security/app/").status_code == 200


def test_an_account_has_so_many_at_most(alice, monkeypatch):
    monkeypatch.setattr(passkeys, "PASSKEYS_MAX", 1)
    client = logged_in(alice)
    add(client, Key())

    answer = client.post(ADD_OPTIONS, headers={"accept": "application/json"})
    assert answer.status_code == 409 and "Remove one first" in answer.json()["error"]


def test_one_of_another_account_cannot_be_removed(key, alice, bob):
    row = Passkey.objects.get()
    logged_in(bob).post(f"/accounts/security/passkeys/{row.pk}/remove/")

    assert Passkey.objects.exists()


def test_the_last_one_takes_the_codes_along(key, alice):
    client = use(key)
    client.post(f"/accounts/security/passkeys/{Passkey.objects.get().pk}/remove/")

    assert not Passkey.objects.exists() and not RecoveryCode.objects.exists()
    assert is_in(logged_in(alice))


def test_an_operator_removes_what_is_lost_with_a_reason(key, alice, staff, client):
    from tests.admin_pages import confirm

    client.force_login(staff)
    page = client.get(f"/admin/accounts/passkey/{Passkey.objects.get().pk}/change/")
    assert page.status_code == 200
    confirm(client, Passkey, "remove", Passkey.objects.get(), reason="Lost, shown by phone")

    assert not Passkey.objects.exists()
    assert OutboundMail.objects.filter(kind="account.factor_removed").count() == 1
    assert is_in(logged_in(alice))
