"""Delete a customer on request: name, e-mail address, texts, audio, word times, voice matches,
words of their pronunciation dictionary, draft, titles, folders, favourites, names of API keys,
webhook endpoints, mails, the billing profile with what papers say of it, passkeys, codes, sessions
and alias.

The ledger stays, as it contains no personal data. The order is

    close (no login, API key, plan, recharge or spending) → delete texts, audio, samples of the
    voice → anonymise the person

so that an interrupted run can be repeated with the same e-mail address.
"""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import Q

from accounts import api_keys, second_step, sessions
from accounts.models import ApiKey, Customer, IngestAlias, PasswordReset, User
from billing import ledger, recharge
from billing.models import Payment, PaymentAttempt, Purchase, Recharge, Refund
from billing.papers import profiles
from billing.payments import requests as payments
from billing.payments import setups
from billing.subscriptions import choose as subscriptions
from jobs.walk import walk
from mails import outbox
from notifications import endpoints
from notifications.models import Banner
from usage import rollup
from usage.models import Draft, Favourite, Folder, Generation, Pronunciation, Voice
from usage.speech import encoded, long, manner, problems, retention, speak, withdrawal
from usage.text import MAX_CHARACTERS

NAME = "Deleted customer"
SPEAKING = "Something is being spoken right now. Try again in a few minutes."

MATCHING = "A sample of a voice is being compared right now. Try again in a few minutes."


class NotDeletable(Exception):
    """The customer cannot be deleted, or not now. The message says why and what to do."""


class Stage(StrEnum):
    """The stages of a deletion."""

    CLOSED = "closed"
    SPEECH_DELETED = "speech deleted"
    ANONYMISED = "anonymised"


def delete(
    customer: Customer, *, dry_run: bool, now: datetime
) -> Generator[tuple[Stage, object], None, None]:
    """Delete the personal data.

    Yields (stage completed, customer or id of the generation or customer). With `dry_run` nothing
    is changed.

    Raises NotDeletable for a member of staff, or while a payment, a plan or speech is in progress.
    """
    if not dry_run:
        _call_off_payments(customer, now)
    _check(customer, now)
    if not dry_run:
        _close(customer, now)
        _check(customer, now)  # again, for requests that began before the account was closed
    yield Stage.CLOSED, customer
    spoken = Generation.objects.filter(customer=customer).exclude(
        text="", title="", manner={}, audio="", body_hash="", words=None
    )
    for generation in walk(spoken.defer("text", "words")):
        if not dry_run:
            _delete_speech(generation, now)
        yield Stage.SPEECH_DELETED, generation.pk
    if not dry_run:
        _forget_matches(customer, now)
        _anonymise(customer, now)
    yield Stage.ANONYMISED, customer.pk


def _check(customer: Customer, now: datetime) -> None:
    if customer.user.is_staff:
        raise NotDeletable(f"{customer} is a member of staff.")
    paying = any(
        rows.filter(customer=customer).exists()
        for rows in (
            Payment.objects.open(),
            Recharge.objects.open(),
            Purchase.objects.open(),
            Refund.objects.filter(due_at__isnull=False),
        )
    )
    if paying or subscriptions.requested_plan(customer):
        raise NotDeletable(
            "A payment or a plan is in progress. Finish or cancel it, or try again in a minute."
        )
    longest = speak.taken_seconds(MAX_CHARACTERS, manner.SLOWEST)
    speaking_since = now - timedelta(seconds=longest)
    pending = Q(state=Generation.State.PENDING, taken_at__gt=speaking_since)
    setting_up = Voice.objects.filter(customer=customer, state=Voice.State.PENDING)
    again = Q(is_making_again=True, again_at__gt=speaking_since)
    # What a worker speaks can be ended: `_delete_speech`.
    speaking = Generation.objects.filter(pending | again, customer=customer, is_queued=False)
    if speaking.exists() or setting_up.exists():
        raise NotDeletable(SPEAKING)


def _call_off_payments(customer: Customer, now: datetime) -> None:
    """Cancel payments that wait for the customer. A worker tells the gateway."""
    if not customer.user.is_staff:
        for payment in Payment.objects.filter(customer=customer, state__in=payments.WAITING):
            payments.call_off(payment, failure="You wanted to be forgotten.", now=now)


def _close(customer: Customer, now: datetime) -> None:
    """End login, API keys, plan, auto-recharge and webhooks, and freeze the wallet.

    Sessions end with the next request, open event streams within ten minutes.
    """
    try:
        with transaction.atomic():
            User.objects.filter(pk=customer.user_id).update(is_active=False)
            api_keys.forget_all(customer, now)
            subscriptions.end_now(customer=customer, now=now)
            recharge.switch_off(customer_id=customer.pk, now=now)
            endpoints.delete_all(customer, now)
            ledger.set_frozen(wallet_id=ledger.wallet_of(customer.pk).pk, frozen=True, now=now)
    except subscriptions.ChangeUnderWay as error:
        raise NotDeletable(str(error)) from error


def _delete_speech(generation: Generation, now: datetime) -> None:
    if generation.state == Generation.State.PENDING:
        # Nobody was at it any more, it seemed. Whoever is after all must not finish it: that would
        # leave the audio of somebody we have forgotten.
        if generation.is_queued:
            long.fail(generation, long.CANCELLED, now)
        else:
            speak.give_up(generation, now)
        generation.refresh_from_db()
        if generation.state == Generation.State.PENDING:  # taken over before the account was closed
            raise NotDeletable(SPEAKING)
    if generation.is_making_again:  # the same: it cannot be finished any more
        retention.give_up(generation, now)
    if not long.delete_parts(generation, now):
        raise NotDeletable(SPEAKING)  # the worker ends after the piece that it speaks
    # The file first: without the name in the row it could not be found any more.
    encoded.delete(generation.audio)
    # If it was begun to be made again meanwhile, the next try ends it and finds its file.
    rows = Generation.objects.filter(pk=generation.pk, is_making_again=False)
    unchanged = rows.filter(audio=generation.audio)
    if not unchanged.update(text="", title="", manner={}, audio="", body_hash="", words=None):
        raise NotDeletable(SPEAKING)


def _forget_matches(customer: Customer, now: datetime) -> None:
    """Samples, embeddings and consents, all of them biometric or personal data."""
    try:
        withdrawal.forget_all(customer, now)
    except problems.MatchInProgress as error:
        raise NotDeletable(MATCHING) from error


def _anonymise(customer: Customer, now: datetime) -> None:
    """Replace or delete everything that identifies the person.

    The worker then removes name and e-mail alias from the customer at Metronome
    (`billing.sync.customers`). `pushed_at` of the stable alias is set once that is confirmed.
    """
    email = f"deleted-{customer.pk}@deleted.invalid"
    with transaction.atomic():
        # The address could be changed until the account was closed.
        customer.user.refresh_from_db(fields=["email", "new_email"])
        addresses = [customer.user.email, customer.user.new_email]
        user = User(password="")
        user.set_unusable_password()
        User.objects.filter(pk=customer.user_id).update(
            email=email,
            new_email="",
            email_confirmed_at=None,
            first_name=NAME,
            last_name="",
            time_zone="",
            password=user.password,
            is_active=False,
            last_login=None,
        )
        IngestAlias.objects.filter(customer=customer, kind=IngestAlias.Kind.EMAIL).delete()
        IngestAlias.objects.filter(customer=customer).update(pushed_at=None)
        setups.forget(customer, now)
        profiles.forget(customer)
        PaymentAttempt.objects.filter(payment__customer=customer).update(label="", fingerprint="")
        PasswordReset.objects.filter(email__in=addresses).delete()
        outbox.forget(customer.user_id)
        second_step.forget(customer.user)
        sessions.end_others(user=customer.user, here=None)
        Banner.objects.filter(customer=customer).delete()
        Pronunciation.objects.filter(customer=customer).delete()
        Draft.objects.filter(customer=customer).delete()
        Favourite.objects.filter(customer=customer).delete()
        Generation.objects.filter(customer=customer, folder__isnull=False).update(folder=None)
        Folder.objects.filter(customer=customer).delete()
        endpoints.delete_all(customer, now)  # added while the account was being closed
        Voice.objects.filter(customer=customer).update(name=NAME)
        Generation.objects.filter(customer=customer, voice_name__gt="").update(voice_name="")
        rollup.forget_names(customer)
        api_keys.forget_all(customer, now)  # one could be made until the account was closed
        named: list[Customer | User | ApiKey] = [customer, customer.user, *customer.api_keys.all()]
        for row in named:
            _entries_of(row).update(object_repr=email)
        rows: Any = Customer.objects.filter(pk=customer.pk)
        rows.run_now(now)


def _entries_of(row: Customer | User | ApiKey) -> Any:
    kind = ContentType.objects.get_for_model(row)
    return LogEntry.objects.filter(content_type=kind, object_id=str(row.pk))
