"""What programs look for at fixed addresses: robots.txt, the sitemap, whom to tell of bugs."""

from __future__ import annotations

from datetime import timedelta
from email.utils import parseaddr

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from . import documents

PRIVATE = ("/admin/", "/accounts/", "/api/", "/billing/", "/hear/", "/studio/", "/usage/", "/v1/")
# /accounts/ is private, its first page is for everybody.
ALLOWED = ("/accounts/signup/", "/v1/docs")
SECURITY_DAYS = 180  # for which what security.txt says holds


@require_safe
def robots(request: HttpRequest) -> HttpResponse:
    lines = [
        "User-agent: *",
        *(f"Allow: {path}" for path in ALLOWED),
        *(f"Disallow: {path}" for path in PRIVATE),
        f"Sitemap: {_site()}/sitemap.xml",
    ]
    return _text(lines)


@require_safe
def sitemap(request: HttpRequest) -> HttpResponse:
    names = ("home", "pricing", "voices", "signup", "documents", "api_reference", "api_problems")
    paths = [reverse(name) for name in (*names, "status", "terms", "privacy")]
    slugs = (one.slug for found in documents.groups().values() for one in found)
    paths += [reverse("document", args=[slug]) for slug in slugs]
    context = {"urls": [_site() + path for path in paths]}
    return render(request, "sitemap.xml", context, content_type="application/xml")


@require_safe
def security(request: HttpRequest) -> HttpResponse:
    """RFC 9116. It is for the address that our mails come from."""
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    lines = [
        f"Contact: mailto:{parseaddr(settings.DEFAULT_FROM_EMAIL)[1]}",
        f"Expires: {midnight + timedelta(days=SECURITY_DAYS):%Y-%m-%dT%H:%M:%SZ}",
        "Preferred-Languages: en",
        f"Canonical: {_site()}/.well-known/security.txt",
    ]
    return _text(lines)


def _site() -> str:
    return settings.SITE_URL.rstrip("/")


def _text(lines: list[str]) -> HttpResponse:
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")
