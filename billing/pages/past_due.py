"""The button that pays a declined renewal now."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from accounts import unsent
from accounts.access import CustomerRequest, customer_required
from billing.models import Payment
from billing.subscriptions import dunning
from billing.subscriptions.choose import PlanRefused

OLD_PAGE = "This page was out of date. Nothing was charged. Look at it again."


@unsent.form_only("billing")
@unsent.kept(page="billing")
@customer_required
def pay_now(request: CustomerRequest) -> HttpResponse:
    """Try the payment again. `tried` in the form names the charge that was shown as declined."""
    tried = request.POST.get("tried", "")
    if not (tried.isascii() and tried.isdecimal() and len(tried) < 5):
        messages.error(request, OLD_PAGE)
        return redirect("billing")
    try:
        payment = dunning.pay_now(customer=request.customer, tried=int(tried), now=timezone.now())
    except PlanRefused as refused:
        messages.error(request, str(refused))
    else:
        if payment.state == Payment.State.FAILED:  # tried meanwhile, and declined again
            messages.error(request, OLD_PAGE)
        else:
            messages.success(request, f"The payment of {payment.amount_dollars} is being tried.")
    return redirect("billing")
