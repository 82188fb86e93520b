"""The billing overview."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.access import CustomerRequest, customer_required
from accounts.models import Customer
from billing import ledger, plans
from billing.disputes import flow as disputes
from billing.models import CreditGrant, LedgerEntry, Payment, Subscription, Wallet
from billing.papers import listing
from billing.payments import cards, pay_page, setups
from billing.payments.gateways import gateway
from billing.payments.requests import is_being_read, is_unconfirmed
from billing.subscriptions import status
from billing.subscriptions.change import grant_of

from . import recharge, standing

ENTRIES_A_PAGE = 20
PAYMENTS_SHOWN = 10


@require_safe
@customer_required
def overview(request: CustomerRequest) -> HttpResponse:
    customer, now = request.customer, timezone.now()
    grants = sorted(
        CreditGrant.objects.filter(wallet__customer=customer, remaining__gt=0),
        key=ledger.drawdown.draw_order,
    )
    entries = _entries(customer, request.GET.get("before", ""))
    context = {
        "plan": status.shown(customer, now),
        "trial_stays": _trial_stays(customer, now),
        **_open_payments(customer, now),
        "now": now,
        "dispute": disputes.holding(customer.pk),
        "requested": Subscription.objects.filter(
            customer=customer, state=Subscription.State.REQUESTED
        ).first(),
        "grants": grants,
        "parts": standing.parts(entries["wallet"], grants, now),
        **recharge.card(customer, timezone.now()),
        "packs": plans.PACKS,
        "credits_per_dollar": plans.CREDITS_PER_DOLLAR,
        "valid_days": plans.PACK_DAYS,
        "payments": [(payment, *listing.stands(payment)) for payment in _payments(customer)],
        "method": cards.card_of(customer.pk),
        "is_card_under_way": setups.is_under_way(customer, timezone.now()),
        "is_real_money": gateway().is_real_money,
        **entries,
    }
    return render(request, "billing/overview.html", context)


def _trial_stays(customer: Customer, now: datetime) -> datetime | None:
    """Until when credits of a trial stay beside those of a plan, None if there are none."""
    trial = Subscription.objects.filter(
        customer=customer, plan="trial", state=Subscription.State.ENDED, followers__state="active"
    ).first()
    grant = trial and grant_of(trial)
    return grant.ends_at if grant and grant.remaining and grant.ends_at > now else None


def _open_payments(customer: Customer, now: datetime) -> dict[str, Any]:
    """Context: `unconfirmed` and `unpaid` ones wait for the customer, `open_payments` for us.

    Of `being_read` we are just asking whether they have been confirmed.
    """
    payments = (
        Payment.objects.open()
        .filter(customer=customer)
        .select_related("subscription")
        .order_by("created_at")
    )
    unconfirmed = [payment for payment in payments if is_unconfirmed(payment)]
    unpaid = pay_page.unpaid(customer.pk)
    return {
        "open_payments": [row for row in payments if row not in unconfirmed and row not in unpaid],
        "unconfirmed": unconfirmed,
        "being_read": [payment for payment in unconfirmed if is_being_read(payment, now)],
        "unpaid": unpaid,
    }


def _payments(customer: Customer) -> QuerySet[Payment]:
    """The newest ones."""
    rows = Payment.objects.filter(customer=customer).select_related("subscription")
    return rows.prefetch_related("refunds", "disputes").order_by("-created_at")[:PAYMENTS_SHOWN]


def _entries(customer: Customer, before: str) -> dict[str, Any]:
    """Context for a page of ledger entries, newest first, with versions below `before`.

    Paging by version keeps pages stable when entries are added, and equally fast at any depth.
    """
    wallet = Wallet.objects.filter(customer=customer).first() or Wallet()
    # Filtered by the wallet's id: with a join PostgreSQL would sort all entries of the wallet
    # instead of reading an index.
    used_for = ("reservation__generation", "reservation__voice")
    entries = (
        LedgerEntry.objects.filter(wallet_id=wallet.pk)
        .select_related("grant", *used_for)
        .order_by("-version")
    )
    entries = entries.defer("reservation__generation__text", "reservation__generation__words")
    if before.isdecimal() and len(before) < 19:
        entries = entries.filter(version__lt=int(before))
    page = list(entries[: ENTRIES_A_PAGE + 1])
    older = page[ENTRIES_A_PAGE - 1].version if len(page) > ENTRIES_A_PAGE else None
    return {
        "wallet": wallet,
        "entries": page[:ENTRIES_A_PAGE],
        "older": older,
        "is_first_page": not before,
    }
