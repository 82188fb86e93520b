"""Contracts at Metronome and the plans chosen on them."""

from django.contrib import admin

from billing.models import Contract, Subscription
from operations.admin import JobRowAdmin, WorkFilter

from .owners import OfCustomer


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
