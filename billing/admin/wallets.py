"""Wallets: reconciled, given credits, frozen."""

import uuid
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path
from django.utils import timezone

from accounts.fields import NumberField
from billing.disputes import flow as disputes
from billing.models import ComplimentaryGrant, Wallet
from billing.subscriptions import complimentary
from operations.admin import ReadOnlyAdmin
from operations.command import Refused
from operations.confirmation import Reason, confirmed

from . import reconcile
from .owners import OfCustomer


class GiveForm(Reason):
    credits = NumberField(
        least=1, most=complimentary.CREDITS_MAX, help_text="For each wallet above."
    )
    days = NumberField(
        least=1,
        most=complimentary.DAYS_MAX,
        initial=complimentary.COMPLIMENTARY_DAYS,
        help_text="How long they can be used.",
    )
    # A form sent twice gives one grant.
    key = forms.UUIDField(initial=uuid.uuid4, widget=forms.HiddenInput)
    field_order = ("credits", "days", "reason")


@admin.register(Wallet)
class WalletAdmin(OfCustomer, ReadOnlyAdmin):
    list_display = (
        "customer",
        "balance",
        "reserved",
        "available",
        "version",
        "expires_next_at",
        "frozen_at",
        "frozen_because",
    )
    actions = ["reconcile", "give", "freeze", "unfreeze"]

    @admin.display(description="frozen by")
    def frozen_because(self, row: Wallet) -> str:
        return ", ".join(row.frozen_by) or "—"

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.reconcile_view)
        return [
            path("<int:wallet_id>/reconcile/", view, name="billing_wallet_reconcile"),
            *super().get_urls(),
        ]

    def reconcile_view(self, request: HttpRequest, wallet_id: int) -> HttpResponse:
        return reconcile.page(self, request, wallet_id)

    def describe(self, row: Wallet) -> str:
        return f"{row.customer}: {row.available:,} credits available"

    def has_give_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("billing.add_complimentarygrant")

    @admin.action(
        description="Reconcile: beside Metronome and the payments, with repair",
        permissions=["view"],
    )
    def reconcile(self, request: HttpRequest, queryset: QuerySet[Wallet]) -> HttpResponse | None:
        chosen = list(queryset.values_list("pk", flat=True)[:2])
        if len(chosen) == 1:
            return HttpResponseRedirect(reconcile.address(chosen[0]))
        self.message_user(
            request, "Choose one wallet; reconcile_balances looks at all of them.", messages.WARNING
        )
        return None

    @confirmed(
        "Give credits",
        explains=(
            "New credits at Metronome, drawn before all others. "
            "A worker makes them within a few seconds."
        ),
        asks=GiveForm,
        permission="give",
    )
    def give(
        self,
        request: HttpRequest,
        wallets: QuerySet[Wallet],
        credits: int,
        days: int,
        reason: str,
        key: uuid.UUID,
    ) -> None:
        def give(wallet: Wallet) -> None:
            grant_key = f"vocalis-complimentary-{key.hex}-{wallet.pk}"
            if ComplimentaryGrant.objects.filter(key=grant_key).exists():
                raise Refused("has them already: this form was sent before")
            complimentary.give(
                customer=wallet.customer,
                credits=credits,
                days=days,
                reason=reason,
                by=request.user,  # type: ignore[arg-type]
                key=grant_key,
                now=timezone.now(),
            )

        self.each(request, wallets, f"Gave {credits:,} credits", give, note=reason)

    @confirmed(
        "Freeze",
        explains=(
            "Nothing more can be spent from these wallets. "
            "What is being spoken just now is still paid for. Nothing is sold or charged either: "
            "auto-recharge pauses, and a plan whose renewal waits for more than seven days ends."
        ),
        asks=Reason,
        applies=lambda wallet: wallet.frozen_at is None,
    )
    def freeze(self, request: HttpRequest, wallets: QuerySet[Wallet], reason: str) -> None:
        self.each(
            request, wallets, "Frozen", lambda wallet: _set_frozen(wallet, frozen=True), note=reason
        )

    @confirmed(
        "Unfreeze",
        explains=(
            "These wallets can be spent from again, whatever froze them: staff, or a dispute at "
            "the bank, which may still be open. A renewal that waited is charged now, and "
            "auto-recharge goes on where it is switched on."
        ),
        asks=Reason,
        applies=lambda wallet: wallet.frozen_at is not None,
    )
    def unfreeze(self, request: HttpRequest, wallets: QuerySet[Wallet], reason: str) -> None:
        self.each(
            request,
            wallets,
            "Unfrozen",
            lambda wallet: _set_frozen(wallet, frozen=False),
            note=reason,
        )


def _set_frozen(wallet: Wallet, *, frozen: bool) -> None:
    if bool(wallet.frozen_at) == frozen:
        raise Refused(f"is {'frozen already' if frozen else 'not frozen'}")
    if frozen:
        disputes.freeze(wallet.customer_id, timezone.now())
    else:
        disputes.unfreeze(wallet.customer_id, timezone.now())
