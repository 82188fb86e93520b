"""Admin actions that ask before they act: what will happen, to which rows, and why.

The answer goes into Django's log."""

from __future__ import annotations

import functools
from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import AdminTextInputWidget
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from .command import reason

ROWS_MAX = 500  # of one action, so that its page answers in time; the commands take any number


class Sure(forms.Form):
    """Asks whether it is meant, and nothing else."""


class Reason(forms.Form):
    reason = forms.CharField(
        max_length=200, widget=AdminTextInputWidget, help_text="Kept in the log beside your name."
    )

    def clean_reason(self) -> str:
        try:
            return reason(self.cleaned_data["reason"])
        except ArgumentTypeError as error:
            raise forms.ValidationError(f"{error}.".capitalize()) from None


def too_many(
    model_admin: admin.ModelAdmin[Any], request: HttpRequest, queryset: QuerySet[Any]
) -> bool:
    """Whether these are more rows than an action takes; the page then says so."""
    if found := queryset[ROWS_MAX:].exists():
        model_admin.message_user(
            request, f"Choose {ROWS_MAX} rows at most; nothing was done.", messages.ERROR
        )
    return found


def confirmed(
    description: str,
    *,
    explains: str,
    asks: type[forms.Form] = Sure,
    permission: str = "operate",
    applies: Callable[[Any], bool] = lambda row: True,
) -> Callable[[Callable[..., None]], Any]:
    """Make an admin action of `act(admin, request, queryset, **answers)`.

    It first shows a page with `explains` and the fields of `asks`. `applies` says on which rows'
    pages it has a button.
    """

    def decorate(act: Callable[..., None]) -> Any:
        @admin.action(description=description, permissions=[permission])
        @functools.wraps(act)
        def ask_first(
            self: Any, request: HttpRequest, queryset: QuerySet[Any]
        ) -> HttpResponse | None:
            if too_many(self, request, queryset):
                return None
            rows = list(queryset)
            form = asks(request.POST if "confirmed" in request.POST else None)
            if form.is_valid():
                act(
                    self,
                    request,
                    queryset.model._default_manager.filter(pk__in=[row.pk for row in rows]),
                    **form.cleaned_data,
                )
                return None
            context = self.admin_site.each_context(request) | {
                "opts": self.opts,
                "title": description,
                "explains": explains,
                "form": form,
                "rows": [(row.pk, self.describe(row)) for row in rows],
                "action": act.__name__,
                "back": request.POST.get("back", ""),
            }
            return TemplateResponse(request, "admin/confirm.html", context)

        ask_first.applies = applies  # type: ignore[attr-defined]
        return ask_first

    return decorate
