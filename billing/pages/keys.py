"""The page of API keys: list, make, change the budget, revoke.

A new secret is in the answer to the form that made the key, and nowhere else: not in a URL, not in
the session, and no browser keeps that answer.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.functional import cached_property
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from accounts import api_keys, unsent
from accounts.access import CustomerRequest, customer_required
from accounts.fields import NumberField
from accounts.models import ApiKey
from billing import keys
from billing.ledger import Budget
from billing.models import KeyBudget

NEARLY_PERCENT = 80
OUT_OF_DATE = "This page is out of date. Press the button again."
PERIODS = {
    KeyBudget.Period.NONE: "in all, once",
    KeyBudget.Period.DAY: "each day, from 00:00 UTC",
    KeyBudget.Period.WEEK: "each week, from Monday",
    KeyBudget.Period.MONTH: "each month, from the 1st",
}
NEVER = "never"
LIFETIMES = {NEVER: "never", "30": "after 30 days", "90": "after 90 days", "365": "after a year"}


class BudgetForm(forms.Form):
    limit = NumberField(
        label="Budget in credits",
        required=False,
        help_text="Empty: the whole balance. At the budget calls are refused, nothing is charged.",
        error_messages={"invalid": "Write a whole number of credits, such as 20,000."},
    )
    period = forms.ChoiceField(label="It is for", choices=list(PERIODS.items()))

    def refuse(self, refused: api_keys.KeyRefused) -> None:
        for field, sentences in refused.errors.items():
            self.add_error(field if field in self.fields else None, sentences)


class KeyForm(BudgetForm):
    """The form of a new key. `key` makes a double click one key; programs may leave it out."""

    name = forms.CharField(
        max_length=api_keys.NAME_CHARACTERS_MAX,
        help_text="Where it will be used. Only you see it.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        error_messages={"required": "Give the key a name."},
    )
    scopes = forms.MultipleChoiceField(
        label="It may",
        choices=list(api_keys.SCOPES.items()),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose one or more."},
    )
    expires = forms.ChoiceField(label="It ends", choices=list(LIFETIMES.items()))
    key = forms.UUIDField(
        required=False,
        widget=forms.HiddenInput,
        error_messages={"invalid": OUT_OF_DATE},
    )

    field_order = ["name", "limit", "period", "scopes", "expires", "key"]

    @property
    def sent(self) -> str:
        """All that it says, as one text."""
        answers = {name: str(value) for name, value in self.cleaned_data.items()}
        return json.dumps(answers | {"key": str(self.cleaned_data["key"] or uuid.uuid4())})

    def expires_at(self, now: datetime) -> datetime | None:
        days = self.cleaned_data["expires"]
        return None if days == NEVER else now + timedelta(days=int(days))


@dataclass(frozen=True)
class Row:
    """A key as the page shows it."""

    key: ApiKey
    budget: Budget
    is_new: bool
    now: datetime

    @property
    def state(self) -> str:
        if self.key.revoked_at:
            return "revoked"
        is_over = self.key.expires_at is not None and self.key.expires_at <= self.now
        return "ended" if is_over else "active"

    @cached_property
    def percent(self) -> int:
        """How much of the budget is spent or held; 0 without one."""
        used = self.budget.spent + self.budget.held
        return min(100, 100 * used // self.budget.limit) if self.budget.limit else 0

    @property
    def is_reached(self) -> bool:
        return self.budget.remaining == 0

    @property
    def is_nearly_reached(self) -> bool:
        return self.percent >= NEARLY_PERCENT and not self.is_reached

    @property
    def bar(self) -> list[tuple[str, str, str]]:
        """Its parts, each as class, start and width in a bar of 100."""
        limit = self.budget.limit or 1
        spent = min(100.0, 100 * self.budget.spent / limit)
        held = min(100 - spent, 100 * self.budget.held / limit)
        colour = "bad" if self.is_reached else "warn" if self.is_nearly_reached else "brand"
        widths = [(f"f-{colour}", 0.0, spent), ("f-held", spent, held)]
        return [(name, f"{start:.2f}", f"{width:.2f}") for name, start, width in widths if width]


@require_http_methods(["GET", "HEAD", "POST"])
@unsent.kept("name", "limit", "period", "expires")
@customer_required
@sensitive_variables("secret")
def keys_page(request: CustomerRequest) -> HttpResponse:
    if request.method != "POST":
        change = request.GET.get("change", "")
        changed = _key_of(request, change) if change else None
        return _render(request, typed=unsent.take(request), changed=changed)
    form = KeyForm(request.POST)
    if not form.is_valid():
        return _render(request, form=form, status=422)
    now = timezone.now()
    answers = form.cleaned_data
    try:
        made, secret = keys.create(
            customer=request.customer,
            name=answers["name"],
            scopes=answers["scopes"],
            limit=answers["limit"],
            period=answers["period"],
            expires_at=form.expires_at(now),
            now=now,
            request=form.sent,
        )
    except api_keys.KeyRefused as refused:
        form.refuse(refused)
        return _render(request, form=form, status=422)
    except api_keys.AlreadyMade as again:
        return _render(request, made_before=again.key, status=409)
    return _render(request, made=made, secret=secret, status=201)


@unsent.form_only("keys")
@unsent.kept(page="keys")
@customer_required
def change_budget(request: CustomerRequest, key_id: UUID) -> HttpResponse:
    key = get_object_or_404(ApiKey, pk=key_id, customer=request.customer)
    form = BudgetForm(request.POST)
    if form.is_valid():
        try:
            keys.change(key, **form.cleaned_data, now=timezone.now())
        except api_keys.KeyRefused as refused:
            form.refuse(refused)
        else:
            messages.success(request, f"The budget of {key.name} is changed.")
            return redirect("keys")
    return _render(request, changed=key, budget_form=form, status=422)


@unsent.form_only("keys")
@unsent.kept(page="keys")
@customer_required
def revoke(request: CustomerRequest, key_id: UUID) -> HttpResponse:
    key = get_object_or_404(ApiKey, pk=key_id, customer=request.customer)
    api_keys.revoke(key, timezone.now())
    messages.success(request, f"{key.name} is revoked. Nobody can use it any more.")
    return redirect("keys")


def _key_of(request: CustomerRequest, key_id: str) -> ApiKey:
    """The customer's key of that id. Raises Http404."""
    field = forms.UUIDField()
    try:
        return get_object_or_404(ApiKey, pk=field.clean(key_id), customer=request.customer)
    except forms.ValidationError:
        return get_object_or_404(ApiKey.objects.none())


@never_cache
@sensitive_variables("secret")
def _render(
    request: CustomerRequest,
    *,
    form: KeyForm | None = None,
    typed: dict[str, str] | None = None,
    changed: ApiKey | None = None,
    budget_form: BudgetForm | None = None,
    made: ApiKey | None = None,
    secret: str = "",
    made_before: ApiKey | None = None,
    status: int = 200,
) -> HttpResponse:
    now = timezone.now()
    rows = [
        Row(each.key, each.budget, is_new=bool(made and made.pk == each.key.pk), now=now)
        for each in keys.of(request.customer, now)
    ]
    if form and form.errors.get("key"):  # a new one, or pressing again would not help
        data = request.POST.copy()
        data["key"] = str(uuid.uuid4())
        form.data = data
    context = {
        "rows": [row for row in rows if row.state == "active"],
        "over": [row for row in rows if row.state != "active"],
        "form": form or KeyForm(initial=_usual() | (typed or {})),
        "changed": changed,
        "budget_form": budget_form or (_budget_form(changed, rows) if changed else None),
        "made": made,
        "secret": secret,
        "made_before": made_before,
        "keys_max": api_keys.KEYS_MAX,
        "site_url": settings.SITE_URL,
    }
    return render(request, "billing/keys.html", context, status=status)


def _usual() -> dict[str, Any]:
    return {
        "scopes": list(api_keys.DEFAULT_SCOPES),
        "period": KeyBudget.Period.NONE,
        "expires": NEVER,
        "key": uuid.uuid4(),
    }


def _budget_form(changed: ApiKey, rows: list[Row]) -> BudgetForm:
    budget = next(row.budget for row in rows if row.key.pk == changed.pk)
    return BudgetForm(initial={"limit": budget.limit, "period": budget.period})
