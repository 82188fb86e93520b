"""The admin page that shows what refunding a payment would do, and does exactly that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from billing import plans
from billing.models import Payment, PaymentAlert
from billing.models.payments import dollars
from billing.refunds import requests as refunds
from billing.refunds.preview import NotRefundable, Preview, preview
from operations.confirmation import Reason

if TYPE_CHECKING:
    from .payments import PaymentAdmin

ADVICE = {
    PaymentAlert.Kind.EARLY_WARNING: ("A refund now usually avoids the dispute and its fee."),
    PaymentAlert.Kind.REVIEW: "Stripe wants somebody to look at it, in its Dashboard.",
    PaymentAlert.Kind.FOREIGN_REFUND: (
        "Somebody paid this back at Stripe. Credits and plan are as before: decide about them."
    ),
}


def address(payment_id: UUID) -> str:
    return reverse("admin:billing_payment_refund", args=[payment_id])


def page(admin: PaymentAdmin, request: HttpRequest, payment_id: UUID) -> HttpResponse:
    if not admin.has_operate_permission(request):
        raise PermissionDenied
    rows = Payment.objects.select_related("customer__user", "subscription", "grant")
    payment = get_object_or_404(rows, pk=payment_id)
    now, found, refusal = timezone.now(), None, ""
    try:
        found = preview(payment, now)
    except NotRefundable as reason:
        refusal = str(reason)
    form = Reason(request.POST if request.method == "POST" else None)
    if found and form.is_valid():
        try:
            made = refunds.request(
                payment,
                shown=request.POST.get("shown", ""),
                reason=form.cleaned_data["reason"],
                by=User.objects.get(pk=request.user.pk or 0),
                now=now,
            )
        except refunds.NotAgreed as changed:
            admin.message_user(request, f"{changed} Look at it again.", messages.WARNING)
            found = preview(payment, now)
        except NotRefundable as reason:
            found, refusal = None, str(reason)
        else:
            note = f"Refund of {made.amount_dollars} and {made.credits:,} credits: {made.reason}"
            admin.log(request, [payment], note)
            admin.message_user(request, f"{made.amount_dollars} are being paid back.")
            url = reverse("admin:billing_payment_change", args=[payment.pk])
            return HttpResponseRedirect(url)
    context = admin.admin_site.each_context(request) | {
        "title": f"Refund {payment.amount_dollars} of {payment.customer}",
        "opts": admin.opts,
        "payment": payment,
        "found": found,
        "rows": _rows(found) if found else [],
        "refusal": refusal,
        "form": form,
        "button": f"Refund {dollars(found.amount_cents)}" if found else "",
        "alerts": [
            (alert, ADVICE[PaymentAlert.Kind(alert.kind)])
            for alert in payment.alerts.filter(closed_at=None)
        ],
    }
    return TemplateResponse(request, "admin/billing/payment/refund.html", context)


def _rows(found: Preview) -> list[tuple[str, Any]]:
    """What it does, line by line."""
    amount = dollars(found.amount_cents)
    if found.grant:
        share = f"{found.credits:,} of {found.credits_granted:,} credits are left"
        with_tax = " and its share of the tax" if found.payment.tax_cents else ""
        of = f"{dollars(found.price_cents)}{with_tax}"
        rows = [
            ("Paid back to the card", f"{amount}: {share}, of {of}"),
            ("Credits taken back", f"{found.credits:,} of “{found.grant.name}”"),
        ]
    else:
        rows = [
            ("Paid back to the card", f"{amount}: all of it, its credits were never granted"),
            ("Credits taken back", "none"),
        ]
    if found.ends:
        plan = plans.PLANS[found.ends.plan].name
        rows.append(("What ends", f"the {plan} plan, at once; nothing is renewed"))
    if found.switches_recharge_off:
        rows.append(("Auto-recharge", "is switched off; only the customer switches it on again"))
    return rows
