"""Finds what takes longer than usual for a customer, for a notice on every page.

It reads our own rows only, because pages do not call Metronome.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import CharField, DateTimeField, Value
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from accounts.access import customer_of
from accounts.models import Customer
from billing import plans
from billing.models import AutoRecharge, Payment, Purchase, Recharge, Subscription
from billing.payments import requests as payments

USUAL_SECONDS = 60  # most of it takes two or three

ACCOUNT = "setting up your account for billing"
TOP_UP = "the credits of your top-up"
RECHARGE = "your automatic recharge"
SETTINGS = "applying your auto-recharge settings"


def late(customer: Customer, *, now: datetime) -> dict[str, datetime | None]:
    """What is late, as text → since when, None if unknown. One query."""
    usual = now - timedelta(seconds=USUAL_SECONDS)
    # What waits for the customer is not late. Of the open ones, which have an index.
    unconfirmed = Payment.objects.open().filter(customer=customer, state__in=payments.WAITING)
    chosen = Subscription.objects.filter(customer=customer).exclude(payments__in=unconfirmed)
    requested = chosen.filter(state=Subscription.State.REQUESTED, created_at__lt=usual)
    # A declined renewal waits for the customer as well, and that of a frozen wallet for staff.
    renewing = chosen.filter(state=Subscription.State.ACTIVE, past_due_at=None)
    ended = renewing.filter(period_end_at__lt=usual, customer__wallet__frozen_at=None)
    recharges = Recharge.objects.open().filter(customer=customer, created_at__lt=usual)
    # One that waits because two were charged in ten minutes is not late either.
    recharges = recharges.exclude(payment__in=unconfirmed).exclude(
        state=Recharge.State.REQUESTED, due_at__gt=now, attempts=0
    )
    purchases = Purchase.objects.open().filter(customer=customer, created_at__lt=usual)
    purchases = purchases.exclude(payment__in=unconfirmed)
    settings = AutoRecharge.objects.filter(customer=customer, attempts__gt=1, dead_at=None)
    account = Customer.objects.filter(pk=customer.pk, metronome_id=None, created_at__lt=usual)
    rows = requested.values_list("plan", "created_at").union(
        ended.values_list("plan", "period_end_at"),
        recharges.values_list(_text(RECHARGE), "created_at"),
        purchases.values_list(_text(TOP_UP), "created_at"),
        settings.values_list(_text(SETTINGS), Value(None, output_field=DateTimeField())),
        account.values_list(_text(ACCOUNT), "created_at"),
        all=True,
    )
    plan_texts = {
        plan.key: f"the credits of your {plan.name} plan" for plan in plans.PLANS.values()
    }
    return {plan_texts.get(what, what): since for what, since in rows}


def context(request: HttpRequest) -> dict[str, Any]:
    """Context processor: `delays` as in `late`, read only by pages with billing/_delays.html."""
    return {"delays": SimpleLazyObject(lambda: _of_login(request))}


def _of_login(request: HttpRequest) -> dict[str, datetime | None]:
    user = getattr(request, "user", None)
    customer = customer_of(user) if user and user.is_authenticated else None
    return late(customer, now=timezone.now()) if customer else {}


def _text(text: str) -> Value:
    return Value(text, output_field=CharField())
