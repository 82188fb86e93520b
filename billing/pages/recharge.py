"""The auto-recharge settings with their preview, their card on Billing, and the link in mails."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from accounts import unsent
from accounts.access import CustomerRequest, customer_required
from accounts.fields import NumberField
from accounts.models import Customer
from billing import plans, recharge
from billing.models import AutoRecharge, Recharge
from billing.payments import cards, setups, tax
from billing.payments.gateways import gateway
from billing.recharge import last_month, limits, one_click

from .cards import RECHARGE_DRAFT
from .fields import DollarsField


class RechargeForm(forms.Form):
    """`key` makes a double click one charge. `shown_cents` is what the customer agreed to."""

    enabled = forms.BooleanField(label="Recharge automatically", required=False)
    threshold_credits = NumberField(
        label="When this many credits or fewer are left",
        help_text=f"At least {plans.RECHARGE_THRESHOLD_CREDITS_MIN:,} credits ($5).",
    )
    recharge_to_credits = NumberField(
        label="Top up to",
        help_text=f"At least {plans.RECHARGE_CREDITS_MIN:,} credits ($10) more than the "
        "number above, the smallest payment there is.",
    )
    limit = DollarsField(
        label="At most in a calendar month, in dollars",
        required=False,
        help_text="Nothing is charged beyond it. Empty: three recharges.",
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
        error_messages={"invalid": "Write an amount in dollars, such as 150 or 131.25."},
    )
    key = forms.UUIDField(required=False, widget=forms.HiddenInput)
    shown_cents = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def __init__(
        self,
        *args: Any,
        reason: str = "",
        with_tax: Callable[[int], int] = int,
        **options: Any,
    ) -> None:
        """`reason`: why the customer cannot switch it on, '' if they can.

        `with_tax` says what a price in cents comes to.
        """
        super().__init__(*args, **options)
        self.reason, self.with_tax = reason, with_tax
        if recharge.is_metronomes():  # then nobody could keep it
            del self.fields["limit"]

    def clean(self) -> dict[str, Any]:
        """Check each answer even if others are wrong, so that one correction is enough."""
        answers = self.cleaned_data
        if answers.get("enabled") and self.reason:
            self.add_error("enabled", self.reason)
        errors = recharge.errors_of(
            answers.get("threshold_credits"),
            answers.get("recharge_to_credits"),
            answers.get("limit"),
            self.with_tax,
        )
        for field, sentence in errors.items():
            self.add_error(field, sentence)
        return answers

    @property
    def numbers(self) -> dict[str, Any]:
        """The settings as workflows take them."""
        answers = self.cleaned_data
        return {
            "threshold_credits": answers["threshold_credits"],
            "recharge_to_credits": answers["recharge_to_credits"],
            "limit_cents": answers.get("limit"),
        }


@require_http_methods(["GET", "HEAD", "POST"])
@unsent.kept("enabled", "threshold_credits", "recharge_to_credits", "limit")
@customer_required
def recharge_settings(request: CustomerRequest) -> HttpResponse:
    customer, now = request.customer, timezone.now()
    row = AutoRecharge.objects.filter(customer=customer).first()
    reason = "" if row and row.enabled else recharge.why_not_on(customer)
    initial = _initial(row) | _draft(request) | unsent.take(request)
    with_tax = partial(tax.with_tax, customer.pk)
    form = RechargeForm(request.POST or None, initial=initial, reason=reason, with_tax=with_tax)
    if request.method == "POST" and form.is_valid():
        answers = form.cleaned_data
        try:
            saved = recharge.save_settings(
                customer=customer,
                enabled=answers["enabled"],
                **form.numbers,
                shown_cents=answers["shown_cents"] or 0,
                key=answers["key"],
                now=now,
            )
        except recharge.NotShown as changed:
            return _render_preview(request, form, changed, now)
        except recharge.SettingsInvalid as invalid:
            for field, sentence in invalid.errors.items():
                form.add_error(field, sentence)
        else:
            _tell(request, saved)
            return redirect("billing")
    return _render_form(request, form, row, now)


@never_cache
@csrf_exempt  # the signed link says who asks
@require_http_methods(["GET", "HEAD", "POST"])
def switch_off(request: HttpRequest, token: str) -> HttpResponse:
    """What the link in mails leads to: a page with one button, which switches off. Programs that
    look at links before their reader does change nothing."""
    try:
        if request.method == "POST":
            one_click.switch_off_by_link(token=token, now=timezone.now())
        owner = one_click.customer_of(token)
    except one_click.LinkInvalid:
        return render(request, "billing/recharge_off.html", {}, status=HTTPStatus.NOT_FOUND)
    row = AutoRecharge.objects.filter(customer=owner).first()
    context = {"owner": owner, "is_on": bool(row and row.enabled)}
    return render(request, "billing/recharge_off.html", context)


def card(customer: Customer, now: datetime) -> dict[str, Any]:
    """Context of billing/_recharge.html: the settings, and how much of the month is used."""
    row = AutoRecharge.objects.filter(customer=customer).first()
    return {
        "auto_recharge": row,
        "has_no_limit": recharge.is_metronomes(),
        "recharge_month": row and limits.this_month(customer.pk, row, now),
        **_waiting(customer, row, now),
    }


def _waiting(customer: Customer, row: AutoRecharge | None, now: datetime) -> dict[str, Any]:
    """The recharge that waits because two were charged within ten minutes."""
    waits = Recharge.objects.open().filter(
        customer=customer, state=Recharge.State.REQUESTED, due_at__gt=now, attempts=0
    )
    waiting = waits.first() if row else None
    return {
        "recharge_waits": waiting,
        "recharge_waits_cents": waiting and tax.with_tax(customer.pk, waiting.amount_cents),
    }


def _initial(row: AutoRecharge | None) -> dict[str, Any]:
    return {
        "enabled": row.enabled if row else False,
        "threshold_credits": row.threshold_credits
        if row
        else plans.RECHARGE_THRESHOLD_CREDITS_DEFAULT,
        "recharge_to_credits": row.recharge_to_credits
        if row
        else plans.RECHARGE_TO_CREDITS_DEFAULT,
        "limit": row.limit_cents if row else None,
        "key": uuid.uuid4(),
    }


def _draft(request: CustomerRequest) -> dict[str, Any]:
    """What was typed before a card was saved, as the address says it after that."""
    return {name: request.GET[name] for name in RECHARGE_DRAFT if name in request.GET}


def _tell(request: CustomerRequest, saved: AutoRecharge) -> None:
    if not saved.enabled:
        messages.success(request, "Auto-recharge is off.")
    elif saved.paused_until_at:
        until = f"{saved.paused_until_at:%-d %B} (UTC)"
        messages.warning(
            request,
            f"Auto-recharge is on, and at its limit: nothing is charged until {until}.",
        )
    else:
        messages.success(request, "Auto-recharge is on.")


def _render_form(
    request: CustomerRequest, form: RechargeForm, row: AutoRecharge | None, now: datetime
) -> HttpResponse:
    customer = request.customer
    numbers = form.numbers if form.is_bound and form.is_valid() else _numbers_of(row)
    threshold, recharge_to = numbers["threshold_credits"], numbers["recharge_to_credits"]
    limit = numbers["limit_cents"]
    once_most_cents = plans.recharge_limit_cents(recharge_to) // plans.RECHARGE_LIMIT_RECHARGES
    three_cents = plans.RECHARGE_LIMIT_RECHARGES * form.with_tax(once_most_cents)
    most_cents = three_cents if limit is None else limit
    context = {
        "form": form,
        "auto_recharge": row,
        "reason": form.reason,
        "needs_card": form.reason == recharge.SAVE_A_CARD,
        "is_card_under_way": setups.is_under_way(customer, now),
        "threshold": threshold,
        "recharge_to": recharge_to,
        "once_cents": form.with_tax(plans.cents_of(recharge_to - threshold)),
        "is_taxed": tax.is_on(),
        "is_tax_known": not tax.why_not(customer.pk),
        # A plan and a card come first, and then the reason is another one.
        "needs_address": form.reason == tax.why_not(customer.pk) and tax.needs_address(customer.pk),
        "has_limit": limit is not None,
        "has_no_limit": recharge.is_metronomes(),
        "most_cents": most_cents,
        "last_month": last_month.replay(
            customer_id=customer.pk,
            threshold_credits=threshold,
            recharge_to_credits=recharge_to,
            limit_cents=limit,
            now=now,
        ),
        "credits_per_dollar": plans.CREDITS_PER_DOLLAR,
        "is_real_money": gateway().is_real_money,
        **_waiting(customer, row, now),
    }
    return render(request, "billing/recharge.html", context)


def _numbers_of(row: AutoRecharge | None) -> dict[str, Any]:
    initial = _initial(row)
    return initial | {"limit_cents": initial["limit"]}


def _render_preview(
    request: CustomerRequest, form: RechargeForm, changed: recharge.NotShown, now: datetime
) -> HttpResponse:
    """What saving would charge at once, to be confirmed. 409 if something else had been shown."""
    was_shown = form.cleaned_data["shown_cents"]
    method = cards.card_of(request.customer.pk)
    at_once = changed.at_once
    waits = at_once and at_once.charged_at > now and not recharge.is_metronomes()
    context = {
        "waits_until": at_once.charged_at if at_once and waits else None,
        "answers": form.cleaned_data,
        "key": form.cleaned_data["key"] or uuid.uuid4(),
        "at_once": at_once,
        "is_taxed": tax.is_on(),
        "has_no_limit": recharge.is_metronomes(),
        "has_changed": was_shown is not None,
        "card_label": method.label if method else "",
        "is_real_money": gateway().is_real_money,
    }
    status = HTTPStatus.OK if was_shown is None else HTTPStatus.CONFLICT
    return render(request, "billing/recharge_preview.html", context, status=status)
