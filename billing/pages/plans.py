"""The plans page, where customers see and choose plans, and end theirs."""

from __future__ import annotations

import uuid
from datetime import timedelta
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
from accounts.models import Customer
from billing import plans
from billing.models import Payment, Subscription
from billing.payments import cards
from billing.payments.gateways import gateway
from billing.subscriptions import choose as subscriptions

ENDED = "Your plan has ended. You will not be charged again; your credits stay until they expire."


class PlanForm(forms.Form):
    """The form of one plan.

    `key` makes a double click one choice. Without it, as from a program, only a plan that is live
    already is not chosen twice.
    """

    plan = forms.CharField(max_length=20, error_messages={"required": "Choose a plan."})
    key = forms.UUIDField(required=False)


@require_http_methods(["GET", "HEAD", "POST"])
@unsent.kept()
@customer_required
def plans_page(request: CustomerRequest) -> HttpResponse:
    unsent.take(request)  # only for its message: a choice of plan is not repeated automatically
    form = PlanForm(request.POST if request.method == "POST" else None)
    status = HTTPStatus.OK if request.method != "POST" else HTTPStatus.UNPROCESSABLE_ENTITY
    if request.method == "POST" and form.is_valid():
        try:
            subscription = subscriptions.select_plan(
                customer=request.customer,
                plan=form.cleaned_data["plan"],
                key=str(form.cleaned_data["key"] or uuid.uuid4()),
                now=timezone.now(),
            )
        except subscriptions.PlanRefused as refused:
            form.add_error("plan", str(refused))
            if not isinstance(refused, subscriptions.NotSelectable):  # possible at another time
                status = HTTPStatus.CONFLICT
        else:
            _tell(request, subscription)
            return redirect("plans")
    context = _context(request.customer) | {"form": form}
    return render(request, "billing/plans.html", context, status=status)


@unsent.form_only("plans")
@unsent.kept(page="plans")
@customer_required
def cancel_plan(request: CustomerRequest) -> HttpResponse:
    try:
        ended = subscriptions.cancel(customer=request.customer, now=timezone.now())
    except subscriptions.PlanRefused as refused:
        messages.error(request, str(refused))
    else:
        if ended:
            messages.success(request, ENDED)
    return redirect("plans")


def _tell(request: CustomerRequest, subscription: Subscription) -> None:
    name = plans.PLANS[subscription.plan].name
    if subscription.state == Subscription.State.ACTIVE:
        messages.success(request, f"{name} is your plan.")
    elif subscription.state != Subscription.State.REQUESTED:  # an old form sent again
        messages.error(
            request, subscription.failure or f"This choice of {name} has ended. Choose again."
        )


def _context(customer: Customer) -> dict[str, Any]:
    mine = Subscription.objects.filter(customer=customer)
    current, requested = (
        subscriptions.current_plan(customer),
        subscriptions.requested_plan(customer),
    )
    last = mine.order_by("-created_at", "-pk").first()
    # If there is an active plan, the failure of another choice is shown for one day only.
    if current and last and last.ended_at and last.ended_at < timezone.now() - timedelta(days=1):
        last = None
    trial_used = mine.filter(plan="trial").exists()
    card = cards.shown(customer.pk)
    return {
        "cards": [
            {
                "plan": plan,
                "key": uuid.uuid4(),
                "is_current": bool(current and current.plan == plan.key),
                "is_requested": bool(requested and requested.plan == plan.key),
                "is_used": plan.once and (trial_used or current is not None),
                "is_locked": requested is not None,
            }
            for plan in plans.PLANS.values()
        ],
        "current": current and {"row": current, "plan": plans.PLANS[current.plan]},
        "requested": requested and plans.PLANS[requested.plan],
        "failure": last.failure if last else "",
        "card_label": card.label if card else "",
        "unconfirmed": Payment.objects.filter(
            customer=customer, state=Payment.State.REQUIRES_ACTION, failure=""
        ).exists(),
        "is_real_money": gateway().is_real_money,
        "credits_per_dollar": plans.CREDITS_PER_DOLLAR,
    }
