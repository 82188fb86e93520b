"""Access to views, and the page a person sees after logging in."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from .models import Customer, User

View = Callable[..., HttpResponseBase]

LOG_IN_FIRST = "Log in first."
NO_CUSTOMER = (
    "This is an operator's account: it has no credits and no studio. "
    "Sign up with another e-mail address."
)


class CustomerRequest(HttpRequest):
    """The request as a view under `customer_required` receives it."""

    user: User
    customer: Customer


def customer_required(view: View) -> View:
    """Restrict a view to logged-in customers and set `request.customer`.

    Anonymous visitors are redirected to the login page. Operators without a customer get the 403
    page. A program that asks for JSON gets 401 or 403 as JSON.
    """

    @wraps(view)
    def guarded(request: CustomerRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return (
                refuse(401, LOG_IN_FIRST)
                if wants_json(request)
                else redirect_to_login(request.get_full_path())
            )
        customer = customer_of(request.user)
        if customer is None:
            if wants_json(request):
                return refuse(403, NO_CUSTOMER)
            raise PermissionDenied(NO_CUSTOMER)
        request.customer = customer
        return view(request, *args, **kwargs)

    return guarded


def customer_of(user: User) -> Customer | None:
    try:
        return user.customer
    except Customer.DoesNotExist:
        return None


def wants_json(request: HttpRequest) -> bool:
    try:
        return request.get_preferred_type(["text/html", "application/json"]) == "application/json"
    # The Accept header has a parameter that is not text or names an unknown character set.
    except (LookupError, ValueError):
        return False


def refuse(status: int, message: str) -> HttpResponse:
    return JsonResponse({"error": message}, status=status)


def start_url(user: User) -> str:
    """The first page after login: the studio, or the admin for staff without a customer."""
    return reverse("admin:index" if user.is_staff and customer_of(user) is None else "studio")


def next_url(request: HttpRequest) -> str:
    """The page requested before login (parameter `next`) if it is on this site, else ''."""
    url = request.POST.get("next") or request.GET.get("next", "")
    ours = url_has_allowed_host_and_scheme(
        url, {request.get_host()}, require_https=request.is_secure()
    )
    return url if ours else ""
