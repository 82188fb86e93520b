"""Choosing a top-up: what it would charge, and the purchase itself.

One call computes what is shown and what is charged. Only an amount that was shown is charged.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from accounts.models import Customer
from billing import plans
from billing.models import Purchase, Wallet
from billing.payments import cards
from billing.payments import requests as payments
from jobs.models import due


class PurchaseRefused(Exception):
    """Nothing can be bought now. The message is shown to the customer."""


class AmountInvalid(PurchaseRefused):
    """No top-up has this amount."""


class NotShown(PurchaseRefused):
    """The customer was shown another amount or other credits. Nothing was charged."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What confirming does: charges `amount_cents` once and grants `credits`."""

    amount_cents: int
    credits: int
    balance: int
    valid_until_at: datetime
    card: str

    @property
    def balance_after(self) -> int:
        return self.balance + self.credits


def preview(*, customer: Customer, amount_cents: int, now: datetime) -> Preview:
    """What a top-up of this amount charges and grants. Raises PurchaseRefused."""
    pack = plans.pack_of(amount_cents)
    if pack is None:
        lowest, highest = plans.PACK_CENTS_MIN // 100, plans.PACK_CENTS_MAX // 100
        raise AmountInvalid(f"Choose an amount from ${lowest} to ${highest}.")
    wallet = Wallet.objects.filter(customer=customer).first() or Wallet()
    if wallet.frozen_at:
        raise PurchaseRefused("Your credits are on hold. Please write to us before you top up.")
    card = cards.shown(customer.pk)
    if card is None:
        raise PurchaseRefused("Save a card under Billing first: a top-up is charged to it.")
    return Preview(
        amount_cents=pack.price_cents,
        credits=pack.credits,
        balance=wallet.balance,
        valid_until_at=_ends_at(now),
        card=card.label,
    )


def buy(
    *, customer: Customer, amount_cents: int, shown_credits: int, key: str, now: datetime
) -> Purchase:
    """Buy credits for the amount that was shown. A worker charges it and grants the credits.

    The same `key` again returns the same purchase, so that a double click or the form sent anew
    buys once. Raises PurchaseRefused: NotShown if the amount buys other credits than were shown.
    """
    key = key[:64]
    mine = Purchase.objects.filter(customer=customer, key=key)
    if found := mine.first():
        return found
    with transaction.atomic():
        Customer.objects.select_for_update(no_key=True).get(pk=customer.pk)  # serialises purchases
        if found := mine.first():
            return found
        shown = preview(customer=customer, amount_cents=amount_cents, now=now)
        if shown.credits != shown_credits:
            raise NotShown("This top-up has changed. Nothing was charged: look at it again.")
        payment = payments.request_pack_payment(
            customer=customer,
            amount_cents=shown.amount_cents,
            credits=shown.credits,
            now=now,
        )
        return Purchase.objects.create(
            customer=customer,
            key=key,
            amount_cents=shown.amount_cents,
            credits=shown.credits,
            payment=payment,
            created_at=now,
            **due(now),
        )


def _ends_at(charged_at: datetime) -> datetime:
    return charged_at + timedelta(days=plans.PACK_DAYS)
