"""Admin of voices, matches, generations, usage events and discrepancies.

The texts and titles of generations, drafts, names of folders and the words of pronunciations are
not shown: operators do not need them to help.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts.admin import CustomerSearch
from operations.admin import JobRowAdmin, ReadOnlyAdmin, WorkFilter
from operations.command import Refused
from operations.confirmation import Reason, confirmed

from . import credit_back
from .metering import reconciliation
from .models import (
    Draft,
    Favourite,
    Folder,
    Generation,
    LongSpeech,
    Pronunciation,
    ReconciliationRun,
    UsageDay,
    UsageDiscrepancy,
    UsageDiscrepancyQuerySet,
    UsageEvent,
    Voice,
    VoiceConsent,
    VoiceCopy,
    VoiceMatch,
)
from .speech import copies, long

# Metronome ignores a repeated transaction_id for 34 days; after that it would refuse the event.
REPEATS_IGNORED_DAYS = 33


class OfCustomer(CustomerSearch):
    list_select_related: ClassVar[Any] = ("customer__user",)

    def describe(self, row: Any) -> str:
        return f"{row.customer}: {row}"


@admin.register(Voice)
class VoiceAdmin(OfCustomer, ReadOnlyAdmin):
    list_display = ("created_at", "customer", "name", "state", "credits", "failure")
    list_filter = ("state",)
    ordering = ("-created_at",)


@admin.register(Pronunciation)
class PronunciationAdmin(OfCustomer, ReadOnlyAdmin):
    list_display = ("id", "customer")
    exclude = ("written", "spoken")
    ordering = ("-id",)


@admin.register(Draft)
class DraftAdmin(OfCustomer, ReadOnlyAdmin):
    list_display = ("customer", "version", "changed_at")
    exclude = ("text", "former_text", "manner")
    ordering = ("-changed_at",)


@admin.register(Folder)
class FolderAdmin(OfCustomer, ReadOnlyAdmin):
    list_display = ("id", "customer", "created_at")
    exclude = ("name",)
    ordering = ("-created_at",)


@admin.register(Favourite)
class FavouriteAdmin(OfCustomer, ReadOnlyAdmin):
    list_display = ("id", "customer", "voice")
    ordering = ("-id",)


@admin.register(VoiceConsent)
class VoiceConsentAdmin(OfCustomer, ReadOnlyAdmin):
    list_display = ("given_at", "customer", "name", "address", "revoked_at")
    exclude = ("key", "body_hash")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    ordering = ("-given_at",)


@admin.register(VoiceMatch)
class VoiceMatchAdmin(OfCustomer, ReadOnlyAdmin):
    """Without what was computed of a voice: operators do not need it to help."""

    list_display = ("created_at", "customer", "state", "failure")
    list_filter = ("state",)
    exclude = ("embedding", "body_hash", "candidates")
    ordering = ("-created_at",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[VoiceMatch]:
        rows: QuerySet[VoiceMatch] = super().get_queryset(request)
        return rows.defer("embedding")


@admin.register(VoiceCopy)
class VoiceCopyAdmin(JobRowAdmin):
    """What a speech server has of a voice. A row is dead where a person has to delete it there."""

    list_display = ("created_at", "label", "server", "asking", "deleted_at")
    ordering = ("-created_at",)
    actions = ["retry", "close"]

    @confirmed(
        "Deleted by hand",
        explains="Says that a person has deleted at their servers what stands in these rows.",
        asks=Reason,
        applies=lambda row: row.deleted_at is None and row.dead_at is not None,
    )
    def close(self, request: HttpRequest, rows: QuerySet[VoiceCopy], reason: str) -> None:
        def close_one(row: VoiceCopy) -> None:
            if not copies.deleted_by_hand(row, timezone.now()):
                raise Refused("needs nobody")

        self.each(request, rows, "Deleted by hand", close_one, note=reason)


@admin.register(Generation)
class GenerationAdmin(OfCustomer, ReadOnlyAdmin):
    list_display = (
        "created_at",
        "customer",
        "voice_name",
        "characters",
        "credits",
        "state",
        "failure",
    )
    list_filter = ("state", "voice_type")
    exclude = ("text", "title", "manner", "words")
    ordering = ("-created_at",)
    actions = ["give_back", "cancel"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Generation]:
        rows: QuerySet[Generation] = super().get_queryset(request)
        return rows.defer("text", "title", "manner", "words")

    def describe(self, row: Generation) -> str:
        return f"{row.customer}, {row.created_at:%Y-%m-%d %H:%M}: {row} for {row.credits:,} credits"

    def has_give_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("billing.add_complimentarygrant")

    @confirmed(
        "Credit back",
        explains=(
            "Credits back what these generations cost, as new credits, once each. "
            "Reported usage stays reported."
        ),
        asks=Reason,
        permission="give",
        applies=lambda generation: (
            generation.state == Generation.State.DONE and generation.credit_back_id is None
        ),
    )
    def give_back(
        self, request: HttpRequest, generations: QuerySet[Generation], reason: str
    ) -> None:
        def credit_one_back(generation: Generation) -> None:
            if generation.credit_back_id:
                raise Refused("was credited back before")
            try:
                credit_back.credit_back(
                    generation=generation,
                    by=request.user,  # type: ignore[arg-type]
                    reason=reason,
                    now=timezone.now(),
                )
            except credit_back.NotCreditable as error:
                raise Refused(str(error)) from error

        self.each(request, generations, "Credited back", credit_one_back, note=reason)

    @confirmed(
        "Cancel",
        explains=(
            "Ends these long texts before they are spoken, or made again. What is reserved for "
            "them is given back, and what was spoken of them is deleted."
        ),
        applies=lambda generation: generation.is_with_worker,
    )
    def cancel(self, request: HttpRequest, generations: QuerySet[Generation]) -> None:
        def cancel_one(generation: Generation) -> None:
            is_with_worker = generation.is_with_worker
            if not (is_with_worker and long.fail(generation, long.CANCELLED, timezone.now())):
                raise Refused("is over, or made by a request")

        self.each(request, generations, "Cancelled", cancel_one)


@admin.register(LongSpeech)
class LongSpeechAdmin(OfCustomer, JobRowAdmin):
    """How far a long text is. Retry goes on with it now; the generation has Cancel."""

    list_display = ("generation", "characters_spoken", "pieces_spoken", "pieces", "renew_at")
    list_select_related = ("generation__customer__user",)
    customer_path = "generation__customer"
    exclude = ("parts",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[LongSpeech]:
        rows: QuerySet[LongSpeech] = super().get_queryset(request)
        return rows.defer("generation__text", "generation__words", "parts")

    def describe(self, row: LongSpeech) -> str:
        return f"{row.generation.customer}: {row}"


@admin.register(UsageDay)
class UsageDayAdmin(OfCustomer, ReadOnlyAdmin):
    """Sums for pages; `rebuild_usage_days` puts them right."""

    list_display = ("day", "customer", "kind", "voice", "characters", "credits", "generations")
    list_filter = ("kind", "voice_type")
    exclude = ("voice_name",)
    ordering = ("-id",)


@admin.register(UsageEvent)
class UsageEventAdmin(OfCustomer, JobRowAdmin):
    list_display = ("happened_at", "customer", "event_type", "credits", "transaction_id", "sent_at")
    exact_fields = ("transaction_id",)
    actions = ["retry", "send_again"]

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Newest first, on an index: by time for one customer, else by primary key."""
        return ("-happened_at",) if "customer__id__exact" in request.GET else ("-pk",)

    @confirmed(
        "Send again",
        explains="Sends these again, also those sent before. Metronome counts each of them once.",
    )
    def send_again(self, request: HttpRequest, queryset: QuerySet[UsageEvent]) -> None:
        since = timezone.now() - timedelta(days=REPEATS_IGNORED_DAYS)
        self.make_due(
            request, "Send again", queryset.filter(happened_at__gt=since), chosen=queryset.count()
        )


class OpenFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "open: needs a person"), ("waits", "in transit only")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        match self.value():
            case "open":
                return queryset.standing()
            case "waits":
                return queryset.open().filter(is_in_transit=True)
        return queryset


@admin.register(UsageDiscrepancy)
class UsageDiscrepancyAdmin(OfCustomer, JobRowAdmin):
    list_display = (
        "hour_at",
        "customer",
        "event_type",
        "voice_type",
        "local_units",
        "remote_units",
        "first_seen_at",
        "resolved_at",
    )
    list_filter = (OpenFilter, WorkFilter)
    ordering = ("-pk",)
    actions = ["repair", "close"]

    @confirmed(
        "Send what is missing",
        explains=(
            "A worker sends again what Metronome does not have, "
            "and compares again once it is counted."
        ),
        applies=lambda row: row.resolved_at is None,
    )
    def repair(self, request: HttpRequest, queryset: QuerySet[UsageDiscrepancy]) -> None:
        self.each(
            request,
            queryset,
            "Sent again",
            lambda row: _must(reconciliation.ask_repair(_one(row), now=timezone.now())),
        )

    @confirmed(
        "Close",
        explains="Accepts these discrepancies. One opens again only if its numbers change.",
        asks=Reason,
        applies=lambda row: row.resolved_at is None,
    )
    def close(
        self, request: HttpRequest, queryset: QuerySet[UsageDiscrepancy], reason: str
    ) -> None:
        self.each(
            request,
            queryset,
            "Closed",
            lambda row: _must(reconciliation.close(_one(row), now=timezone.now())),
            note=reason,
        )


def _one(row: UsageDiscrepancy) -> UsageDiscrepancyQuerySet:
    return UsageDiscrepancy.objects.filter(pk=row.pk)


def _must(open_rows: int) -> None:
    if not open_rows:
        raise Refused("is closed already")


@admin.register(ReconciliationRun)
class ReconciliationRunAdmin(JobRowAdmin):
    """Progress of the reconciliation. Retry advances it now."""

    list_display = ("kind", "since_at", "until_at")
    ordering = ("kind",)
