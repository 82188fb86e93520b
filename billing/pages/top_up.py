"""Buying credits once: the choice of an amount, its preview, and the confirmation."""

from __future__ import annotations

import uuid
from functools import partial
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
from billing.payments import tax
from billing.payments.gateways import GatewayDeclined, gateway
from billing.payments.pay_page import unpaid
from jobs.errors import Rejected, Unavailable

from . import pay_page
from .cards import elsewhere
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
    """What was shown. `key` makes a double click one purchase.

    `at_page` says that any card pays at the gateway's page, and whether that card is kept.
    """

    amount_cents = forms.IntegerField()
    tax_cents = forms.IntegerField(required=False)
    credits = forms.IntegerField()
    key = forms.UUIDField()
    at_page = forms.ChoiceField(choices=[("keep", ""), ("once", "")], required=False)


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
    except packs.TotalUnknown as unknown:
        return _first_the_address(request, unknown)
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
        purchase, url = _buy(request, answers)
    except packs.NotShown as changed:
        return _render_preview(
            request, amount_cents, notice=str(changed), status=HTTPStatus.CONFLICT
        )
    except (Unavailable, Rejected, GatewayDeclined):
        return _render_preview(
            request,
            amount_cents,
            notice=pay_page.AWAY,
            key=answers["key"],
            status=HTTPStatus.SERVICE_UNAVAILABLE,
        )
    except packs.TotalUnknown as unknown:
        return _first_the_address(request, unknown)
    except packs.PurchaseRefused as refused:
        choice = AmountForm({})
        choice.errors["amount"] = choice.error_class([str(refused)])
        return _render_choice(request, choice, status=HTTPStatus.CONFLICT)
    if url:
        return elsewhere(url)
    if purchase.state == Purchase.State.FAILED:  # an old form sent again
        messages.error(request, f"The payment of this top-up failed: {purchase.failure}")
    elif purchase.state == Purchase.State.GRANTED:
        messages.success(request, f"You topped up {purchase.credits:,} credits.")
    return redirect("billing")


def _buy(request: CustomerRequest, answers: dict[str, Any]) -> tuple[Purchase, str]:
    """The purchase, and the URL where it is to be paid, "" if the saved card pays it."""
    key, now = str(answers["key"]), timezone.now()
    wanted = {
        "customer": request.customer,
        "amount_cents": answers["amount_cents"],
        "shown_tax_cents": answers["tax_cents"] or 0,
        "shown_credits": answers["credits"],
    }
    if not answers["at_page"]:
        return packs.buy(**wanted, key=key, now=now), ""
    return packs.buy_at_page(
        **wanted,
        is_card_kept=answers["at_page"] == "keep",
        key=f"{key}-page",  # after the page was left, the same form may charge the saved card
        urls=partial(pay_page.urls, request),
        now=now,
    )


def _first_the_address(request: CustomerRequest, unknown: packs.TotalUnknown) -> HttpResponse:
    messages.warning(request, str(unknown))
    return redirect("billing_profile" if unknown.needs_address else "top_up")


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
    request: CustomerRequest,
    amount_cents: int,
    notice: str = "",
    key: uuid.UUID | None = None,
    status: int = HTTPStatus.OK,
) -> HttpResponse:
    """What confirming charges and grants. Raises PurchaseRefused."""
    context = {
        "shown": packs.preview(
            customer=request.customer, amount_cents=amount_cents, now=timezone.now()
        ),
        "is_taxed": tax.is_on(),
        "notice": notice,
        "key": key or uuid.uuid4(),
        "unpaid": unpaid(request.customer.pk),
        "is_real_money": gateway().is_real_money,
    }
    return render(request, "billing/top_up_preview.html", context, status=status)
