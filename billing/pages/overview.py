"""The billing overview, and the choice of a card."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts import unsent
from accounts.access import CustomerRequest, customer_required
from accounts.models import Customer
from billing import ledger, plans
from billing.models import CreditGrant, LedgerEntry, Payment, PaymentMethod, Subscription, Wallet
from billing.payments import cards, setups
from billing.payments.gateways import gateway
from billing.payments.requests import is_unconfirmed
from billing.subscriptions import status
from billing.subscriptions.change import grant_of

from . import recharge

ENTRIES_A_PAGE = 20
PAYMENTS_SHOWN = 10


@require_safe
@customer_required
def overview(request: CustomerRequest) -> HttpResponse:
    customer, now = request.customer, timezone.now()
    shown = cards.shown(customer.pk)
    context = {
        "plan": status.shown(customer, now),
        "trial_stays": _trial_stays(customer, now),
        **_open_payments(customer),
        "now": now,
        "requested": Subscription.objects.filter(
            customer=customer, state=Subscription.State.REQUESTED
        ).first(),
        "grants": sorted(
            CreditGrant.objects.filter(wallet__customer=customer, remaining__gt=0),
            key=ledger.drawdown.draw_order,
        ),
        **recharge.card(customer, timezone.now()),
        "packs": plans.PACKS,
        "payments": Payment.objects.filter(customer=customer)
        .select_related("subscription")
        .order_by("-created_at")[:PAYMENTS_SHOWN],
        "cards": gateway().cards_of(customer_id=customer.pk),
        "hosted": gateway().hosted is not None,
        "method": PaymentMethod.objects.filter(
            customer=customer, gateway=settings.PAYMENT_GATEWAY
        ).first(),
        "is_card_under_way": setups.is_under_way(customer, timezone.now()),
        "card": unsent.take(request).get("card") or (shown.reference if shown else ""),
        "is_real_money": gateway().is_real_money,
        **_entries(customer, request.GET.get("before", "")),
    }
    return render(request, "billing/overview.html", context)


@unsent.form_only("billing")
@unsent.kept("card", page="billing")
@customer_required
def choose_card(request: CustomerRequest) -> HttpResponse:
    try:
        method = cards.choose(
            customer_id=request.customer.pk,
            reference=request.POST.get("card", ""),
            now=timezone.now(),
        )
    except cards.UnknownCard:
        messages.error(request, "Choose one of the cards shown.")
    else:
        messages.success(request, f"Payments use the {method.label} from now on.")
    return redirect("billing")


def _trial_stays(customer: Customer, now: datetime) -> datetime | None:
    """Until when credits of a trial stay beside those of a plan, None if there are none."""
    trial = Subscription.objects.filter(
        customer=customer, plan="trial", state=Subscription.State.ENDED, followers__state="active"
    ).first()
    grant = trial and grant_of(trial)
    return grant.ends_at if grant and grant.remaining and grant.ends_at > now else None


def _open_payments(customer: Customer) -> dict[str, Any]:
    """Context: `unconfirmed` payments wait for the customer, `open_payments` for a worker."""
    payments = (
        Payment.objects.open()
        .filter(customer=customer)
        .select_related("subscription")
        .order_by("created_at")
    )
    unconfirmed = [payment for payment in payments if is_unconfirmed(payment)]
    return {
        "open_payments": [row for row in payments if row not in unconfirmed],
        "unconfirmed": unconfirmed,
    }


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
