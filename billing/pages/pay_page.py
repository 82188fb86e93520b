"""Views around the gateway's page where a top-up is paid: going there again, and coming back."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts import unsent
from accounts.access import CustomerRequest, customer_required
from billing import ledger
from billing.models import Payment
from billing.payments import pay_page
from billing.payments import requests as payments
from billing.payments.gateways import GatewayDeclined
from jobs.errors import Rejected, Unavailable

from .cards import elsewhere

AWAY = "The page for paying cannot be opened right now. Nothing was charged. Try again in a minute."
ON_HOLD = "Your credits are on hold. Nothing can be paid until that is settled."
NOTHING_TO_PAY = "There is nothing to pay there any more."


def urls(request: CustomerRequest, payment: Payment) -> tuple[str, str]:
    """Where the customer returns to from the page: having paid, and not."""
    names = "payment_paid", "payment_left"
    done, left = (request.build_absolute_uri(reverse(name, args=[payment.pk])) for name in names)
    return done, left


@unsent.form_only("billing")
@unsent.kept(page="billing")
@customer_required
def pay(request: CustomerRequest, payment_id: UUID) -> HttpResponse:
    """Redirect to the page of a payment that was left unpaid."""
    payment = get_object_or_404(Payment, pk=payment_id, customer=request.customer)
    if ledger.is_on_hold(request.customer.pk):
        messages.error(request, ON_HOLD)
        return redirect("billing")
    try:
        url = pay_page.open_page(payment, now=timezone.now())
    except (Unavailable, Rejected, GatewayDeclined):
        messages.error(request, AWAY)
        return redirect("billing")
    if url:
        return elsewhere(url)
    messages.info(request, NOTHING_TO_PAY)
    return redirect("billing")


@require_safe
@customer_required
def paid(request: CustomerRequest, payment_id: UUID) -> HttpResponse:
    """The customer is back from the page, having paid."""
    pay_page.came_back(customer=request.customer, payment_id=payment_id, now=timezone.now())
    return redirect("billing")


@require_safe
@customer_required
def left(request: CustomerRequest, payment_id: UUID) -> HttpResponse:
    """The customer is back from the page by its link that leads back without paying."""
    payment = get_object_or_404(Payment, pk=payment_id, customer=request.customer)
    if request.method == "GET" and payments.is_unpaid(payment):
        payments.call_off(payment, failure=pay_page.LEFT, now=timezone.now())
        messages.info(request, f"You did not pay the {payment.amount_dollars}. Nothing is charged.")
    return redirect("billing")
