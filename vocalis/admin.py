"""The admin site. Its start page (`vocalis.start`) says what needs a person, before the models."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.views import defaults

from accounts.access import next_url
from usage.speech.overview import engines

from . import find, start
from .middleware import NUL

NO_OPERATOR = "This is no operator's account. Log out, and log in with the account of an operator."


class Site(admin.AdminSite):
    site_header = site_title = "Vocalis"
    index_title = "Operations"
    index_template = "admin/vocalis_index.html"
    enable_nav_sidebar = False  # lists need the width; the start page has the same links

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The site's own login, which has the throttle and the second step."""
        if self.has_permission(request):
            return redirect(next_url(request) or "admin:index")
        if request.user.is_authenticated:
            raise PermissionDenied(NO_OPERATOR)
        wanted = next_url(request) or reverse("admin:index")
        return redirect_to_login(wanted)

    def password_change(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """The site's own page, which tells by mail and ends other sessions."""
        return redirect("password_change")

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

    def get_urls(self) -> list[Any]:
        return [path("find/", self.admin_view(self.find), name="find"), *super().get_urls()]

    def find(self, request: HttpRequest) -> HttpResponseBase:
        """What the words of the search name. If it is one row, this leads to its page."""
        term, refusal = request.GET.get("q", ""), ""
        found: list[find.Found] = []
        try:
            found = find.find(term, request.user)
        except find.TooShort as error:
            refusal = str(error)
        if len(found) == 1:
            return redirect(found[0].url)
        context = {"title": "Find", "term": term, "found": found, "refusal": refusal}
        return TemplateResponse(request, "admin/find.html", self.each_context(request) | context)

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        viewer, now = request.user, timezone.now()
        checks = [row for row in start.check_rows(now) if viewer.has_perm(row["permission"])]
        waits = start.waiting(viewer, now)
        context = {
            "now": now,
            "needs": [row for row in checks if row["status"] != "ok"],
            "checks": checks,
            "figures": start.figures(viewer, now),
            "waiting": [(row, start.ago(row.oldest_at, now)) for row in waits if _is_told(row)],
            "idle": [row for row in waits if not _is_told(row)],
            "answers": start.answers(viewer),
            "acts": start.acts(viewer),
            "engines": engines() if viewer.has_perm(start.GENERAL_PERMISSION) else [],
        }
        return super().index(request, (extra_context or {}) | context)


def _is_told(row: start.Waiting) -> bool:
    return row.count > 0 or row.level != "ok"
