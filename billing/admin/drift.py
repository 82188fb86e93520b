"""Differences between a wallet and Metronome, and the agreement to adjust the wallet."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html

from billing.models import Drift
from billing.sync.drift import approve_drift
from operations.admin import ReadOnlyAdmin
from operations.command import Refused
from operations.confirmation import confirmed

from . import reconcile
from .owners import OfWallet


@admin.register(Drift)
class DriftAdmin(OfWallet, ReadOnlyAdmin):
    list_display = (
        "owner",
        "state",
        "difference",
        "wallet_balance",
        "metronome_balance",
        "first_seen_at",
        "last_seen_at",
        "approved_by",
    )
    list_filter = ("state",)
    list_select_related = ("wallet__customer__user", "approved_by")
    actions = ["approve"]

    def page_context(self, request: HttpRequest, row: Drift) -> dict[str, Any]:
        link = format_html('<a href="{}">Reconcile</a>', reconcile.address(row.wallet_id))
        return super().page_context(request, row) | {"tools": [link]}

    @confirmed(
        "Agree to adjust",
        explains=(
            "The wallet is brought to Metronome's balance, "
            "if the difference is still the same at the next look."
        ),
        applies=lambda drift: drift.state == Drift.State.OPEN and drift.approved_by_id is None,
    )
    def approve(self, request: HttpRequest, queryset: QuerySet[Drift]) -> None:
        def approve(drift: Drift) -> None:
            if not approve_drift(drift, user=request.user, now=timezone.now()):  # type: ignore[arg-type]
                raise Refused("is not open any more, or of another size")

        self.each(request, queryset, "Agreed to the adjustment", approve)
