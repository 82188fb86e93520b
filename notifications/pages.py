"""The pages of webhooks: endpoints, and what was sent to one of them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from accounts import throttle, unsent
from accounts.access import CustomerRequest, customer_required

from . import banners, endpoints
from .endpoints import EndpointRefused
from .kinds import KINDS
from .models import OutboundWebhook, WebhookEndpoint

# Of the session: a secret that the next page shows, once.
SHOWN_ONCE = "webhook secret"
TOO_OFTEN = "You have sent very many tests. Wait some minutes and try again."


# Exempt here, and checked below: whoever is not logged in should hear that, not of a token.
@csrf_exempt
@unsent.kept("url")
@customer_required
@csrf_protect
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: CustomerRequest) -> HttpResponseBase:
    """The endpoints, and the form that makes one."""
    if request.method == "POST":
        return _create(request)
    typed = unsent.take(request)
    return _render_list(request, url=typed.get("url", ""), chosen=list(KINDS))


@csrf_exempt
@unsent.kept()
@customer_required
@csrf_protect
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def endpoint_page(request: CustomerRequest, endpoint_id: uuid.UUID) -> HttpResponseBase:
    """One endpoint: its settings, its secret once, and its deliveries."""
    endpoint = _endpoint(request, endpoint_id)
    if request.method != "POST":
        unsent.take(request)  # only for its message
        return _render(request, endpoint)
    act = ACTS.get(request.POST.get("do", ""))
    if act is None:
        refused = EndpointRefused(endpoint="Press one of the buttons.")
        return _render(request, endpoint, refused=refused)
    try:
        act(request, endpoint)
    except EndpointRefused as refused:
        return _render(request, endpoint, refused=refused)
    return redirect("webhooks") if act is _delete else redirect("webhook", endpoint.id)


@unsent.form_only("webhooks")
@unsent.kept(page="webhooks")
@customer_required
def resend(
    request: CustomerRequest, endpoint_id: uuid.UUID, webhook_id: uuid.UUID
) -> HttpResponseBase:
    endpoint = _endpoint(request, endpoint_id)
    webhook = get_object_or_404(OutboundWebhook, pk=webhook_id, endpoint=endpoint)
    try:
        _check_often(request)
        endpoints.resend(webhook, timezone.now())
        messages.success(request, "It is being sent again. Reload the page to see the answer.")
    except EndpointRefused as refused:
        messages.error(request, str(refused))
    return redirect("webhook", endpoint.id)


@unsent.form_only("home")
@unsent.kept(page="studio")
@customer_required
def close_banner(request: CustomerRequest, banner_id: int) -> HttpResponseBase:
    """Take the banner down, and show the page again that it was on."""
    banners.close(customer_id=request.customer.pk, banner_id=banner_id, now=timezone.now())
    back = request.headers.get("Referer", "")
    is_ours = url_has_allowed_host_and_scheme(back, {request.get_host()}, request.is_secure())
    return HttpResponseRedirect(back) if is_ours else redirect("studio")


@sensitive_variables("secret")
def _create(request: CustomerRequest) -> HttpResponse:
    url, chosen = request.POST.get("url", ""), request.POST.getlist("events")
    key = request.POST.get("key", "")
    try:
        endpoint, secret = endpoints.create(request.customer, url, chosen, timezone.now(), key=key)
    except EndpointRefused as refused:
        key = "" if "key" in refused.errors else key
        response = _render_list(request, url=url, chosen=chosen, key=key, errors=refused.errors)
        response.status_code = HTTPStatus.UNPROCESSABLE_ENTITY
        return response
    _show_once(request, endpoint, secret)
    return redirect("webhook", endpoint.id)


# --- The buttons of an endpoint -------------------------------------------------------------------


def _save(request: CustomerRequest, endpoint: WebhookEndpoint) -> None:
    endpoints.change(
        endpoint,
        timezone.now(),
        url=request.POST.get("url", ""),
        events=request.POST.getlist("events"),
    )
    messages.success(request, "Saved.")


@sensitive_variables("secret")
def _rotate(request: CustomerRequest, endpoint: WebhookEndpoint) -> None:
    digits = request.POST.get("rotations", "")
    expected = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 9 else None
    secret = endpoints.rotate(endpoint, timezone.now(), rotations=expected)
    _show_once(request, endpoint, secret)


def _enable(request: CustomerRequest, endpoint: WebhookEndpoint) -> None:
    endpoints.enable(endpoint)
    messages.success(request, "Events are sent to this endpoint again.")


def _disable(request: CustomerRequest, endpoint: WebhookEndpoint) -> None:
    endpoints.disable(endpoint, timezone.now())
    messages.success(request, "Nothing more is sent to this endpoint.")


def _delete(request: CustomerRequest, endpoint: WebhookEndpoint) -> None:
    endpoints.delete(endpoint, timezone.now())
    messages.success(request, "The endpoint is deleted.")


def _ping(request: CustomerRequest, endpoint: WebhookEndpoint) -> None:
    _check_often(request)
    endpoints.ping(endpoint, request.POST.get("key", "") or str(uuid.uuid4()), timezone.now())
    messages.success(request, "A test event is on its way. Reload the page to see the answer.")


ACTS: dict[str, Callable[[CustomerRequest, WebhookEndpoint], None]] = {
    "save": _save,
    "rotate": _rotate,
    "enable": _enable,
    "disable": _disable,
    "delete": _delete,
    "ping": _ping,
}


# --- What the pages show --------------------------------------------------------------------------


def _render_list(
    request: CustomerRequest, *, url: str, chosen: list[str], key: str = "", **shown: Any
) -> HttpResponse:
    context = {
        "endpoints": endpoints.with_latest(request.customer),
        "endpoints_max": endpoints.ENDPOINTS_MAX,
        "kinds": _kinds(chosen),
        "url": url,
        "key": key or str(uuid.uuid4()),
        **shown,
    }
    return render(request, "notifications/webhooks.html", context)


@sensitive_variables()
def _render(
    request: CustomerRequest, endpoint: WebhookEndpoint, *, refused: EndpointRefused | None = None
) -> HttpResponse:
    is_saving = refused is not None and request.POST.get("do") == "save"
    chosen = request.POST.getlist("events") if is_saving else endpoint.events
    deliveries = endpoints.deliveries(endpoint, before=_before(request, endpoint))
    context = {
        "endpoint": endpoint,
        "url": request.POST.get("url", "") if is_saving else endpoint.url,
        "kinds": _kinds(chosen),
        "errors": refused.errors if refused else {},
        "problem": str(refused) if refused and not is_saving else "",
        "secret": _take_shown_once(request, endpoint),
        "former_hours": endpoints.FORMER_SECRET_HOURS,
        "is_rotating": len(endpoint.secrets(timezone.now())) > 1,
        "deliveries": [(row, _pretty(row.body)) for row in deliveries],
        "older": deliveries[-1] if len(deliveries) == endpoints.DELIVERIES_A_PAGE else None,
        "key": str(uuid.uuid4()),
    }
    status = HTTPStatus.UNPROCESSABLE_ENTITY if refused else HTTPStatus.OK
    return render(request, "notifications/webhook.html", context, status=status)


def _kinds(chosen: list[str]) -> list[dict[str, Any]]:
    return [
        {"name": kind, "says": says, "is_chosen": kind in chosen} for kind, says in KINDS.items()
    ]


def _pretty(body: str) -> str:
    return json.dumps(json.loads(body), indent=2, ensure_ascii=False)


def _endpoint(request: CustomerRequest, endpoint_id: uuid.UUID) -> WebhookEndpoint:
    rows = WebhookEndpoint.objects.kept()
    return get_object_or_404(rows, pk=endpoint_id, customer=request.customer)


def _before(request: CustomerRequest, endpoint: WebhookEndpoint) -> OutboundWebhook | None:
    """The delivery after which the page goes on; None if it is not there any more."""
    try:
        id = uuid.UUID(request.GET.get("before", ""))
    except ValueError:
        return None
    return OutboundWebhook.objects.filter(pk=id, endpoint=endpoint).first()


def _check_often(request: CustomerRequest) -> None:
    if not throttle.is_allowed(request, "webhook", account=str(request.customer.pk)):
        raise EndpointRefused(endpoint=TOO_OFTEN)


@sensitive_variables("secret")
def _show_once(request: CustomerRequest, endpoint: WebhookEndpoint, secret: str) -> None:
    if secret:
        request.session[SHOWN_ONCE] = [str(endpoint.id), secret]


def _take_shown_once(request: CustomerRequest, endpoint: WebhookEndpoint) -> str:
    endpoint_id, secret = request.session.get(SHOWN_ONCE, ["", ""])
    if endpoint_id != str(endpoint.id) or request.method != "GET":
        return ""
    del request.session[SHOWN_ONCE]
    return str(secret)
