"""Lists whose rows belong to a wallet or a customer: who owns a row, and how it is found."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q, QuerySet

from accounts.admin import CUSTOMERS_FOUND_MAX, CustomerSearch
from accounts.models import Customer
from billing.models import Wallet


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
