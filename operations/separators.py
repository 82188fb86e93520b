"""Numbers with separators in the lists and on the pages of the admin: 40,000."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property, wraps
from typing import Any

from django.contrib.admin.utils import label_for_field
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.http import HttpRequest

Column = str | Callable[[Any], Any]


class Separated:
    """For a model admin or an inline whose rows are only read.

    Django's setting for separators would change every number of every page, those that scripts and
    forms read among them.
    """

    def get_list_display(self, request: HttpRequest) -> Any:
        return self.separated(super().get_list_display(request))  # type: ignore[misc]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        groups = super().get_fieldsets(request, obj)  # type: ignore[misc]
        return [
            (title, options | {"fields": self.separated(options["fields"])})
            for title, options in groups
        ]

    def separated(self, names: Iterable[Any]) -> list[Column]:
        return [_shown(name, self) if _may_be_a_number(name, self) else name for name in names]


def _may_be_a_number(name: Any, admin: Any) -> bool:
    if not isinstance(name, str):
        return False
    try:
        field = admin.model._meta.get_field(name)
    except FieldDoesNotExist:
        if hasattr(admin, name):
            return not hasattr(getattr(admin, name), "boolean")
        return isinstance(getattr(admin.model, name, None), property | cached_property)
    return isinstance(field, models.IntegerField) and not (field.choices or field.primary_key)


def _shown(name: str, admin: Any) -> Callable[[Any], Any]:
    of_admin = getattr(admin, name, None)

    def value(row: Any) -> Any:
        found = of_admin(row) if of_admin else getattr(row, name)
        is_number = isinstance(found, int) and not isinstance(found, bool)
        return f"{found:,}" if is_number else found

    shown: Callable[[Any], Any] = wraps(of_admin)(value) if of_admin else value
    shown.__name__ = name
    shown.__dict__["short_description"] = label_for_field(name, admin.model, admin)
    return shown
