"""Payments, recharges, top-ups and what they are charged to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path
from django.utils import timezone

from accounts.admin import CUSTOMERS_FOUND_MAX, CustomerSearch
from accounts.models import Customer
from billing.models import (
    AutoRecharge,
    CardSetup,
    Dispute,
    GatewayCustomer,
    GatewayRemoval,
    Payment,
    PaymentAlert,
    PaymentAttempt,
    PaymentMethod,
    Purchase,
    Recharge,
    Refund,
)
from billing.payments import ungranted
from operations.admin import JobRowAdmin, ReadOnlyAdmin, WorkFilter
from operations.separators import Separated

from . import refund_page
from .owners import OfCustomer

if TYPE_CHECKING:
    AnyInline = admin.TabularInline[Any, Any]
else:  # generic in the stubs only
    AnyInline = admin.TabularInline


class StuckFilter(admin.SimpleListFilter):
    title = "charged, not granted"
    parameter_name = "stuck"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "charged, and neither granted nor paid back")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.charged_not_granted() if self.value() else queryset


class Inline(Separated, AnyInline):
    """Rows of a payment, to read, each with a link to its own page."""

    extra = 0
    can_delete = False
    show_change_link = True

    def get_formset(self, request: HttpRequest, obj: Any = None, **options: Any) -> Any:
        """Of the fields themselves: what shows them with separators is no field of a form."""
        return super().get_formset(request, obj, fields=self.fields, **options)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class AttemptInline(Inline):
    model = PaymentAttempt
    fields = ("number", "label", "outcome", "decline", "message", "gateway_reference")
    ordering = ("number",)


class RefundInline(Inline):
    model = Refund
    fields = ("created_at", "state", "amount_cents", "credits", "reason", "by", "failure")


class DisputeInline(Inline):
    model = Dispute
    fields = ("created_at", "state", "status", "reason", "evidence_due_at", "credits_taken")


class AlertInline(Inline):
    model = PaymentAlert
    fields = ("created_at", "kind", "detail", "amount_cents", "closed_at", "closed_because")


@admin.register(Payment)
class PaymentAdmin(OfCustomer, JobRowAdmin):
    list_display = (
        "created_at",
        "customer",
        "kind",
        "state",
        "amount_dollars",
        "granted",
        "failure",
    )
    list_filter = (StuckFilter, "state", "kind", WorkFilter)
    list_select_related = ("customer__user", "grant")
    exact_fields = ("gateway_reference",)
    search_help_text = (
        "E-mail address (or its beginning), customer id, id of the payment, "
        "or id of the charge at the gateway (pi_…)"
    )
    ordering = ("-created_at",)
    inlines = (AttemptInline, RefundInline, DisputeInline, AlertInline)
    actions = ["retry", "refund"]

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.refund_view)
        return [
            path("<uuid:payment_id>/refund/", view, name="billing_payment_refund"),
            *super().get_urls(),
        ]

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        """Charges that were declined too, which only the attempts name."""
        term = search_term.strip()
        named = PaymentAttempt.objects.filter(gateway_reference=term) if term else None
        ids = list(named.values_list("payment", flat=True)[:CUSTOMERS_FOUND_MAX]) if named else []
        if ids:
            return queryset.filter(pk__in=ids), False
        return super().get_search_results(request, queryset, search_term)

    def get_list_display(self, request: HttpRequest) -> Any:
        more = ["waits_for"] if StuckFilter.parameter_name in request.GET else []
        return [*super().get_list_display(request), *more]

    def make_due(
        self, request: HttpRequest, verb: str, queryset: QuerySet[Any], *, chosen: int
    ) -> None:
        """Of those without credits also what their credits wait for: that is what brings them."""
        now = timezone.now()
        for payment in Payment.objects.charged_not_granted().filter(
            pk__in=list(queryset.values_list("pk", flat=True))
        ):
            ungranted.hurry(payment, now)
        super().make_due(request, verb, queryset, chosen=chosen)

    @admin.display(description="waits for")
    def waits_for(self, row: Payment) -> str:
        return ungranted.waits_for(row)[:200]

    @admin.display(description="credits")
    def granted(self, row: Payment) -> str:
        return f"{row.grant.granted:,}" if row.grant else "—"

    def refund_view(self, request: HttpRequest, payment_id: UUID) -> HttpResponse:
        return refund_page.page(self, request, payment_id)

    @admin.action(
        description="Refund: shows what is paid back and what ends", permissions=["operate"]
    )
    def refund(self, request: HttpRequest, queryset: QuerySet[Payment]) -> HttpResponse | None:
        chosen = list(queryset.values_list("pk", flat=True)[:2])
        if len(chosen) == 1:
            return HttpResponseRedirect(refund_page.address(chosen[0]))
        self.message_user(request, "Choose one payment: each is shown first.", messages.WARNING)
        return None

    refund.applies = lambda row: row.state == Payment.State.CHARGED  # type: ignore[attr-defined]


@admin.register(PaymentAttempt)
class PaymentAttemptAdmin(CustomerSearch, ReadOnlyAdmin):
    list_display = ("created_at", "payment", "number", "label", "outcome", "decline", "message")
    list_filter = ("outcome", "decline")
    list_select_related = ("payment",)
    exact_fields = ("key", "gateway_reference")
    search_help_text = "E-mail address (or its beginning), customer id, key, or id at the gateway"
    ordering = ("-pk",)

    def of_customers(self, customers: QuerySet[Customer]) -> Q:
        """By the payments' ids: an OR across tables would keep PostgreSQL from its indexes."""
        payments = Payment.objects.filter(customer__in=customers).values_list("pk", flat=True)
        return Q(payment__in=list(payments[:CUSTOMERS_FOUND_MAX]))


@admin.register(Recharge)
class RechargeAdmin(OfCustomer, JobRowAdmin):
    list_display = ("created_at", "customer", "state", "amount_dollars", "refusal", "failure")
    list_filter = ("state", "refusal", WorkFilter)
    exact_fields = ("workflow_id", "invoice_id")
    ordering = ("-created_at",)


@admin.register(Purchase)
class PurchaseAdmin(OfCustomer, JobRowAdmin):
    list_display = ("created_at", "customer", "state", "amount_dollars", "credits", "failure")
    list_filter = ("state", WorkFilter)
    ordering = ("-created_at",)


@admin.register(PaymentMethod)
class PaymentMethodAdmin(OfCustomer, ReadOnlyAdmin):
    list_display = ("customer", "gateway", "label")


@admin.register(GatewayCustomer)
class GatewayCustomerAdmin(OfCustomer, ReadOnlyAdmin):
    list_display = ("customer", "gateway", "reference")
    exact_fields = ("reference",)


@admin.register(CardSetup)
class CardSetupAdmin(OfCustomer, JobRowAdmin):
    list_display = ("created_at", "customer", "gateway", "state", "came_back_at", "finished_at")
    list_filter = ("state", WorkFilter)
    exact_fields = ("reference",)
    ordering = ("-created_at",)


@admin.register(GatewayRemoval)
class GatewayRemovalAdmin(JobRowAdmin):
    list_display = ("created_at", "kind", "gateway", "reference")
    list_filter = ("kind", WorkFilter)
    search_fields = ("=reference",)
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
        "limit_cents",
        "paused_until_at",
        "failure",
        "stuck_at",
    )
    list_filter = (TroubleFilter, "enabled", WorkFilter)
