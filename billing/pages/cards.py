"""Views for the card a customer pays with: added and replaced at the gateway's page, removed."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts import unsent
from accounts.access import CustomerRequest, customer_required
from billing.models import CardSetup
from billing.payments import cards, setups
from jobs.errors import Rejected, Unavailable

AWAY = "The page for cards cannot be opened right now. Nothing was changed. Try again in a minute."
NO_PAGE = "Choose one of the cards shown."
REMOVED = "Your card is removed. Add another one before your plan renews, or the renewal fails."
IN_USE = "A payment is being made with this card. Remove it when the payment is done."


@unsent.form_only("billing")
@unsent.kept(page="billing")
@customer_required
def add_card(request: CustomerRequest) -> HttpResponse:
    """Redirect to the gateway's page for a new card, which replaces the one there is."""

    def done_url(setup: CardSetup) -> str:
        return request.build_absolute_uri(reverse("card_done", args=[setup.pk]))

    try:
        url = setups.begin(
            customer=request.customer,
            done_url=done_url,
            cancel_url=request.build_absolute_uri(reverse("billing")),
            now=timezone.now(),
        )
    except setups.NoHostedPage:
        messages.error(request, NO_PAGE)
    except (Unavailable, Rejected):
        messages.error(request, AWAY)
    else:
        return _elsewhere(url)
    return redirect("billing")


@require_safe
@customer_required
def card_done(request: CustomerRequest, setup_id: UUID) -> HttpResponse:
    """The customer is back from that page."""
    setups.came_back(customer=request.customer, setup_id=setup_id, now=timezone.now())
    return redirect("billing")


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
    except setups.NoHostedPage:
        messages.error(request, "There is no such page for test cards.")
    except (Unavailable, Rejected):
        messages.error(request, AWAY)
    else:
        return _elsewhere(url)
    return redirect("billing")


def _elsewhere(url: str) -> HttpResponse:
    """A redirect that turns the POST into a GET in every browser."""
    return HttpResponseRedirect(url, status=303)
