"""Where credits come from and where they go: grants, reservations and the ledger, all read-only."""

from django.contrib import admin
from django.http import HttpRequest

from billing.models import ComplimentaryGrant, CreditGrant, LedgerEntry, Reservation
from operations.admin import JobRowAdmin, ReadOnlyAdmin, WorkFilter

from .owners import OfCustomer, OfWallet


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


@admin.register(ComplimentaryGrant)
class ComplimentaryGrantAdmin(OfCustomer, JobRowAdmin):
    list_display = ("created_at", "customer", "kind", "credits", "reason", "by", "grant")
    list_select_related = ("customer__user", "by", "grant")
    list_filter = ("kind", WorkFilter)
    exact_fields = ("key",)
