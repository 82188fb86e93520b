"""Buying credits once: the choice of an amount, its preview, and the confirmation."""

from __future__ import annotations

import uuid
from http import HTTPStatus
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts import unsent
from accounts.access import CustomerRequest, customer_required
from billing import plans
from billing.models import Purchase
from billing.packs import requests as packs
from billing.payments.gateways import gateway

from .fields import DollarsField

OUT_OF_DATE = "This page is out of date. Nothing was charged: choose the amount again."


class AmountForm(forms.Form):
    """A pack, or another amount, which counts if both are there."""

    pack = forms.TypedChoiceField(
        choices=[(pack.price_cents, pack.price_dollars) for pack in plans.PACKS],
        coerce=int,
        required=False,
        empty_value=None,
        error_messages={"invalid_choice": "Choose one of the packs, or write an amount."},
    )
    amount = DollarsField(
        required=False,
        error_messages={"invalid": "Write an amount in dollars, such as 12 or 12.50."},
    )

    def clean(self) -> dict[str, Any]:
        answers = self.cleaned_data
        cents = answers.get("amount")
        answers["amount_cents"] = answers.get("pack") if cents is None else cents
        if answers["amount_cents"] is None and not self.errors:
            self.add_error("amount", "Choose a pack, or write an amount from $5 to $500.")
        return answers


class ConfirmForm(forms.Form):
    """What was shown. `key` makes a double click one purchase."""

    amount_cents = forms.IntegerField()
    credits = forms.IntegerField()
    key = forms.UUIDField()


@require_http_methods(["GET", "HEAD", "POST"])
@unsent.kept("amount_cents")
@customer_required
def top_up(request: CustomerRequest) -> HttpResponse:
    """GET chooses, and with an amount shows what confirming does; POST confirms that."""
    unsent.take(request)  # only for its message: nothing is bought by logging in
    if request.method == "POST":
        return _confirm(request)
    if not request.GET.keys() & {"pack", "amount"}:
        return _render_choice(request, AmountForm())
    form = AmountForm(request.GET)
    if not form.is_valid():
        return _render_choice(request, form)
    try:
        return _render_preview(request, form.cleaned_data["amount_cents"])
    except packs.PurchaseRefused as refused:
        form.add_error("amount", str(refused))
        return _render_choice(request, form)


def _confirm(request: CustomerRequest) -> HttpResponse:
    form = ConfirmForm(request.POST)
    if not form.is_valid():
        choice = AmountForm({})
        choice.errors["amount"] = choice.error_class([OUT_OF_DATE])
        return _render_choice(request, choice, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    answers = form.cleaned_data
    amount_cents = answers["amount_cents"]
    try:
        purchase = packs.buy(
            customer=request.customer,
            amount_cents=amount_cents,
            shown_credits=answers["credits"],
            key=str(answers["key"]),
            now=timezone.now(),
        )
    except packs.NotShown as changed:
        return _render_preview(
            request, amount_cents, notice=str(changed), status=HTTPStatus.CONFLICT
        )
    except packs.PurchaseRefused as refused:
        choice = AmountForm({})
        choice.errors["amount"] = choice.error_class([str(refused)])
        return _render_choice(request, choice, status=HTTPStatus.CONFLICT)
    if purchase.state == Purchase.State.FAILED:  # an old form sent again
        messages.error(request, f"The payment of this top-up failed: {purchase.failure}")
    elif purchase.state == Purchase.State.GRANTED:
        messages.success(request, f"You topped up {purchase.credits:,} credits.")
    return redirect("billing")


def _render_choice(
    request: CustomerRequest, form: AmountForm, status: int = HTTPStatus.OK
) -> HttpResponse:
    context = {
        "form": form,
        "packs": plans.PACKS,
        "credits_per_dollar": plans.CREDITS_PER_DOLLAR,
        "valid_days": plans.PACK_DAYS,
        "is_real_money": gateway().is_real_money,
    }
    return render(request, "billing/top_up.html", context, status=status)


def _render_preview(
    request: CustomerRequest, amount_cents: int, notice: str = "", status: int = HTTPStatus.OK
) -> HttpResponse:
    """What confirming charges and grants. Raises PurchaseRefused."""
    context = {
        "shown": packs.preview(
            customer=request.customer, amount_cents=amount_cents, now=timezone.now()
        ),
        "notice": notice,
        "key": uuid.uuid4(),
        "is_real_money": gateway().is_real_money,
    }
    return render(request, "billing/top_up_preview.html", context, status=status)
