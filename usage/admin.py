"""What customers made. What they said is not shown: operators do not need it to help."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts.admin import CustomerSearch
from jobs.admin import JobAdmin, ReadOnlyAdmin

from .models import Generation, UsageEvent, Voice

REPEATS_IGNORED_DAYS = 33  # Metronome ignores a transaction_id it has seen for 34; after that a repeat would be refused


class OfCustomer(CustomerSearch):
    list_select_related: ClassVar[Any] = ("customer__user",)


@admin.register(Voice)
class VoiceAdmin(OfCustomer, ReadOnlyAdmin):
    list_display = ("created_at", "customer", "name", "state", "credits", "failure")
    list_filter = ("state",)
    ordering = ("-created_at",)


@admin.register(Generation)
class GenerationAdmin(OfCustomer, ReadOnlyAdmin):
    list_display = ("created_at", "customer", "voice_name", "characters", "credits", "state", "failure")
    list_filter = ("state", "voice_type")
    exact_fields = ("key",)
    exclude = ("text",)
    ordering = ("-created_at",)


@admin.register(UsageEvent)
class UsageEventAdmin(OfCustomer, JobAdmin):
    list_display = ("happened_at", "customer", "event_type", "credits", "transaction_id", "sent_at")
    exact_fields = ("transaction_id",)
    actions = ["retry", "send_again"]

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Newest first, by the index that is at hand: that of one customer ends with the time."""
        return ("-happened_at",) if "customer__id__exact" in request.GET else ("-pk",)

    @admin.action(description="Send again, sent ones too: Metronome counts each once", permissions=["operate"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[UsageEvent]) -> None:
        since = timezone.now() - timedelta(days=REPEATS_IGNORED_DAYS)
        self.make_due(request, "Send again", queryset.filter(happened_at__gt=since), chosen=queryset.count())
