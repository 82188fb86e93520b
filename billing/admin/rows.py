"""What operators see of the money. The ledger and all that comes from outside is read-only."""

from __future__ import annotations

import json
import uuid
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html

from accounts.admin import CUSTOMERS_FOUND_MAX, CustomerSearch
from accounts.models import Customer
from billing import ledger
from billing.live.wake import wake
from billing.models import (
    AutoRecharge,
    ChargeAtTestGateway,
    ComplimentaryGrant,
    Contract,
    CreditGrant,
    Drift,
    InboundWebhook,
    LedgerEntry,
    Payment,
    PaymentMethod,
    Recharge,
    Reservation,
    Subscription,
    Wallet,
)
from billing.payments import requests
from billing.subscriptions import complimentary
from billing.sync.drift import approve_drift
from operations.admin import JobRowAdmin, ReadOnlyAdmin, WorkFilter
from operations.command import Refused
from operations.confirmation import Reason, confirmed

from . import reconcile


class OfWallet(CustomerSearch):
    customer_path = "wallet__customer"
    list_select_related: ClassVar[Any] = ("wallet__customer__user",)
    ordering: ClassVar[Any] = ("-pk",)

    def of_customers(self, customers: QuerySet[Customer]) -> Q:
        """By the wallets' ids: an OR across tables would keep PostgreSQL from its indexes."""
        wallets = Wallet.objects.filter(customer__in=customers).values_list("pk", flat=True)
        return Q(wallet__in=list(wallets[:CUSTOMERS_FOUND_MAX]))

    @admin.display(description="customer")
    def owner(self, row: Any) -> str:
        return str(row.wallet.customer)

    def describe(self, row: Any) -> str:
        return f"{row.wallet.customer}: {row}"


class OfCustomer(CustomerSearch):
    list_select_related: ClassVar[Any] = ("customer__user",)
    ordering: ClassVar[Any] = ("-pk",)

    def describe(self, row: Any) -> str:
        return f"{row.customer}: {row}"


class GiveForm(Reason):
    credits = forms.IntegerField(
        min_value=1, max_value=complimentary.CREDITS_MAX, help_text="For each wallet above."
    )
    days = forms.IntegerField(
        min_value=1,
        max_value=complimentary.DAYS_MAX,
        initial=complimentary.COMPLIMENTARY_DAYS,
        help_text="How long they can be used.",
    )
    # A form sent twice is one gift.
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
    )
    actions = ["reconcile", "give", "freeze", "unfreeze"]

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
            gift_key = f"vocalis-gift-{key.hex}-{wallet.pk}"
            if ComplimentaryGrant.objects.filter(key=gift_key).exists():
                raise Refused("has them already: this form was sent before")
            complimentary.give(
                customer=wallet.customer,
                credits=credits,
                days=days,
                reason=reason,
                by=request.user,  # type: ignore[arg-type]
                key=gift_key,
                now=timezone.now(),
            )

        self.each(request, wallets, f"Gave {credits:,} credits", give, note=reason)

    @confirmed(
        "Freeze",
        explains=(
            "Nothing more can be spent from these wallets. "
            "What is being spoken just now is still paid for."
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
        explains="These wallets can be spent from again.",
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
    ledger.set_frozen(wallet_id=wallet.pk, frozen=frozen, now=timezone.now())
    wake(wallet.pk)


@admin.register(LedgerEntry)
class LedgerEntryAdmin(OfWallet, ReadOnlyAdmin):
    list_display = ("created_at", "owner", "kind", "amount", "balance_after", "version", "note")
    list_filter = ("kind",)

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Newest first, by the index that is at hand: that of one wallet ends with the version."""
        return ("-version",) if "wallet__id__exact" in request.GET else ("-pk",)


@admin.register(Reservation)
class ReservationAdmin(OfWallet, ReadOnlyAdmin):
    list_display = (
        "created_at",
        "owner",
        "key",
        "amount",
        "captured",
        "state",
        "expires_at",
        "reported_at",
    )
    list_filter = ("state",)


@admin.register(CreditGrant)
class CreditGrantAdmin(OfWallet, JobRowAdmin):
    list_display = (
        "name",
        "owner",
        "kind",
        "granted",
        "remaining",
        "priority",
        "starts_at",
        "ends_at",
    )
    list_filter = ("kind", WorkFilter)
    exact_fields = ("remote_id", "segment_id", "key")


@admin.register(Contract)
class ContractAdmin(OfCustomer, JobRowAdmin):
    """Retry reads grants and balance from Metronome now."""

    list_display = ("customer", "metronome_id", "starts_at", "synced_at", "recharge_enabled")
    exact_fields = ("metronome_id",)


@admin.register(Subscription)
class SubscriptionAdmin(OfCustomer, JobRowAdmin):
    list_display = (
        "customer",
        "plan",
        "state",
        "period",
        "period_start_at",
        "period_end_at",
        "failure",
    )
    list_filter = ("state", "plan", WorkFilter)
    exact_fields = ("key",)


@admin.register(Payment)
class PaymentAdmin(OfCustomer, JobRowAdmin):
    list_display = ("created_at", "customer", "kind", "state", "amount_dollars", "failure")
    list_filter = ("state", "kind", WorkFilter)
    exact_fields = ("gateway_reference",)
    ordering = ("-created_at",)
    actions = ["retry", "refund"]

    @confirmed(
        "Refund",
        explains=(
            "Gives the money back for a plan that was charged and can no longer be granted. "
            "The customer reads the reason."
        ),
        asks=Reason,
        applies=lambda payment: (
            payment.kind == Payment.Kind.PLAN
            and payment.state == Payment.State.CHARGED
            and payment.grant_id is None
        ),
    )
    def refund(self, request: HttpRequest, payments: QuerySet[Payment], reason: str) -> None:
        def refund(payment: Payment) -> None:
            try:
                requests.request_refund(payment, reason=reason, now=timezone.now())
            except requests.NotRefundable:
                raise Refused(
                    "its credits are there or on their way; "
                    "refund what was spoken with them instead"
                ) from None

        self.each(request, payments, "Refund asked for", refund, note=reason)


@admin.register(Recharge)
class RechargeAdmin(OfCustomer, JobRowAdmin):
    list_display = ("created_at", "customer", "state", "amount_dollars", "failure")
    list_filter = ("state", WorkFilter)
    exact_fields = ("workflow_id", "invoice_id")
    ordering = ("-created_at",)


@admin.register(ComplimentaryGrant)
class ComplimentaryGrantAdmin(OfCustomer, JobRowAdmin):
    list_display = ("created_at", "customer", "kind", "credits", "reason", "by", "grant")
    list_select_related = ("customer__user", "by", "grant")
    list_filter = ("kind", WorkFilter)
    exact_fields = ("key",)


@admin.register(PaymentMethod)
class PaymentMethodAdmin(OfCustomer, ReadOnlyAdmin):
    list_display = ("customer", "gateway", "label")


@admin.register(ChargeAtTestGateway)
class ChargeAtTestGatewayAdmin(ReadOnlyAdmin):
    list_display = (
        "created_at",
        "key",
        "state",
        "amount_cents",
        "currency",
        "description",
        "refunded_at",
    )
    search_fields = ("=key",)
    ordering = ("-pk",)


class TroubleFilter(admin.SimpleListFilter):
    title = "trouble"
    parameter_name = "trouble"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "failed or stuck")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.in_trouble() if self.value() else queryset


@admin.register(AutoRecharge)
class AutoRechargeAdmin(OfCustomer, JobRowAdmin):
    list_display = (
        "customer",
        "enabled",
        "threshold_credits",
        "recharge_to_credits",
        "failure",
        "stuck_at",
    )
    list_filter = (TroubleFilter, "enabled", WorkFilter)


@admin.register(InboundWebhook)
class InboundWebhookAdmin(CustomerSearch, JobRowAdmin):
    list_display = ("received_at", "source", "type", "customer_ref", "processed_at", "outcome")
    list_filter = ("source", WorkFilter)
    exact_fields = ("event_id", "type", "customer_ref")
    search_help_text = (
        "E-mail address (or its beginning), customer id, Metronome id, event id, or type"
    )
    exclude = ("payload",)
    readonly_fields = ("body",)
    actions = ["retry", "replay"]
    ordering = ("-pk",)

    def of_customers(self, customers: QuerySet[Customer]) -> Q:
        known = customers.exclude(metronome_id=None).values_list("metronome_id", flat=True)
        return Q(customer_ref__in=list(known[:CUSTOMERS_FOUND_MAX]))

    def page_context(self, request: HttpRequest, row: InboundWebhook) -> dict[str, Any]:
        context = super().page_context(request, row)
        about = Customer.objects.filter(metronome_id=row.customer_ref).first()
        if about and request.user.has_perm("accounts.view_customer"):
            url = reverse("admin:accounts_customer_change", args=[about.pk])
            context["links"].append(format_html('<a href="{}">Customer</a>', url))
        return context

    @admin.display(description="payload")
    def body(self, event: InboundWebhook) -> str:
        return format_html("<pre>{}</pre>", json.dumps(event.payload, indent=2, ensure_ascii=False))

    @confirmed(
        "Replay",
        explains=(
            "Processed again, processed ones too. What they tell of is read anew at Metronome."
        ),
    )
    def replay(self, request: HttpRequest, queryset: QuerySet[InboundWebhook]) -> None:
        self.make_due(request, "Replay", queryset, chosen=queryset.count())


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
