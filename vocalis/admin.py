"""The admin's start page: what needs a person, before the list of everything."""

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

from . import health
from .middleware import NUL


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
        """Rows are named by the address, and by the boxes ticked in a list:
        neither is looked at by a form."""
        inner: Callable[..., HttpResponseBase] = super().admin_view(view, cacheable)

        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            named = [*args, *kwargs.values(), *request.POST.getlist(ACTION_CHECKBOX_NAME)]
            if any(isinstance(name, str) and NUL in name for name in named):
                return defaults.bad_request(request, BadRequest())
            return inner(request, *args, **kwargs)

        return update_wrapper(guarded, inner)

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The button sends a form. Who comes by the address, as after a login, stays logged in."""
        if request.method in ("GET", "HEAD"):
            return redirect("admin:index")
        return super().logout(request, extra_context)

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        seen = [look for look in looks() if request.user.has_perm(look["permission"])]
        return super().index(request, (extra_context or {}) | {"looks": seen})


def looks() -> list[dict[str, str]]:
    """The checks of our own rows, each with where to go on and the right it takes to see it;
    dead rows by kind."""
    dead = overview.dead_rows()
    checks = [
        check
        for check in health.local_checks(timezone.now(), dead)
        if not (dead and check.name == "dead rows")
    ]
    rows = [_look(check.name, check.status, check.detail, check.admin) for check in checks]
    for model, count in dead.items():
        page = f"{model._meta.app_label}_{model._meta.model_name}?work=dead"
        rows.append(
            _look(f"dead {model._meta.verbose_name_plural}", "warn", f"{count} to look at", page)
        )
    return rows


def _look(name: str, status: str, detail: str, page: str) -> dict[str, str]:
    """`page` names a changelist, such as "billing_drift?state=open";
    what has none is for those who watch the workers."""
    label, _, query = page.partition("?")
    app, _, model = (label or "jobs_heartbeat").partition("_")
    url = reverse(f"admin:{label}_changelist") + f"?{query}" * bool(query) if label else ""
    return {
        "name": name,
        "status": status,
        "detail": detail,
        "url": url,
        "permission": f"{app}.view_{model}",
    }
