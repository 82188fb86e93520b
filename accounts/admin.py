"""Admin of users and customers, and `CustomerSearch`, the search of all lists by customer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminPasswordChangeForm, AdminUserCreationForm, UserChangeForm
from django.db import transaction
from django.db.models import Q, QuerySet, UUIDField
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html

import mails
from operations.admin import BoundedPaginator, JobRowAdmin, ReadOnlyAdmin

from . import admin_login, sessions, typed  # noqa: F401  admin_login registers its models
from .forms import OneFormOfPasswords
from .lookup import customers_like, uuid_of
from .models import Customer, IngestAlias, PasswordReset, User

if TYPE_CHECKING:
    BaseUserAdmin = DjangoUserAdmin[User]
    ChangeForm = UserChangeForm[User]
    PasswordForm = AdminPasswordChangeForm[User]
else:  # generic in the stubs only
    BaseUserAdmin = DjangoUserAdmin
    ChangeForm = UserChangeForm
    PasswordForm = AdminPasswordChangeForm

CUSTOMERS_FOUND_MAX = 1_000


class CustomerSearch:
    """Mixin for a ModelAdmin: search by customer.

    Finds rows by e-mail address or its beginning, customer id, Metronome id, the row's own id, or
    the exact value of one of `exact_fields`. Each condition is an equality on an index, or is
    resolved to customers first: a LIKE across joins would scan the table.
    """

    # Makes the search box appear; get_search_results decides.
    search_fields: ClassVar[Any] = ("pk",)
    search_help_text: ClassVar[Any] = (
        "E-mail address (or its beginning), customer id, Metronome id, or id of the row"
    )
    customer_path: ClassVar[str] = "customer"
    exact_fields: ClassVar[tuple[str, ...]] = ()

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        found = self.of_customers(customers_like(term)) | Q(pk__in=_ids(queryset, term))
        for field in self.exact_fields:
            found |= Q(**{field: term})
        return queryset.filter(found), False

    def of_customers(self, customers: QuerySet[Customer]) -> Q:
        return Q(
            **{
                f"{self.customer_path}__in": list(
                    customers.values_list("pk", flat=True)[:CUSTOMERS_FOUND_MAX]
                )
            }
        )


def _ids(queryset: Any, term: str) -> list[Any]:
    key = queryset.model._meta.pk
    if isinstance(getattr(key, "target_field", key), UUIDField):
        return [id] if (id := uuid_of(term)) is not None else []
    return [int(term)] if term.isascii() and term.isdigit() and len(term) < 19 else []


class OneFormOfEmail:
    def clean_email(self) -> str:
        return typed.email(self.cleaned_data["email"])  # type: ignore[attr-defined]


class UserAddForm(OneFormOfEmail, OneFormOfPasswords, AdminUserCreationForm):
    class Meta:
        model = User
        fields = ("email", "first_name", "last_name")


class UserEditForm(OneFormOfEmail, ChangeForm):
    """A customer keeps a name: invoices carry it. Staff need none."""

    class Meta:
        model = User
        fields = "__all__"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if Customer.objects.filter(user=self.instance.pk).exists():
            for name in {"first_name", "last_name"} & self.fields.keys():
                self.fields[name].required = True


class UserPasswordForm(OneFormOfPasswords, PasswordForm):
    def save(self, commit: bool = True) -> User:
        """The user is told of it, and logged out everywhere."""
        now = timezone.now()
        with transaction.atomic():
            user = super().save(commit)
            mails.write(user.pk, "account.password_changed", now.isoformat(), {}, now)
            sessions.end_others(user=user, here=None)
        return user


@admin.register(User)
class UserAdmin(BaseUserAdmin):
    """Creates staff. Customers sign up themselves.

    A customer's e-mail address can be changed on the profile page only, because it is also an
    ingest alias.
    """

    form, add_form, change_password_form = UserEditForm, UserAddForm, UserPasswordForm
    paginator = BoundedPaginator
    show_full_result_count = False
    ordering = ("email",)
    list_display = ("email", "first_name", "last_name", "is_staff", "is_active", "last_login")
    list_filter = ("is_staff", "is_superuser", "is_active")
    search_fields = ("email__startswith", "last_name__istartswith")
    fieldsets = (
        (None, {"fields": ("email", "new_email", "password", "first_name", "last_name")}),
        (
            "Permissions",
            {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")},
        ),
        ("Dates", {"fields": ("last_login", "date_joined", "email_confirmed_at")}),
    )
    add_fieldsets = (
        (
            None,
            {
                "fields": (
                    "email",
                    "first_name",
                    "last_name",
                    "usable_password",
                    "password1",
                    "password2",
                )
            },
        ),
    )
    readonly_fields = ("last_login", "date_joined", "email_confirmed_at", "new_email")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None or not Customer.objects.filter(user=obj).exists():
            return self.readonly_fields
        # A form opened before a deletion would undo it.
        closed = () if obj.is_active else ("first_name", "last_name")
        return (*self.readonly_fields, "email", *closed)


@admin.register(Customer)
class CustomerAdmin(CustomerSearch, JobRowAdmin):
    """A customer's page summarises the account and links to all its rows; see its template."""

    list_display = ("user", "id", "metronome_id", "created_at")
    list_select_related = ("user",)
    ordering = ("-user_id",)  # newest first, on an index
    customer_path = "pk"

    def page_context(self, request: HttpRequest, row: Customer) -> dict[str, Any]:
        """Adds the wallet's actions, because operators open the customer's page first."""
        url = settings.METRONOME_CUSTOMER_URL + row.metronome_id if row.metronome_id else ""
        context = super().page_context(request, row) | {"metronome_url": url}
        if wallet := getattr(row, "wallet", None):
            admin_of_wallets: Any = self.admin_site.get_model_admin(type(wallet))
            context["buttons"] += admin_of_wallets.buttons(request, wallet)
        return context


@admin.register(IngestAlias)
class IngestAliasAdmin(CustomerSearch, ReadOnlyAdmin):
    list_display = ("name", "kind", "customer", "pushed_at", "conflict")
    list_select_related = ("customer__user",)
    list_filter = ("kind",)
    exact_fields = ("name",)
    ordering = ("-pk",)


@admin.register(PasswordReset)
class PasswordResetAdmin(JobRowAdmin):
    list_display = ("email", "asked_at", "written_at")
    search_fields = ("email__startswith",)
    ordering = ("-pk",)


@admin.register(LogEntry)
class LogEntryAdmin(ReadOnlyAdmin):
    """What staff did, on which object and why."""

    list_display = ("action_time", "user", "content_type", "subject", "change_message")
    list_select_related = ("user", "content_type")
    search_fields = ("user__email__startswith", "=object_id")
    search_help_text = (
        "Who did it (e-mail address or its beginning), or the id of what it was done to"
    )
    ordering = ("-pk",)

    @admin.display(description="to")
    def subject(self, entry: LogEntry) -> str:
        url = entry.get_admin_url()
        return (
            format_html('<a href="{}">{}</a>', url, entry.object_repr) if url else entry.object_repr
        )
