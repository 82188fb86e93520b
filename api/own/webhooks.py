"""Webhook endpoints of the account, and what was sent to them. The rules are in `notifications`."""

from __future__ import annotations

import json
import uuid
from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse
from ninja import Status
from ninja.params.functions import Query

from accounts import throttle
from api.failures import Failure
from notifications import endpoints
from notifications.endpoints import EndpointRefused
from notifications.models import OutboundWebhook, WebhookEndpoint

from . import idempotency
from .api import Key, api
from .schemas import PROBLEMS
from .webhook_schemas import (
    DeletedWebhook,
    Deliveries,
    Delivery,
    NewWebhook,
    Rotation,
    Webhook,
    WebhookChange,
    WebhookIn,
    Webhooks,
)

OFTEN_SECONDS = 600  # the window of `throttle.RATES["webhook"]`
MADE_BEFORE = (
    "This request has made the endpoint {id} before. Its secret is not shown twice. If you do not"
    " have it, replace it: POST /v1/webhooks/{id}/rotate."
)


@api.get(
    "/webhooks",
    auth=Key("webhooks"),
    operation_id="listWebhooks",
    summary="The endpoints, oldest first",
    response={200: Webhooks, **PROBLEMS},
)
def list_webhooks(
    request: Any,
    limit: int = Query(50, ge=1, le=100),
    starting_after: UUID | None = None,
) -> dict[str, Any]:
    after = _of(request, starting_after) if starting_after else None
    found = endpoints.of(request.customer, after=after)
    return {"data": [as_json(each) for each in found[:limit]], "has_more": len(found) > limit}


@api.post(
    "/webhooks",
    auth=Key("webhooks"),
    operation_id="createWebhook",
    summary="Add an endpoint",
    description="The secret, with which deliveries are signed, is in this answer only. "
    + idempotency.DESCRIPTION,
    response={201: NewWebhook, **PROBLEMS},
)
def create_webhook(
    request: Any,
    data: WebhookIn,
    response: HttpResponse,
    idempotency_key: str | None = idempotency.HEADER,
) -> Status[dict[str, Any]]:
    key = idempotency.named(request, idempotency_key) if idempotency_key else ""
    try:
        endpoint, secret = endpoints.create(
            request.customer, data.url, data.events, request.now, key=key
        )
    except EndpointRefused as error:
        if "key" in error.errors:
            first = WebhookEndpoint.objects.get(customer=request.customer, key=key)
            raise idempotency.reused("webhook", first.pk) from error
        raise _invalid(error) from error
    if not secret:
        raise idempotency.already_made("webhook", endpoint.pk, MADE_BEFORE)
    if endpoint.created_at < request.now:
        response["Idempotent-Replayed"] = "true"
    return Status(201, as_json(endpoint) | {"secret": secret})


@api.get(
    "/webhooks/{webhook_id}",
    auth=Key("webhooks"),
    operation_id="getWebhook",
    summary="One endpoint",
    response={200: Webhook, **PROBLEMS},
)
def get_webhook(request: Any, webhook_id: UUID) -> dict[str, Any]:
    return as_json(_of(request, webhook_id))


@api.patch(
    "/webhooks/{webhook_id}",
    auth=Key("webhooks"),
    operation_id="changeWebhook",
    summary="Change address or events, disable or enable",
    description="What waits goes to the new address; what waits when it is disabled is cancelled.",
    response={200: Webhook, **PROBLEMS},
)
def change_webhook(request: Any, webhook_id: UUID, data: WebhookChange) -> dict[str, Any]:
    endpoint = _of(request, webhook_id)
    try:
        endpoints.change(
            endpoint, request.now, url=data.url, events=data.events, enabled=data.enabled
        )
    except EndpointRefused as error:
        raise _invalid(error) from error
    return as_json(endpoint)


@api.delete(
    "/webhooks/{webhook_id}",
    auth=Key("webhooks"),
    operation_id="deleteWebhook",
    summary="Delete an endpoint, its secret and its deliveries",
    response={200: DeletedWebhook, **PROBLEMS},
)
def delete_webhook(request: Any, webhook_id: UUID) -> dict[str, Any]:
    endpoint = _of(request, webhook_id)
    endpoints.delete(endpoint, request.now)
    return {"id": endpoint.pk}


@api.post(
    "/webhooks/{webhook_id}/rotate",
    auth=Key("webhooks"),
    operation_id="rotateWebhookSecret",
    summary="Replace the secret",
    description=(
        f"The new secret is in this answer only. For {endpoints.FORMER_SECRET_HOURS} hours"
        " deliveries are signed with the former one too. Say which secret you mean, by `rotations`"
        " of the endpoint: then a request that comes twice replaces one. Within a minute it is"
        " answered alike, later with 409 `secret_replaced`."
    ),
    response={200: NewWebhook, **PROBLEMS},
)
def rotate_webhook_secret(
    request: Any, webhook_id: UUID, data: Rotation | None = None
) -> dict[str, Any]:
    endpoint = _of(request, webhook_id)
    try:
        secret = endpoints.rotate(endpoint, request.now, rotations=data.rotations if data else None)
    except EndpointRefused as error:
        details = {"rotations": endpoint.rotations}
        raise Failure(
            409, "secret_replaced", "The secret was replaced meanwhile.", details=details
        ) from error
    return as_json(endpoint) | {"secret": secret}


@api.post(
    "/webhooks/{webhook_id}/test",
    auth=Key("webhooks"),
    operation_id="testWebhook",
    summary="Send it a test event",
    description=(
        "A `ping`, whatever events it wants; what comes of it is in the deliveries. With an"
        " `Idempotency-Key` the same request again sends no other one."
    ),
    response={200: Delivery, **PROBLEMS},
)
def test_webhook(
    request: Any, webhook_id: UUID, idempotency_key: str | None = idempotency.HEADER
) -> dict[str, Any]:
    endpoint = _of(request, webhook_id)
    _check_often(request)
    key = idempotency.named(request, idempotency_key) if idempotency_key else str(uuid.uuid4())
    try:
        return delivery_as_json(endpoints.ping(endpoint, key, request.now))
    except EndpointRefused as error:
        raise Failure(409, "webhook_disabled", str(error)) from error


@api.get(
    "/webhooks/{webhook_id}/deliveries",
    auth=Key("webhooks"),
    operation_id="listWebhookDeliveries",
    summary="What was sent to it, or is to be, newest first",
    description="Kept for 30 days at least.",
    response={200: Deliveries, **PROBLEMS},
)
def list_webhook_deliveries(
    request: Any,
    webhook_id: UUID,
    limit: int = Query(50, ge=1, le=100),
    starting_after: UUID | None = None,
) -> dict[str, Any]:
    endpoint = _of(request, webhook_id)
    before = _delivery_of(endpoint, starting_after) if starting_after else None
    found = endpoints.deliveries(endpoint, before=before, limit=limit + 1)
    return {
        "data": [delivery_as_json(each) for each in found[:limit]],
        "has_more": len(found) > limit,
    }


@api.post(
    "/webhooks/{webhook_id}/deliveries/{delivery_id}/resend",
    auth=Key("webhooks"),
    operation_id="resendWebhookDelivery",
    summary="Send one again",
    description="Under the same `webhook-id`, and for three days.",
    response={200: Delivery, **PROBLEMS},
)
def resend_webhook_delivery(request: Any, webhook_id: UUID, delivery_id: UUID) -> dict[str, Any]:
    endpoint = _of(request, webhook_id)
    delivery = _delivery_of(endpoint, delivery_id)
    _check_often(request)
    try:
        endpoints.resend(delivery, request.now)
    except EndpointRefused as error:
        raise Failure(409, "webhook_disabled", str(error)) from error
    return delivery_as_json(_delivery_of(endpoint, delivery_id))


def _check_often(request: Any) -> None:
    """Raises Failure after very many tests and deliveries sent again."""
    if not throttle.is_allowed(request, "webhook", account=str(request.customer.pk)):
        raise Failure(
            429,
            "rate_limit_exceeded",
            "You have sent very many tests, or deliveries again. Wait some minutes and try again.",
            retry_after_seconds=OFTEN_SECONDS,
        )


def as_json(endpoint: WebhookEndpoint) -> dict[str, Any]:
    return {
        "id": endpoint.pk,
        "url": endpoint.url,
        "events": endpoint.events,
        "enabled": endpoint.is_enabled,
        "disabled_at": endpoint.disabled_at,
        "disabled_because": endpoint.disabled_because,
        "rotations": endpoint.rotations,
        "former_secret_until": endpoint.former_until_at,
        "created_at": endpoint.created_at,
    }


def delivery_as_json(row: OutboundWebhook) -> dict[str, Any]:
    is_pending = row.state == OutboundWebhook.State.PENDING
    return {
        "id": row.pk,
        "message_id": row.message_id,
        "type": row.kind,
        "state": row.state,
        "body": json.loads(row.body),
        "tries": row.tries,
        "tried_at": row.tried_at,
        "next_try_at": row.due_at if is_pending else None,
        "status": row.status,
        "answer": row.answer,
        "failure": row.failure,
        "milliseconds": row.milliseconds,
        "created_at": row.created_at,
    }


def _of(request: Any, webhook_id: UUID) -> WebhookEndpoint:
    rows = WebhookEndpoint.objects.kept()
    found = rows.filter(pk=webhook_id, customer=request.customer).first()
    if found is None:
        raise Http404
    return found


def _delivery_of(endpoint: WebhookEndpoint, delivery_id: UUID) -> OutboundWebhook:
    found = OutboundWebhook.objects.filter(pk=delivery_id, endpoint=endpoint).first()
    if found is None:
        raise Http404
    return found


def _invalid(error: EndpointRefused) -> Failure:
    errors = {field: [message] for field, message in error.errors.items()}
    return Failure(422, "invalid_request", str(error), errors=errors)
