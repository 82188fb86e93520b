"""The admin's start page: what needs a person, before the list of everything."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator

from accounts.throttle import throttled
from jobs import worker

from . import health


class Site(admin.AdminSite):
    site_header = site_title = "Vocalis"
    index_title = "Operations"
    index_template = "admin/vocalis_index.html"
    login = method_decorator(throttled("login", account="username"))(admin.AdminSite.login)

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        return super().index(request, (extra_context or {}) | {"looks": looks()})


def looks() -> list[dict[str, str]]:
    """The checks of our own rows, each with where to go on; dead rows by kind."""
    rows = [
        {"name": check.name, "status": check.status, "detail": check.detail, "url": changelist(check.admin)}
        for check in health.local_checks(timezone.now())
    ]
    for model, count in worker.dead_rows().items():
        label = f"{model._meta.app_label}_{model._meta.model_name}?work=dead"
        name = str(model._meta.verbose_name_plural)
        rows.append(
            {"name": f"dead {name}", "status": "warn", "detail": f"{count} to look at", "url": changelist(label)}
        )
    return rows


def changelist(name: str) -> str:
    """Address of a changelist from a name like "billing_drift?state=open"; empty for an empty name."""
    label, _, query = name.partition("?")
    return f"{reverse(f'admin:{label}_changelist')}{'?' if query else ''}{query}" if label else ""
