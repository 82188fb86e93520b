"""Choosing a top-up: what it would charge, and the purchase itself.

One call computes what is shown and what is charged. Only an amount that was shown is charged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from accounts.models import Customer
from billing import plans
from billing.models import Payment, Purchase, Wallet
from billing.payments import cards, pay_page, tax
from billing.payments import requests as payments
from jobs.models import due

NO_CARD = "Save a card under Billing first: a top-up is charged to it."


class PurchaseRefused(Exception):
    """Nothing can be bought now. The message is shown to the customer."""


class AmountInvalid(PurchaseRefused):
    """No top-up has this amount."""


class TotalUnknown(PurchaseRefused):
    """The total cannot be told yet. `needs_address`: not before the billing profile is written."""

    def __init__(self, message: str, *, needs_address: bool) -> None:
        super().__init__(message)
        self.needs_address = needs_address


class NotShown(PurchaseRefused):
    """The customer was shown another amount or other credits. Nothing was charged."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What confirming does: charges `amount_cents` and the tax on it once, and grants `credits`.

    `card` is the saved card, "" if there is none. `is_card_kept` says whether a card that pays at
    the gateway's page becomes the customer's.
    """

    amount_cents: int
    tax_cents: int
    credits: int
    balance: int
    valid_until_at: datetime
    card: str
    is_card_kept: bool

    @property
    def total_cents(self) -> int:
        return self.amount_cents + self.tax_cents

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
    if because := tax.why_not(customer.pk):
        raise TotalUnknown(because, needs_address=tax.needs_address(customer.pk))
    card = cards.card_of(customer.pk)
    return Preview(
        amount_cents=pack.price_cents,
        tax_cents=tax.on(customer.pk, pack.price_cents),
        credits=pack.credits,
        balance=wallet.balance,
        valid_until_at=_ends_at(now),
        card=card.label if card else "",
        is_card_kept=pay_page.keeps_card(customer.pk),
    )


def buy(
    *,
    customer: Customer,
    amount_cents: int,
    shown_tax_cents: int = 0,
    shown_credits: int,
    key: str,
    now: datetime,
) -> Purchase:
    """Buy credits for the amount and the tax that were shown, with the saved card.

    A worker charges it and grants the credits. The same `key` again returns the same purchase, so
    that a double click or the form sent anew buys once. Raises PurchaseRefused: NotShown if the
    amount buys other credits than were shown.
    """

    def request(shown: Preview) -> Payment:
        if not shown.card:
            raise PurchaseRefused(NO_CARD)
        return payments.request_pack_payment(
            customer=customer,
            amount_cents=shown.total_cents,
            tax_cents=shown.tax_cents,
            credits=shown.credits,
            now=now,
        )

    return _buy(customer, (amount_cents, shown_tax_cents, shown_credits), key, request, now)


def buy_at_page(
    *,
    customer: Customer,
    amount_cents: int,
    shown_tax_cents: int = 0,
    shown_credits: int,
    is_card_kept: bool,
    key: str,
    urls: Callable[[Payment], tuple[str, str]],
    now: datetime,
) -> tuple[Purchase, str]:
    """Buy credits for the amount that was shown, with any card, at the gateway's page.

    Returns the purchase and the URL of its page, "" if it is not to be paid there any more. From
    there the customer returns to one of the `urls`: having paid, or not. `is_card_kept` is what was
    shown of the card. The same `key` leads to the same page. Called in web requests. Raises
    PurchaseRefused, GatewayUnavailable or Rejected.
    """
    pay_page.ready(customer)

    def request(shown: Preview) -> Payment:
        if shown.is_card_kept != is_card_kept:
            raise NotShown("What becomes of the card has changed. Nothing was charged.")
        payment = payments.request_pack_payment(
            customer=customer,
            amount_cents=shown.total_cents,
            tax_cents=shown.tax_cents,
            credits=shown.credits,
            state=Payment.State.AT_PAGE,
            now=now,
        )
        done_url, cancel_url = urls(payment)
        pay_page.prepare(
            payment, done_url=done_url, cancel_url=cancel_url, is_card_kept=is_card_kept, now=now
        )
        return payment

    agreed = amount_cents, shown_tax_cents, shown_credits
    purchase = _buy(customer, agreed, key, request, now)
    return purchase, pay_page.open_page(purchase.payment, now=now)


def _buy(
    customer: Customer,
    agreed: tuple[int, int, int],
    key: str,
    request: Callable[[Preview], Payment],
    now: datetime,
) -> Purchase:
    """The purchase of this key, made with the payment that `request` makes.

    `agreed` are the price, the tax and the credits that were shown.
    A page for paying another one that was left unpaid is closed.
    """
    key = key[:64]
    mine = Purchase.objects.filter(customer=customer, key=key)
    if found := mine.first():
        return found
    with transaction.atomic():
        Customer.objects.select_for_update(no_key=True).get(pk=customer.pk)  # serialises purchases
        if found := mine.first():
            return found
        shown = preview(customer=customer, amount_cents=agreed[0], now=now)
        if (shown.amount_cents, shown.tax_cents, shown.credits) != agreed:
            raise NotShown("This top-up has changed. Nothing was charged: look at it again.")
        pay_page.call_off_others(customer.pk, now)
        return Purchase.objects.create(
            customer=customer,
            key=key,
            amount_cents=shown.amount_cents,
            credits=shown.credits,
            payment=request(shown),
            created_at=now,
            **due(now),
        )


def _ends_at(charged_at: datetime) -> datetime:
    return charged_at + timedelta(days=plans.PACK_DAYS)
