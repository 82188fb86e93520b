"""Views for the card a customer pays with: added and replaced at the gateway's page, removed."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from accounts import unsent
from accounts.access import CustomerRequest, customer_required
from billing import plans
from billing.models import CardSetup
from billing.payments import cards, setups
from jobs.errors import Rejected, Unavailable

AWAY = "The page for cards cannot be opened right now. Nothing was changed. Try again in a minute."
REMOVED = "Your card is removed. Add another one before your plan renews, or the renewal fails."
IN_USE = "A payment is being made with this card. Remove it when the payment is done."


# What is typed into the settings of recharges before a card is saved.
RECHARGE_DRAFT = "enabled", "threshold_credits", "recharge_to_credits", "limit"
DRAFT_CHARACTERS_MAX = 40


@unsent.form_only("billing")
@unsent.kept(page="billing")
@customer_required
def add_card(request: CustomerRequest) -> HttpResponse:
    """Redirect to the gateway's page for a new card, which replaces the one there is.

    From there the customer returns to the page that needed a card, which `back` in the form names.
    """
    back_to = _back_to(request)

    def done_url(setup: CardSetup) -> str:
        return request.build_absolute_uri(reverse("card_done", args=[setup.pk]))

    try:
        url = setups.begin(
            customer=request.customer,
            done_url=done_url,
            cancel_url=request.build_absolute_uri(back_to),
            back_to=back_to,
            now=timezone.now(),
        )
    except (Unavailable, Rejected):
        messages.error(request, AWAY)
    else:
        return elsewhere(url)
    return redirect(back_to)


@require_safe
@customer_required
def card_done(request: CustomerRequest, setup_id: UUID) -> HttpResponse:
    """The customer is back from that page."""
    back_to = setups.came_back(customer=request.customer, setup_id=setup_id, now=timezone.now())
    return redirect(back_to or "billing")


@unsent.form_only("billing")
@unsent.kept(page="billing")
@customer_required
def remove_card(request: CustomerRequest) -> HttpResponse:
    try:
        is_removed = setups.remove_card(customer=request.customer, now=timezone.now())
    except cards.CardInUse:
        messages.error(request, IN_USE)
    else:
        if is_removed:
            messages.success(request, REMOVED)
    return redirect("billing")


@unsent.form_only("billing")
@unsent.kept(page="billing")
@customer_required
def portal(request: CustomerRequest) -> HttpResponse:
    """Redirect to the gateway's page for billing address and tax id."""
    try:
        url = setups.portal_url(
            customer=request.customer, return_url=request.build_absolute_uri(reverse("billing"))
        )
    except (Unavailable, Rejected):
        messages.error(request, AWAY)
    else:
        return elsewhere(url)
    return redirect("billing")


def _back_to(request: CustomerRequest) -> str:
    """The path of the page that needed a card, with what was chosen there."""
    names = "back", "plan", *RECHARGE_DRAFT
    sent = {name: request.POST.get(name, "")[:DRAFT_CHARACTERS_MAX] for name in names}
    if sent["back"] == "plan" and sent["plan"] in plans.PLANS:
        return f"{reverse('plan_preview')}?{urlencode({'plan': sent['plan']})}"
    if sent["back"] == "recharge":
        draft = {name: sent[name] for name in RECHARGE_DRAFT if sent[name]}
        return f"{reverse('recharge')}?{urlencode(draft)}"
    return reverse("billing")


def elsewhere(url: str) -> HttpResponse:
    """A redirect that turns the POST into a GET in every browser."""
    return HttpResponseRedirect(url, status=303)
