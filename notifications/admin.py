"""Endpoints without their secrets and what is sent to them; mails, preferences and banners."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html

from accounts.admin import CUSTOMERS_FOUND_MAX, CustomerSearch
from accounts.models import Customer
from mails import kinds, outbox
from mails.models import MailPreferences, OutboundMail
from operations.admin import JobRowAdmin, ReadOnlyAdmin, WorkFilter
from operations.command import Refused
from operations.confirmation import confirmed

from . import delivery, endpoints
from .models import Banner, OutboundWebhook, WebhookEndpoint

BY_OPERATOR = "Our staff disabled it."


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(CustomerSearch, ReadOnlyAdmin):
    list_display = ("url", "customer", "is_enabled", "disabled_because", "created_at")
    list_select_related = ("customer__user",)
    list_filter = ("is_enabled",)
    exact_fields = ("url",)
    exclude = ("secret", "former_secret", "key")
    actions = ["disable"]
    ordering = ("-created_at",)

    @confirmed(
        "Disable",
        explains="Nothing more is sent to it, nor what waits. Its customer can enable it again.",
        applies=lambda row: row.is_enabled,
    )
    def disable(self, request: HttpRequest, queryset: QuerySet[WebhookEndpoint]) -> None:
        now = timezone.now()

        def act(row: WebhookEndpoint) -> None:
            if not row.is_enabled:
                raise Refused("it is disabled already")
            delivery.disable(row, because=BY_OPERATOR, now=now)

        self.each(request, queryset, "Disabled", act)


@admin.register(OutboundWebhook)
class OutboundWebhookAdmin(CustomerSearch, JobRowAdmin):
    list_display = ("created_at", "kind", "endpoint", "state", "tries", "status", "failure")
    list_select_related = ("endpoint",)
    list_filter = ("state", WorkFilter)
    customer_path = "endpoint__customer"
    exclude = ("body", "answer")
    readonly_fields: ClassVar[Any] = ("message_id", "sent", "answered")
    actions = ["retry", "send_again", "cancel"]
    ordering = ("-created_at",)

    @admin.display(description="body")
    def sent(self, row: OutboundWebhook) -> str:
        return format_html("<pre>{}</pre>", row.body)

    @admin.display(description="answer")
    def answered(self, row: OutboundWebhook) -> str:
        return format_html("<pre>{}</pre>", row.answer)

    @confirmed("Send again", explains="Sent once more under the same id, and tried for three days.")
    def send_again(self, request: HttpRequest, queryset: QuerySet[OutboundWebhook]) -> None:
        now = timezone.now()

        def act(row: OutboundWebhook) -> None:
            try:
                endpoints.resend(row, now)
            except endpoints.EndpointRefused as error:
                raise Refused(str(error)) from error

        self.each(request, queryset, "Sent again", act)

    @confirmed(
        "Cancel",
        explains="Not sent any more, unless somebody sends it again.",
        applies=lambda row: row.state == OutboundWebhook.State.PENDING,
    )
    def cancel(self, request: HttpRequest, queryset: QuerySet[OutboundWebhook]) -> None:
        def act(row: OutboundWebhook) -> None:
            if not delivery.cancel(row):
                raise Refused("it is not waiting")

        self.each(request, queryset, "Cancelled", act)


class MailKindFilter(admin.SimpleListFilter):
    """The kinds there can be. Those there are would be looked for in every row."""

    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind, kind) for kind in kinds.KINDS]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(kind=self.value()) if self.value() else queryset


@admin.register(OutboundMail)
class OutboundMailAdmin(CustomerSearch, JobRowAdmin):
    """Mails with their state. What they say is rendered when they are sent, and not kept."""

    list_display = (
        "created_at",
        "kind",
        "user",
        "address",
        "state",
        "sent_at",
        "skipped_because",
    )
    list_select_related = ("user",)
    list_filter = ("state", WorkFilter, MailKindFilter)
    exact_fields = ("sent_to", "key")
    actions = ["retry", "send_again"]
    ordering = ("-created_at",)

    def of_customers(self, customers: QuerySet[Customer]) -> Q:
        """By the users' ids: an OR across tables would keep PostgreSQL from its indexes."""
        return Q(user__in=list(customers.values_list("user", flat=True)[:CUSTOMERS_FOUND_MAX]))

    @admin.display(description="to")
    def address(self, mail: OutboundMail) -> str:
        """Where it went, or is to go."""
        return mail.sent_to or mail.to or mail.user.email

    @confirmed(
        "Send again",
        explains="Rendered anew from the same data, and sent once more to the present address.",
        applies=lambda row: row.state != OutboundMail.State.PENDING,
    )
    def send_again(self, request: HttpRequest, queryset: QuerySet[OutboundMail]) -> None:
        now = timezone.now()

        def act(row: OutboundMail) -> None:
            if row.state == OutboundMail.State.PENDING:
                raise Refused("it waits to be sent already")
            outbox.send_again(row, now)

        self.each(request, queryset, "Sent again", act)


@admin.register(MailPreferences)
class MailPreferencesAdmin(ReadOnlyAdmin):
    list_display = ("user", "unwanted", "low_balance_credits")
    list_select_related = ("user",)
    search_fields = ("user__email__startswith",)
    ordering = ("-pk",)


@admin.register(Banner)
class BannerAdmin(CustomerSearch, ReadOnlyAdmin):
    list_display = ("created_at", "kind", "customer", "until_at", "closed_at")
    list_select_related = ("customer__user",)
    ordering = ("-pk",)
