"""Payments, recharges, top-ups and what they are charged to."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts.admin import CUSTOMERS_FOUND_MAX, CustomerSearch
from accounts.models import Customer
from billing.models import (
    AutoRecharge,
    CardSetup,
    ChargeAtTestGateway,
    GatewayCustomer,
    GatewayRemoval,
    Payment,
    PaymentAttempt,
    PaymentMethod,
    Purchase,
    Recharge,
)
from billing.payments import requests
from operations.admin import JobRowAdmin, ReadOnlyAdmin, WorkFilter
from operations.command import Refused
from operations.confirmation import Reason, confirmed

from .owners import OfCustomer


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
                    "credit back what was spoken with them instead"
                ) from None

        self.each(request, payments, "Refund asked for", refund, note=reason)


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
        "limit_cents",
        "paused_until_at",
        "failure",
        "stuck_at",
    )
    list_filter = (TroubleFilter, "enabled", WorkFilter)
