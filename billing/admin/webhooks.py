"""Webhooks as they came in. They can be processed again."""

import json
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from accounts.admin import CUSTOMERS_FOUND_MAX, CustomerSearch
from accounts.models import Customer
from billing.models import EventSweep, GatewayCustomer, InboundWebhook
from operations.admin import JobRowAdmin, WorkFilter
from operations.confirmation import confirmed


@admin.register(InboundWebhook)
class InboundWebhookAdmin(CustomerSearch, JobRowAdmin):
    list_display = ("received_at", "source", "type", "customer_ref", "processed_at", "outcome")
    list_filter = ("source", WorkFilter)
    exact_fields = ("event_id", "type", "customer_ref")
    search_help_text = (
        "E-mail address (or its beginning), customer id, id at Metronome or Stripe, "
        "event id, or type"
    )
    exclude = ("payload",)
    readonly_fields = ("body",)
    actions = ["retry", "replay"]
    ordering = ("-pk",)

    def of_customers(self, customers: QuerySet[Customer]) -> Q:
        known = customers.exclude(metronome_id=None).values_list("metronome_id", flat=True)
        paying = GatewayCustomer.objects.filter(customer__in=customers)
        references = paying.values_list("reference", flat=True)
        refs = [*known[:CUSTOMERS_FOUND_MAX], *references[:CUSTOMERS_FOUND_MAX]]
        return Q(customer_ref__in=refs)

    def page_context(self, request: HttpRequest, row: InboundWebhook) -> dict[str, Any]:
        context = super().page_context(request, row)
        about = self._about(row)
        if about and request.user.has_perm("accounts.view_customer"):
            url = reverse("admin:accounts_customer_change", args=[about.pk])
            context["links"].append(format_html('<a href="{}">Customer</a>', url))
        return context

    def _about(self, row: InboundWebhook) -> Customer | None:
        if row.source == InboundWebhook.Source.METRONOME:
            return Customer.objects.filter(metronome_id=row.customer_ref).first()
        paying = GatewayCustomer.objects.filter(reference=row.customer_ref, gateway=row.source)
        known = paying.select_related("customer").first()
        return known.customer if known else None

    @admin.display(description="payload")
    def body(self, event: InboundWebhook) -> str:
        return format_html("<pre>{}</pre>", json.dumps(event.payload, indent=2, ensure_ascii=False))

    @confirmed(
        "Replay",
        explains=(
            "Processed again, processed ones too. What they tell of is read anew at its source."
        ),
    )
    def replay(self, request: HttpRequest, queryset: QuerySet[InboundWebhook]) -> None:
        self.make_due(request, "Replay", queryset, chosen=queryset.count())


@admin.register(EventSweep)
class EventSweepAdmin(JobRowAdmin):
    list_display = ("source", "swept_until")
