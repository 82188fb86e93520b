"""A customer who deletes the account: asked twice, refused in words while something is pending,
logged out, and gone when the worker is done."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client

from accounts import second_step
from accounts.models import AccountDeletion, BrowserSession, Passkey, RecoveryCode, User
from billing.models import LedgerEntry, Payment
from conftest import PASSWORD
from jobs.worker import Worker
from usage.models import Generation
from vocalis.operations import closing, deletion

pytestmark = pytest.mark.django_db
PATH = "/accounts/delete/"
SURE = {"password": PASSWORD, "word": "delete"}


@pytest.fixture
def here(client, alice, wallet):
    client.force_login(alice.user)
    return client


def work(now):
    Worker([closing.DELETE], clock=lambda: now).drain()


def test_the_page_says_what_goes_what_stays_and_that_credits_are_not_paid_back(here):
    page = here.get(PATH).text

    for words in ("500 credits", "not paid back by themselves", "keep books", "write to us"):
        assert words in page


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"password": "", "word": "delete"}, "Enter your current password."),
        ({"password": "wrong", "word": "delete"}, "This is not your current password."),
        ({"password": PASSWORD, "word": "yes"}, "Type the word delete here"),
    ],
)
def test_without_password_and_word_nothing_is_closed(here, answers, words):
    answer = here.post(PATH, answers)

    assert answer.status_code == 422 and words in answer.text
    assert User.objects.get().is_active and not AccountDeletion.objects.exists()


def test_the_account_is_closed_at_once_and_deleted_by_the_worker(here, alice, now):
    other = Client()
    other.force_login(alice.user)
    other.get("/accounts/profile/")
    Passkey.objects.create(
        user=alice.user, name="p", credential_id="c", public_key=b"k", sign_count=0, added_at=now
    )
    second_step.new_codes(user=alice.user, now=now)

    page = here.post(PATH, {"password": PASSWORD, "word": " “Delete” "}, follow=True)

    assert "Your account is closed, and you are logged out." in page.text
    assert page.request["PATH_INFO"] == "/"
    assert other.get("/accounts/profile/").status_code == 302
    assert not User.objects.get().is_active
    assert User.objects.get().email == "alice@example.com"

    work(now + timedelta(minutes=1))

    row, user = AccountDeletion.objects.get(), User.objects.get()
    assert (row.done_at, row.due_at) == (now + timedelta(minutes=1), None)
    assert user.email.endswith("@deleted.invalid") and user.first_name == deletion.NAME
    for rows in (Passkey, RecoveryCode, BrowserSession):
        assert not rows.objects.exists()
    assert LedgerEntry.objects.exists()


def test_while_a_payment_is_pending_it_is_refused_in_words(here, alice, now):
    payment = Payment.objects.create(
        customer=alice, kind="recharge", amount_cents=5, gateway="test", created_at=now
    )

    answer = here.post(PATH, SURE)

    assert answer.status_code == 422 and "A payment or a plan is in progress." in answer.text
    assert User.objects.get().is_active and not AccountDeletion.objects.exists()
    Payment.objects.filter(pk=payment.pk).update(state="granted")


def test_asked_twice_it_is_one_deletion(alice, wallet, now):
    for _ in range(2):
        closing.ask(customer=alice, now=now)

    assert AccountDeletion.objects.count() == 1
    work(now)
    closing.ask(customer=alice, now=now)
    assert AccountDeletion.objects.get().due_at is None


def test_killed_before_the_account_was_closed_it_is_as_it_was(alice, wallet, now, monkeypatch):
    monkeypatch.setattr(deletion, "_close", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        closing.ask(customer=alice, now=now)
    monkeypatch.undo()

    work(now + timedelta(seconds=closing.CLOSE_SECONDS))

    assert User.objects.get().email == "alice@example.com"
    assert not AccountDeletion.objects.exists()


def test_killed_after_the_account_was_closed_the_worker_goes_on(alice, wallet, now):
    AccountDeletion.objects.create(customer=alice, asked_at=now, due_at=now)
    run = deletion.delete(alice, dry_run=False, now=now)
    next(run)
    run.close()

    work(now)

    assert AccountDeletion.objects.get().done_at == now
    assert User.objects.get().email.endswith("@deleted.invalid")


def test_many_texts_are_deleted_in_slices(alice, wallet, now, monkeypatch):
    monkeypatch.setattr(closing, "SLICE_SECONDS", -1)
    for number in range(3):
        Generation.objects.create(
            customer=alice,
            key=f"k{number}",
            body_hash="h",
            text="words",
            voice="standard-ava",
            voice_name="Ava",
            voice_type="standard",
            characters=5,
            credits=5,
            state="failed",
            taken_at=now,
            created_at=now,
        )
    closing.ask(customer=alice, now=now)

    work(now)

    assert AccountDeletion.objects.get().done_at == now
    assert not Generation.objects.exclude(text="").exists()


def test_staff_are_not_deleted_here(here, alice):
    User.objects.update(is_staff=True)

    assert "member of staff" in here.post(PATH, SURE).text
    assert User.objects.get().is_active
