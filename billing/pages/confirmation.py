"""Views for payments that the customer's bank wants confirmed."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts import unsent
from accounts.access import CustomerRequest, customer_required
from billing import ledger
from billing.models import Payment
from billing.payments import requests as payments
from billing.payments.gateways import GatewayDeclined, GatewayUnavailable
from jobs.errors import Rejected

from .pay_page import ON_HOLD

NOTHING_TO_CONFIRM = "There is nothing to confirm any more."


@unsent.form_only("billing")
@unsent.kept(page="billing")
@customer_required
def confirm(request: CustomerRequest, payment_id: UUID) -> HttpResponse:
    """Redirect to the bank's page."""
    payment = get_object_or_404(Payment, pk=payment_id, customer=request.customer)
    if ledger.is_on_hold(request.customer.pk):
        messages.error(request, ON_HOLD)
        return redirect("billing")
    try:
        back = reverse("payment_confirmed", args=[payment.pk])
        url = payments.confirmation_url(payment, return_url=request.build_absolute_uri(back))
    except GatewayDeclined as declined:
        messages.error(request, f"{declined} You can use another card.")
        return redirect("billing")
    except (GatewayUnavailable, Rejected):
        messages.error(
            request,
            "Your bank cannot be reached right now. Nothing was charged. Try again in a minute.",
        )
        return redirect("billing")
    if url is None:
        payments.check_confirmation(payment, now=timezone.now())
        messages.info(request, NOTHING_TO_CONFIRM)
        return redirect("billing")
    return HttpResponseRedirect(url, status=303)


@require_safe
@customer_required
def confirmed(request: CustomerRequest, payment_id: UUID) -> HttpResponse:
    """The customer is back from the bank's page, with whatever they did there."""
    payment = get_object_or_404(Payment, pk=payment_id, customer=request.customer)
    payments.check_confirmation(payment, now=timezone.now())
    return redirect("billing")


@unsent.form_only("billing")
@unsent.kept(page="billing")
@customer_required
def call_off(request: CustomerRequest, payment_id: UUID) -> HttpResponse:
    payment = get_object_or_404(Payment, pk=payment_id, customer=request.customer)
    if payments.is_unconfirmed(payment) or payments.is_unpaid(payment):
        payments.call_off(payment, failure="You called it off.", now=timezone.now())
        messages.success(request, f"The payment of {payment.amount_dollars} is being called off.")
    else:
        messages.info(request, NOTHING_TO_CONFIRM)
    return redirect("billing")
