"""The admin page that compares one wallet with Metronome and with its payments, and repairs it.

It calls Metronome during the request, as the health page does. Without a response it shows only our
own figures.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from billing import metronome, repair
from billing.models import Drift, Payment, Wallet
from billing.sync import reconcile
from billing.sync.drift import ADJUST_CREDITS_MAX
from jobs.errors import Rejected, Unavailable

if TYPE_CHECKING:
    from .wallets import WalletAdmin

CALL_SECONDS = 5  # per call to Metronome, without retries
ROWS_SHOWN = 30  # grants and payments, the latest


def address(wallet_id: int) -> str:
    return reverse("admin:billing_wallet_reconcile", args=[wallet_id])


def page(admin: WalletAdmin, request: HttpRequest, wallet_id: int) -> HttpResponse:
    wallet = get_object_or_404(Wallet.objects.select_related("customer__user"), pk=wallet_id)
    may_repair, may_agree = (
        admin.has_operate_permission(request),
        request.user.has_perm("billing.change_drift"),
    )
    if not (may_repair if request.method == "POST" else admin.has_view_permission(request, wallet)):
        raise PermissionDenied
    if request.method == "POST":
        _repair(admin, request, wallet, agrees=may_agree and "agree" in request.POST)
        return HttpResponseRedirect(address(wallet_id))

    account, error = None, ""
    try:
        with metronome.call_timeout(CALL_SECONDS):
            account = reconcile.read_account(wallet, now=timezone.now())
    except (Unavailable, Rejected) as trouble:
        error = str(trouble).rstrip(".")
    payments = (
        Payment.objects.filter(customer=wallet.customer_id)
        .select_related("grant")
        .order_by("-created_at")
    )
    size = abs(account.difference) if account else 0
    paid_cents = account.paid_cents if account else reconcile.paid_cents(wallet)
    context = admin.admin_site.each_context(request) | {
        "title": f"Reconcile {wallet.customer}",
        "wallet": wallet,
        "account": account,
        "error": error,
        "size": size,
        "pairs": account.pairs[:ROWS_SHOWN] if account else (),
        "payments": payments[:ROWS_SHOWN],
        "paid": f"{paid_cents / 100:,.2f}",
        "may_repair": may_repair,
        "may_agree": may_agree and size > ADJUST_CREDITS_MAX,
        "drift": Drift.objects.filter(wallet=wallet, state=Drift.State.OPEN)
        .select_related("approved_by")
        .first(),
    }
    return TemplateResponse(request, "admin/billing/wallet/reconcile.html", context)


def _repair(admin: WalletAdmin, request: HttpRequest, wallet: Wallet, *, agrees: bool) -> None:
    """Run the repair.

    The form field `agree` is the difference that was shown: only a difference of that size is
    approved."""
    shown = request.POST.get("agree", "")
    difference = int(shown) if agrees and re.fullmatch(r"-?[0-9]{1,18}", shown) else None
    by = User.objects.get(pk=request.user.pk or 0) if difference is not None else None
    # Logged before the repair: approval and retries take effect even if Metronome does not respond.
    admin.log(
        request,
        [wallet],
        f"Reconcile{f', agreeing to adjust by {difference:+,} credits' if by else ''}.",
    )
    try:
        with metronome.call_timeout(CALL_SECONDS):
            repair.repair(wallet, by=by, difference=difference, now=timezone.now())
    except (Unavailable, Rejected) as trouble:
        admin.message_user(
            request,
            f"{str(trouble).rstrip('.')}. Nothing is lost: a worker goes on with it.",
            messages.ERROR,
        )
        return
    admin.message_user(
        request, "Grants and balance were read again and payments tried again.", messages.SUCCESS
    )
