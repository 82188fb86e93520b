"""The admin site. Its start page lists the health checks of our own rows, and the speech engines,
before the models.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views import defaults

from accounts.throttle import throttled, throttled_password
from jobs import overview
from usage.speech.overview import engines

from . import health
from .middleware import NUL

# To see what is of no row: checks without a page, and the speech engines.
GENERAL_PERMISSION = "jobs.view_heartbeat"


class Site(admin.AdminSite):
    site_header = site_title = "Vocalis"
    index_title = "Operations"
    index_template = "admin/vocalis_index.html"
    enable_nav_sidebar = False  # lists need the width; the start page has the same links
    login = method_decorator(throttled("login", account="username"))(admin.AdminSite.login)
    password_change = method_decorator(throttled_password("old_password"))(
        admin.AdminSite.password_change
    )

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Answer 400 if an object id in the URL or in a list's checkboxes contains NUL.

        No form validates those; see also `middleware.nul_refused`.
        """
        inner: Callable[..., HttpResponseBase] = super().admin_view(view, cacheable)

        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            named = [*args, *kwargs.values(), *request.POST.getlist(ACTION_CHECKBOX_NAME)]
            if any(isinstance(name, str) and NUL in name for name in named):
                return defaults.bad_request(request, BadRequest())
            return inner(request, *args, **kwargs)

        return update_wrapper(guarded, inner)

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Log out on POST only. A GET, for example a redirect after login, changes nothing."""
        if request.method in ("GET", "HEAD"):
            return redirect("admin:index")
        return super().logout(request, extra_context)

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        checks = [row for row in check_rows() if request.user.has_perm(row["permission"])]
        speech = engines() if request.user.has_perm(GENERAL_PERMISSION) else []
        context = {"checks": checks, "engines": speech}
        return super().index(request, (extra_context or {}) | context)


def check_rows() -> list[dict[str, str]]:
    """The health checks of our own rows, each with its URL and the permission to see it.

    Dead rows are listed by model.
    """
    dead = overview.dead_rows()
    checks = [
        check
        for check in health.local_checks(timezone.now(), dead)
        if not (dead and check.name == "dead rows")
    ]
    rows = [_check_row(check.name, check.status, check.detail, check.admin) for check in checks]
    for model, count in dead.items():
        page = f"{model._meta.app_label}_{model._meta.model_name}?work=dead"
        rows.append(
            _check_row(
                f"dead {model._meta.verbose_name_plural}", "warn", f"{count} need a person", page
            )
        )
    return rows


def _check_row(name: str, status: str, detail: str, page: str) -> dict[str, str]:
    """`page` names a changelist, such as "billing_drift?state=open".

    A check without a page is shown to those who may see the workers' heartbeats.
    """
    label, _, query = page.partition("?")
    app, _, model = label.partition("_")
    url = reverse(f"admin:{label}_changelist") + f"?{query}" * bool(query) if label else ""
    return {
        "name": name,
        "status": status,
        "detail": detail,
        "url": url,
        "permission": f"{app}.view_{model}" if label else GENERAL_PERMISSION,
    }
