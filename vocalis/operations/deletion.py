"""Delete a customer who asks for it: person, texts, audio and alias go; the ledger, which names
nobody, stays.

    close (no login, no plan, no recharge, no spending) → texts and audio → the person

In this order, so that a run that was cut off finds the customer again by the e-mail address.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import Q

from accounts.models import Customer, IngestAlias, PasswordReset, User
from billing import ledger, recharge
from billing.models import Payment, PaymentMethod, Recharge
from billing.payments import requests as payments
from billing.subscriptions import choose as subscriptions
from jobs.walk import walk
from usage.models import Generation, Voice
from usage.speech.speak import TAKEN_SECONDS

NAME = "Deleted customer"


class NotDeletable(Exception):
    """Not now, or not at all. The text says why and what to do."""


class Step(StrEnum):
    """What a deletion has done."""

    CLOSED = "closed"
    SPEECH_FORGOTTEN = "speech forgotten"
    ANONYMISED = "anonymised"


def delete(customer: Customer, *, dry_run: bool, now: datetime) -> Iterator[tuple[Step, object]]:
    """Yields each step with what it was done to; with `dry_run` nothing is done.

    Raises NotDeletable while money or speech is on its way, or for a member of staff.
    """
    if not dry_run:
        _call_off_payments(customer, now)
    _check(customer, now)
    if not dry_run:
        _close(customer, now)
        _check(customer, now)  # what began before the door was closed
    yield Step.CLOSED, customer
    spoken = Generation.objects.filter(customer=customer).exclude(text="", audio="", body_hash="")
    for generation in walk(spoken):
        if not dry_run:
            _forget_speech(generation)
        yield Step.SPEECH_FORGOTTEN, generation.pk
    if not dry_run:
        _forget_person(customer, now)
    yield Step.ANONYMISED, customer.pk


def _check(customer: Customer, now: datetime) -> None:
    if customer.user.is_staff:
        raise NotDeletable(f"{customer} is a member of staff.")
    paying = any(
        rows.filter(customer=customer).exists()
        for rows in (Payment.objects.open(), Recharge.objects.open())
    )
    if paying or subscriptions.requested_plan(customer):
        raise NotDeletable(
            "A payment or a plan is on its way. Settle it, or try again in a minute."
        )
    speaking_since = now - timedelta(seconds=TAKEN_SECONDS)
    pending = Q(state=Generation.State.PENDING, taken_at__gt=speaking_since)
    setting_up = Voice.objects.filter(customer=customer, state=Voice.State.PENDING)
    if Generation.objects.filter(pending, customer=customer).exists() or setting_up.exists():
        raise NotDeletable("Something is being spoken right now. Try again in two minutes.")


def _call_off_payments(customer: Customer, now: datetime) -> None:
    """Who wants to be forgotten confirms nothing any more; a worker calls it off at the gateway."""
    if not customer.user.is_staff:
        for payment in Payment.objects.filter(
            customer=customer, state=Payment.State.REQUIRES_ACTION
        ):
            payments.call_off(payment, failure="You wanted to be forgotten.", now=now)


def _close(customer: Customer, now: datetime) -> None:
    """No more login, plan, recharge or spending.

    Sessions end with the next request, open streams within ten minutes.
    """
    try:
        with transaction.atomic():
            User.objects.filter(pk=customer.user_id).update(is_active=False)
            subscriptions.cancel(customer=customer, now=now)
            recharge.switch_off(customer_id=customer.pk, now=now)
            ledger.set_frozen(wallet_id=ledger.wallet_of(customer.pk).pk, frozen=True, now=now)
    except subscriptions.ChangeUnderWay as error:
        raise NotDeletable(str(error)) from error


def _forget_speech(generation: Generation) -> None:
    if generation.audio:
        # First: a row without its name would leave the file for ever.
        default_storage.delete(generation.audio)
    Generation.objects.filter(pk=generation.pk).update(text="", audio="", body_hash="")


def _forget_person(customer: Customer, now: datetime) -> None:
    """The worker then takes the e-mail alias and the name off the customer at Metronome
    (`billing.sync.customers`), or makes it there without. The stable alias counts as pushed once
    that is confirmed.
    """
    email = f"deleted-{customer.pk}@deleted.invalid"
    with transaction.atomic():
        # It may have changed until the account was closed.
        customer.user.refresh_from_db(fields=["email"])
        user = User(password="")
        user.set_unusable_password()
        User.objects.filter(pk=customer.user_id).update(
            email=email,
            first_name=NAME,
            last_name="",
            password=user.password,
            is_active=False,
            last_login=None,
        )
        IngestAlias.objects.filter(customer=customer, kind=IngestAlias.Kind.EMAIL).delete()
        IngestAlias.objects.filter(customer=customer).update(pushed_at=None)
        PasswordReset.objects.filter(email=customer.user.email).delete()
        PaymentMethod.objects.filter(customer=customer).delete()
        Voice.objects.filter(customer=customer).update(name=NAME)
        Generation.objects.filter(customer=customer, voice_name__gt="").update(voice_name="")
        for row in (customer, customer.user):
            _entries_of(row).update(object_repr=email)
        rows: Any = Customer.objects.filter(pk=customer.pk)
        rows.run_now(now)


def _entries_of(row: Customer | User) -> Any:
    kind = ContentType.objects.get_for_model(row)
    return LogEntry.objects.filter(content_type=kind, object_id=str(row.pk))
