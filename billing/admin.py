"""What operators see of the money. The ledger and everything that comes from outside is read-only."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html

from accounts.admin import CUSTOMERS_FOUND_MAX, CustomerSearch
from accounts.models import Customer
from jobs.admin import JobAdmin, ReadOnlyAdmin, WorkFilter, related_links

from . import sync
from .models import (
    AutoRecharge,
    ChargeAtTestGateway,
    Contract,
    CreditGrant,
    Drift,
    Gift,
    LedgerEntry,
    Payment,
    PaymentMethod,
    Reservation,
    Subscription,
    Wallet,
    WebhookEvent,
)


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


class OfCustomer(CustomerSearch):
    list_select_related: ClassVar[Any] = ("customer__user",)
    ordering: ClassVar[Any] = ("-pk",)


@admin.register(Wallet)
class WalletAdmin(OfCustomer, ReadOnlyAdmin):
    list_display = ("customer", "balance", "reserved", "available", "version", "expires_next_at", "frozen_at")

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **options: Any) -> HttpResponse:
        wallet = self.get_object(request, object_id)
        context = {"links": related_links(wallet)} if wallet else {}
        return super().change_view(request, object_id, *args, **options | {"extra_context": context})


@admin.register(LedgerEntry)
class LedgerEntryAdmin(OfWallet, ReadOnlyAdmin):
    list_display = ("created_at", "owner", "kind", "amount", "balance_after", "version", "note")
    list_filter = ("kind",)

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Newest first, by the index that is at hand: that of one wallet ends with the version."""
        return ("-version",) if "wallet__id__exact" in request.GET else ("-pk",)


@admin.register(Reservation)
class ReservationAdmin(OfWallet, ReadOnlyAdmin):
    list_display = ("created_at", "owner", "key", "amount", "captured", "state", "expires_at", "reported_at")
    list_filter = ("state",)
    exact_fields = ("key",)


@admin.register(CreditGrant)
class CreditGrantAdmin(OfWallet, JobAdmin):
    list_display = ("name", "owner", "kind", "granted", "remaining", "priority", "starts_at", "ends_at")
    list_filter = ("kind", WorkFilter)
    exact_fields = ("remote_id", "segment_id", "key")


@admin.register(Contract)
class ContractAdmin(OfCustomer, JobAdmin):
    """Retry reads grants and balance from Metronome now."""

    list_display = ("customer", "metronome_id", "starts_at", "synced_at", "recharge_enabled")
    exact_fields = ("metronome_id",)


@admin.register(Subscription)
class SubscriptionAdmin(OfCustomer, JobAdmin):
    list_display = ("customer", "plan", "state", "period", "period_start_at", "period_end_at", "failure")
    list_filter = ("state", "plan", WorkFilter)
    exact_fields = ("key",)


@admin.register(Payment)
class PaymentAdmin(OfCustomer, JobAdmin):
    list_display = ("created_at", "customer", "kind", "state", "amount_cents", "currency", "workflow_id", "failure")
    list_filter = ("state", "kind", WorkFilter)
    exact_fields = ("workflow_id", "invoice_id", "gateway_reference")
    ordering = ("-created_at",)


@admin.register(Gift)
class GiftAdmin(OfCustomer, JobAdmin):
    list_display = ("created_at", "customer", "kind", "credits", "reason", "by", "grant")
    list_select_related = ("customer__user", "by", "grant")
    list_filter = ("kind", WorkFilter)
    exact_fields = ("key",)


@admin.register(PaymentMethod)
class PaymentMethodAdmin(OfCustomer, ReadOnlyAdmin):
    list_display = ("customer", "gateway", "label")


@admin.register(ChargeAtTestGateway)
class ChargeAtTestGatewayAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "key", "amount_cents", "currency", "description", "refunded_at")
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
class AutoRechargeAdmin(OfCustomer, JobAdmin):
    list_display = ("customer", "enabled", "threshold_credits", "recharge_to_credits", "failure", "stuck_at")
    list_filter = (TroubleFilter, "enabled", WorkFilter)


@admin.register(WebhookEvent)
class WebhookEventAdmin(CustomerSearch, JobAdmin):
    list_display = ("received_at", "type", "customer_metronome_id", "processed_at", "outcome")
    exact_fields = ("event_id", "type", "customer_metronome_id")
    search_help_text = "E-mail address (or its beginning), customer id, Metronome id, event id, or type"
    exclude = ("payload",)
    readonly_fields = ("body",)
    actions = ["retry", "replay"]
    ordering = ("-pk",)

    def of_customers(self, customers: QuerySet[Customer]) -> Q:
        known = customers.exclude(metronome_id=None).values_list("metronome_id", flat=True)
        return Q(customer_metronome_id__in=list(known[:CUSTOMERS_FOUND_MAX]))

    @admin.display(description="payload")
    def body(self, event: WebhookEvent) -> str:
        return format_html("<pre>{}</pre>", json.dumps(event.payload, indent=2, ensure_ascii=False))

    @admin.action(description="Replay: process again, processed ones too", permissions=["operate"])
    def replay(self, request: HttpRequest, queryset: QuerySet[WebhookEvent]) -> None:
        self.make_due(request, "Replay", queryset, chosen=queryset.count())


@admin.register(Drift)
class DriftAdmin(OfWallet, ReadOnlyAdmin):
    list_display = (
        "owner", "state", "difference", "wallet_balance", "metronome_balance", "first_seen_at", "last_seen_at", "approved_by",
    )  # fmt: skip
    list_filter = ("state",)
    list_select_related = ("wallet__customer__user", "approved_by")
    actions = ["approve"]

    @admin.action(description="Agree to adjust the wallet to Metronome", permissions=["operate"])
    def approve(self, request: HttpRequest, queryset: QuerySet[Drift]) -> None:
        agreed = [drift.pk for drift in queryset if sync.approve_drift(drift, user=request.user, now=timezone.now())]  # type: ignore[arg-type]
        self.log(request, Drift.objects.filter(pk__in=agreed), "Agreed to the adjustment.")
        self.message_user(
            request,
            f"Agreed to {len(agreed)}; each is adjusted at the next look at Metronome if the difference is still the same.",
            messages.SUCCESS if agreed else messages.WARNING,
        )
