"""API keys and their budgets: looked at, and revoked. What a secret is nobody can see."""

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts import api_keys
from accounts.admin import CUSTOMERS_FOUND_MAX, CustomerSearch
from accounts.models import ApiKey, Customer
from billing.ledger.budgets import of_row
from billing.models import KeyBudget
from operations.admin import ReadOnlyAdmin
from operations.command import Refused
from operations.confirmation import Reason, confirmed

from .owners import OfCustomer


@admin.register(ApiKey)
class ApiKeyAdmin(OfCustomer, ReadOnlyAdmin):
    list_display = (
        "customer",
        "name",
        "shown",
        "in_scopes",
        "last_used_at",
        "expires_at",
        "revoked_at",
        "spent",
    )
    list_select_related = ("customer__user", "budget")
    ordering = ("-created_at",)
    exclude = ("secret_sha256", "first_characters", "last_characters")
    readonly_fields = ("shown", "spent")
    actions = ["revoke"]

    @admin.display(description="scopes")
    def in_scopes(self, row: ApiKey) -> str:
        return ", ".join(row.scopes)

    @admin.display(description="spent")
    def spent(self, row: ApiKey) -> str:
        """In the current period, of how much."""
        return _spent(row.budget)

    @confirmed(
        "Revoke",
        explains=(
            "Programs that use these keys are refused at once. It cannot be undone: "
            "their customer makes new ones."
        ),
        asks=Reason,
        applies=lambda key: key.revoked_at is None,
    )
    def revoke(self, request: HttpRequest, keys: QuerySet[ApiKey], reason: str) -> None:
        self.each(request, keys, "Revoked", _revoke, note=reason)


@admin.register(KeyBudget)
class KeyBudgetAdmin(CustomerSearch, ReadOnlyAdmin):
    list_display = ("owner", "key", "limit_credits", "period", "spent_now", "held")
    list_select_related = ("api_key__customer__user",)
    list_filter = ("period",)
    ordering = ("-pk",)
    readonly_fields = ("owner", "spent_now")

    def of_customers(self, customers: QuerySet[Customer]) -> Q:
        """By the keys' ids: an OR across tables would keep PostgreSQL from its indexes."""
        keys = ApiKey.objects.filter(customer__in=customers).values_list("pk", flat=True)
        return Q(pk__in=list(keys[:CUSTOMERS_FOUND_MAX]))

    @admin.display(description="customer")
    def owner(self, row: KeyBudget) -> str:
        return str(row.api_key.customer)

    @admin.display(description="API key")
    def key(self, row: KeyBudget) -> str:
        return str(row.api_key)

    @admin.display(description="spent in the current period")
    def spent_now(self, row: KeyBudget) -> str:
        return _spent(row)

    def describe(self, row: KeyBudget) -> str:
        return f"{row.api_key.customer}: {row}"


def _spent(row: KeyBudget) -> str:
    found = of_row(row, timezone.now())
    return f"{found.spent:,}" if found.limit is None else f"{found.spent:,} of {found.limit:,}"


def _revoke(key: ApiKey) -> None:
    if key.revoked_at:
        raise Refused("is revoked already")
    api_keys.revoke(key, timezone.now())
