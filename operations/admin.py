"""How rows look in the admin: read-only where the software writes them, Retry where a job does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.text import capfirst

from jobs.models import Heartbeat, JobRow, PausedJob

from .command import Refused
from .confirmation import too_many
from .separators import Separated

if TYPE_CHECKING:
    AnyModelAdmin = admin.ModelAdmin[Any]
    AnyPaginator = Paginator[Any]
else:  # generic in the stubs only
    AnyModelAdmin, AnyPaginator = admin.ModelAdmin, Paginator

# Lists stop counting, and paging, here: a COUNT over millions takes seconds.
ROWS_COUNTED_MAX = 10_000

WORK_FIELDS = {field.name for field in JobRow._meta.fields}


class BoundedPaginator(AnyPaginator):
    @cached_property
    def count(self) -> int:
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]  # the admin's are
        return rows.order_by().values("pk")[:ROWS_COUNTED_MAX].count()

    @property
    def is_cut(self) -> bool:
        return self.count == ROWS_COUNTED_MAX


class ReadOnlyAdmin(Separated, AnyModelAdmin):
    """Rows that only the software writes.

    Actions ask for the change permission, though nothing can be edited; each has a button on the
    page of a row, too."""

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    # By any column but the key, a million rows take seconds; search and filters do not.
    sortable_by: ClassVar[Any] = ()
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return super().has_change_permission(request)

    def log(self, request: HttpRequest, rows: Iterable[Any], message: str) -> None:
        """Write down in Django's own log who did this, on the page of each row."""
        LogEntry.objects.log_actions(request.user.pk or 0, rows, CHANGE, message)

    def each(
        self,
        request: HttpRequest,
        rows: Iterable[Any],
        done: str,
        act: Callable[[Any], object],
        *,
        note: str = "",
    ) -> None:
        """Do it to each row, together with its line in the log.

        A row that raises Refused is left alone, and it is said.

        `act` is given the row as it is now, locked, so that of two who press at once the second is
        told.
        """
        count = 0
        for row in rows:
            try:
                with transaction.atomic():
                    act(self.model._default_manager.select_for_update().get(pk=row.pk))
                    self.log(request, [row], f"{done}: {note}" if note else f"{done}.")
                count += 1
            except Refused as error:
                self.message_user(request, f"{row}: {error}", messages.WARNING)
        if count:
            self.message_user(request, f"{done}: {self.count_of(count)}.", messages.SUCCESS)
        else:
            self.message_user(request, "Nothing was changed.", messages.WARNING)

    def count_of(self, count: int) -> str:
        """“1 wallet”, “1,200 wallets”"""
        name = self.opts.verbose_name if count == 1 else self.opts.verbose_name_plural
        return f"{count:,} {name}"

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        return super().change_view(
            request, object_id, form_url, self.page_context(request, row) if row else None
        )

    def describe(self, row: Any) -> str:
        """One row in a line, where it is about to be acted on."""
        return str(row)

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """What the page of one row shows beside its fields."""
        return {"buttons": self.buttons(request, row), "links": related_links(request, row)}

    def buttons(self, request: HttpRequest, row: Any) -> list[dict[str, str]]:
        """The actions this person may take with this row now."""
        if not self.has_view_permission(request):
            return []
        url = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
        actions: dict[str, Any] = self.get_actions(request)
        return [
            {
                "url": url,
                "action": name,
                "pk": str(row.pk),
                "label": text.partition(":")[0],
                "description": text,
            }
            for name, (act, _, text) in actions.items()
            if getattr(act, "applies", lambda row: True)(row)
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Django would show the list to whom an action is denied, as if it had been done."""
        wanted = request.POST.get("action", "")
        if wanted in (self.actions or ()) and wanted not in self.get_actions(request):
            raise PermissionDenied
        return super().changelist_view(request, extra_context)

    def response_action(
        self, request: HttpRequest, *args: Any, **options: Any
    ) -> HttpResponse | None:
        """Back to the page whose button was pressed."""
        response = super().response_action(request, *args, **options)
        back = request.POST.get("back", "")
        done = (
            isinstance(response, HttpResponseRedirect) and response.url == request.get_full_path()
        )
        if done and url_has_allowed_host_and_scheme(back, allowed_hosts=None):
            return HttpResponseRedirect(back)
        return response


class WorkFilter(admin.SimpleListFilter):
    title = "work"
    parameter_name = "work"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("dead", "dead: needs a person"), ("due", "waiting or under way")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        match self.value():
            case "dead":
                return queryset.dead()
            case "due":
                return queryset.filter(due_at__isnull=False, dead_at=None)
        return queryset


class JobRowAdmin(ReadOnlyAdmin):
    """A row that a job works on: when it is due, its last error; Retry runs the job now."""

    list_filter: ClassVar[Any] = (WorkFilter,)
    actions = ["retry"]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        names = [str(name) for name in self.get_fields(request, obj)]
        work = [name for name in names if name in WORK_FIELDS]
        return [
            (None, {"fields": self.separated(name for name in names if name not in work)}),
            ("Work", {"fields": self.separated(work)}),
        ]

    def get_list_display(self, request: HttpRequest) -> Any:
        return [
            *super().get_list_display(request),
            "work",
            *self.separated(["attempts"]),
            "trouble",
        ]

    @admin.display(description="work", ordering="due_at")
    def work(self, row: JobRow) -> str:
        if row.dead_at:
            return f"dead since {row.dead_at:%Y-%m-%d %H:%M}"
        if row.leased_until and row.leased_until > timezone.now():
            return "under way"
        return f"due {row.due_at:%Y-%m-%d %H:%M:%S}" if row.due_at else "—"

    @admin.display(description="last error")
    def trouble(self, row: JobRow) -> str:
        return row.last_error[:120]

    @admin.action(description="Retry: run the job now", permissions=["operate"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        if not too_many(self, request, queryset):
            self.make_due(
                request, "Retry", queryset.filter(due_at__isnull=False), chosen=queryset.count()
            )

    retry.applies = lambda row: row.due_at is not None  # type: ignore[attr-defined]

    def make_due(
        self, request: HttpRequest, verb: str, queryset: QuerySet[Any], *, chosen: int
    ) -> None:
        rows: Any = self.model._default_manager.filter(
            pk__in=list(queryset.values_list("pk", flat=True))
        )
        self.log(request, rows, f"{verb} by hand.")
        count = rows.run_now(timezone.now())
        if count:
            are = "is" if count == 1 else "are"
            words = f"{verb}: {self.count_of(count)} {are} due now."
            self.message_user(request, words, messages.SUCCESS)
        if chosen > count:
            left = chosen - count
            words = f"{self.count_of(left)} left alone: there is nothing to do."
            self.message_user(request, words, messages.WARNING)


def related_links(request: HttpRequest, row: Model) -> list[str]:
    """Links to everything that belongs to this row and this person may see, in whatever app."""
    links: list[str] = []
    for relation in row._meta.related_objects:
        # Never "self" here.
        model: type[Model] = relation.related_model  # type: ignore[assignment]
        meta = model._meta
        if not admin.site.is_registered(model):
            continue
        if not admin.site.get_model_admin(model).has_view_permission(request):
            continue
        url = reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")
        query = urlencode({f"{relation.field.name}__{row._meta.pk.name}__exact": row.pk})
        name = meta.verbose_name if relation.one_to_one else meta.verbose_name_plural
        links.append(format_html('<a href="{}?{}">{}</a>', url, query, capfirst(str(name))))
    return links


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnlyAdmin):
    list_display = ("worker", "queues", "started_at", "beat_at")
    ordering = ("-beat_at",)


@admin.register(PausedJob)
class PausedJobAdmin(ReadOnlyAdmin):
    """A pause ends by itself; deleting it ends it now."""

    list_display = ("name", "paused_until", "reason")
    ordering = ("-paused_until",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return admin.ModelAdmin.has_delete_permission(self, request, obj)
