"""The plans page: choosing a plan, seeing before what that does, ending it and undoing that."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from django import forms
from django.contrib import messages
from django.core import signing
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods, require_safe

from accounts import unsent, zones
from accounts.access import CustomerRequest, customer_required, next_url
from accounts.models import Customer
from billing import ledger, plans
from billing.models import Payment, Subscription
from billing.payments import cards, setups, tax
from billing.payments.gateways import gateway
from billing.subscriptions import choose as subscriptions
from billing.subscriptions import offers, trial
from billing.subscriptions.change import Kind, Preview, Shown
from billing.subscriptions.status import status_of

ENDS = "Your plan ends on {}. You will not be charged again; you can undo it until then."
ENDED = "Your plan has ended. You will not be charged again; your credits stay until they expire."
SALT = "billing.pages.plans"


class PlanForm(forms.Form):
    """The form of one plan.

    `key` makes a double click one choice. Without it, as from a program, only a plan that is live
    already is not chosen twice. `shown` are the amounts that the customer has seen, signed; without
    them a choice that costs anything leads to the page that shows them.
    """

    plan = forms.CharField(max_length=20, error_messages={"required": "Choose a plan."})
    key = forms.UUIDField(required=False)
    shown = forms.CharField(max_length=500, required=False)


@require_http_methods(["GET", "HEAD", "POST"])
@unsent.kept()
@customer_required
def plans_page(request: CustomerRequest) -> HttpResponse:
    unsent.take(request)  # only for its message: a choice of plan is not repeated automatically
    form = PlanForm(request.POST if request.method == "POST" else None)
    status = HTTPStatus.OK if request.method != "POST" else HTTPStatus.UNPROCESSABLE_ENTITY
    if request.method == "POST" and form.is_valid():
        shown = _unsigned(form.cleaned_data["shown"])
        try:
            subscription = subscriptions.select_plan(
                customer=request.customer,
                plan=form.cleaned_data["plan"],
                key=str(form.cleaned_data["key"] or uuid.uuid4()),
                now=timezone.now(),
                shown=shown,
            )
        except subscriptions.NotAgreed as refused:
            if shown is None:  # nothing was shown yet
                return redirect(_preview_url(form.cleaned_data["plan"]))
            return _preview_page(request, refused.preview, HTTPStatus.CONFLICT, str(refused))
        except (subscriptions.NeedsCard, subscriptions.TotalUnknown):
            return redirect(_preview_url(form.cleaned_data["plan"]))
        except subscriptions.PlanRefused as refused:
            form.add_error("plan", str(refused))
            if not isinstance(refused, subscriptions.NotSelectable):  # possible at another time
                status = HTTPStatus.CONFLICT
        else:
            _tell(request, subscription, form.cleaned_data["plan"])
            return redirect(next_url(request) or "plans")
    context = _context(request.customer) | {"form": form}
    return render(request, "billing/plans.html", context, status=status)


@require_safe
@customer_required
def preview_page(request: CustomerRequest) -> HttpResponse:
    """What choosing the plan charges and changes, with the button that does it."""
    try:
        found = subscriptions.preview_plan(
            customer=request.customer, plan=request.GET.get("plan", "")[:20], now=timezone.now()
        )
    except subscriptions.TotalUnknown as unknown:
        messages.warning(request, str(unknown))
        return redirect("billing_profile" if unknown.needs_address else "plans")
    except subscriptions.PlanRefused as refused:
        messages.error(request, str(refused))
        return redirect("plans")
    if not found.costs:
        return redirect("plans")
    return _preview_page(request, found, HTTPStatus.OK)


@unsent.form_only("plans")
@unsent.kept(page="plans")
@customer_required
def cancel_plan(request: CustomerRequest) -> HttpResponse:
    try:
        ended = subscriptions.cancel(customer=request.customer, now=timezone.now())
    except subscriptions.PlanRefused as refused:
        messages.error(request, str(refused))
    else:
        if ended and ended.period_end_at and ended.next_plan:
            messages.success(
                request, ENDS.format(zones.day(request.customer.user, ended.period_end_at))
            )
        elif ended:
            messages.success(request, ENDED)
    return redirect("plans")


def _preview_page(
    request: CustomerRequest, found: Preview, status: HTTPStatus, changed: str = ""
) -> HttpResponse:
    customer = request.customer
    card, available = cards.card_of(customer.pk), ledger.wallet_of(customer.pk).available
    former = found.former
    context = {
        "preview": found,
        "changed": changed,
        "is_taxed": tax.is_on(),
        "is_downgrade": found.kind == Kind.DOWNGRADE,
        "key": uuid.uuid4(),
        "shown": _signed(found.shown),
        "holds_until": found.at + subscriptions.SHOWN_FOR,
        "former_plan": former and plans.PLANS[former.plan],
        "trial": former if former and plans.PLANS[former.plan].once else None,
        "percents": {
            "time": round(found.time_share * 100),
            "credits": round(found.credit_share * 100),
            "paid_back": round(min(found.time_share, found.credit_share) * 100),
        },
        "counts_time": found.time_share <= found.credit_share,
        "credits": {
            "left": ledger.unreserved(found.grant, timezone.now()) if found.grant else 0,
            "granted": found.grant.granted if found.grant else 0,
            "available": available,
            "after": available - found.taken_back_credits + found.plan.credits,
        },
        "card_label": card.label if card else "",
        "needs_card": bool(found.due_cents) and card is None,
        "is_card_under_way": setups.is_under_way(customer, timezone.now()),
        "is_real_money": gateway().is_real_money,
    }
    return render(request, "billing/change.html", context, status=status)


def _preview_url(plan: str) -> str:
    return f"{reverse('plan_preview')}?{urlencode({'plan': plan})}"


def _signed(shown: Shown) -> str:
    """The amounts in a form field, so that nobody can send others than were shown."""
    amounts = [
        shown.due_cents,
        shown.paid_back_cents,
        shown.taken_back_credits,
        shown.next_cents,
        shown.due_tax_cents,
        shown.next_tax_cents,
    ]
    return signing.dumps([shown.at.isoformat(), *amounts], salt=SALT)


def _unsigned(field: str) -> Shown | None:
    """What `_signed` has made, None of anything else."""
    try:
        at, *amounts = signing.loads(field, salt=SALT)
        return Shown(datetime.fromisoformat(at), *amounts)
    except (signing.BadSignature, TypeError, ValueError):
        return None


def _tell(request: CustomerRequest, subscription: Subscription, chosen: str) -> None:
    name = plans.PLANS[chosen].name
    if subscription.state == Subscription.State.ACTIVE and subscription.plan != chosen:
        if subscription.next_plan == chosen and subscription.period_end_at:
            day = zones.day(request.customer.user, subscription.period_end_at)
            messages.success(request, f"{name} follows on {day}. You can undo it until then.")
    elif subscription.state == Subscription.State.ACTIVE:
        messages.success(request, f"{name} is your plan.")
    elif subscription.state != Subscription.State.REQUESTED:  # an old form sent again
        messages.error(
            request, subscription.failure or f"This choice of {name} has ended. Choose again."
        )


def _current(row: Subscription) -> dict[str, Any]:
    """The current plan, and what its next period costs if it goes on, with tax."""
    plan = plans.PLANS[row.plan]
    next_cents = tax.with_tax(row.customer_id, plan.price_cents or 0)
    return {"row": row, "plan": plan, "next_cents": next_cents}


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
    trial_had = mine.filter(plan="trial").exists()
    trial_used = trial_had or trial.had_paid_plan(customer)
    card = cards.card_of(customer.pk)
    return {
        "cards": [
            {
                "plan": plan,
                "key": uuid.uuid4(),
                "is_current": bool(current and current.plan == plan.key),
                "is_next": bool(current and current.next_plan == plan.key),
                "is_requested": bool(requested and requested.plan == plan.key),
                "is_used": plan.once and (trial_used or current is not None),
                "is_locked": requested is not None,
                "is_unconfirmed": plan.once and not trial.is_confirmed(customer),
            }
            for plan in plans.PLANS.values()
        ],
        "trial_had": trial_had,
        "offer_percent": offers.percent_off(customer, timezone.now()),
        "current": current and _current(current),
        "status": status_of(current, timezone.now()) if current else None,
        "requested": requested and plans.PLANS[requested.plan],
        "failure": last.failure if last else "",
        "card_label": card.label if card else "",
        "unconfirmed": Payment.objects.filter(
            customer=customer, state=Payment.State.REQUIRES_ACTION, failure=""
        ).exists(),
        "is_real_money": gateway().is_real_money,
        "credits_per_dollar": plans.CREDITS_PER_DOLLAR,
    }
