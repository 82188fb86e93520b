"""A customer's endpoints: made, changed, given another secret, disabled, deleted; what was sent to
them, and sending it again. The pages and the API call this.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q

from accounts.models import Customer

from . import delivery, outbox, signature
from .addresses import AddressRefused, checked_url
from .kinds import KINDS, PING
from .models import OutboundWebhook, WebhookEndpoint

ENDPOINTS_MAX = 10  # of a customer
FORMER_SECRET_HOURS = 24  # how long a replaced secret signs as well
SHOWN_SECONDS = 60  # so long a form that was sent twice gets the secret of its first time again
DELIVERIES_A_PAGE = 50
KEY = re.compile(r"[!-~]{1,128}")
BY_CUSTOMER = "You disabled it."


class EndpointRefused(ValueError):
    """It cannot be done as it was asked for; `errors` says why, by field. Nothing was changed."""

    def __init__(self, **errors: str) -> None:
        super().__init__(" ".join(errors.values()))
        self.errors = errors


def create(
    customer: Customer, url: str, events: Sequence[str], now: datetime, *, key: str = ""
) -> tuple[WebhookEndpoint, str]:
    """A new endpoint and its secret, which is not shown again.

    The same `key` again gives the same endpoint; its secret only within SHOWN_SECONDS, else "".
    Raises EndpointRefused, for `url`, `events` or `key`.
    """
    key = key or str(uuid.uuid4())
    checked = _checked(url, events, key)
    body_hash = hashlib.sha256(json.dumps(checked).encode()).hexdigest()
    with transaction.atomic():
        # One at a time, so that no two make the last one.
        owner = Customer.objects.select_for_update(of=("self",), no_key=True).select_related("user")
        if not owner.get(pk=customer.pk).user.is_active:
            raise EndpointRefused(url="This account is closed.")
        if first := WebhookEndpoint.objects.filter(customer=customer, key=key).first():
            return _again(first, body_hash, now)
        if customer.webhook_endpoints.kept().count() >= ENDPOINTS_MAX:
            raise EndpointRefused(
                url=f"You have {ENDPOINTS_MAX} endpoints, and more are not possible. Delete one."
            )
        endpoint = WebhookEndpoint.objects.create(
            customer=customer,
            secret=signature.new_secret(),
            key=key,
            body_hash=body_hash,
            created_at=now,
            **checked,
        )
    return endpoint, endpoint.secret


def change(
    endpoint: WebhookEndpoint,
    now: datetime,
    *,
    url: str | None = None,
    events: Sequence[str] | None = None,
    enabled: bool | None = None,
) -> None:
    """Send these events to that address from now on, what waits included; or nothing any more.

    None leaves what is there. Raises EndpointRefused, for `url` or `events`.
    """
    fields = _checked(url, events)
    with transaction.atomic():
        if fields:
            _kept(endpoint).update(**fields, rests_until_at=None)
        if enabled:
            enable(endpoint)
        elif enabled is not None:
            disable(endpoint, now)
    endpoint.refresh_from_db()


def rotate(endpoint: WebhookEndpoint, now: datetime, *, rotations: int | None = None) -> str:
    """Replace the secret, and return the new one, which is not shown again.

    Deliveries are signed with the former one too for FORMER_SECRET_HOURS. `rotations` is that of
    the endpoint when it was decided: so the same form sent twice replaces one secret. Raises
    EndpointRefused, for `secret`, if it was replaced meanwhile.
    """
    expected = endpoint.rotations if rotations is None else rotations
    secret = signature.new_secret()
    until_at = now + timedelta(hours=FORMER_SECRET_HOURS)
    replaced = (
        _kept(endpoint)
        .filter(rotations=expected)
        .update(
            former_secret=F("secret"),
            former_until_at=until_at,
            secret=secret,
            rotations=expected + 1,
        )
    )
    endpoint.refresh_from_db()
    if replaced:
        return secret
    just_now = until_at - timedelta(seconds=SHOWN_SECONDS)
    is_same_form = endpoint.rotations == expected + 1 and endpoint.deleted_at is None
    if is_same_form and endpoint.former_until_at and endpoint.former_until_at >= just_now:
        return endpoint.secret
    raise EndpointRefused(secret="The secret was replaced meanwhile. Look at the page again.")


def enable(endpoint: WebhookEndpoint) -> None:
    """Send to it again. What was cancelled meanwhile can be sent again one by one."""
    _kept(endpoint).update(
        is_enabled=True, disabled_at=None, disabled_because="", rests_until_at=None
    )
    endpoint.refresh_from_db()


def disable(endpoint: WebhookEndpoint, now: datetime) -> None:
    """Send nothing more to it, nor what waits."""
    delivery.disable(endpoint, because=BY_CUSTOMER, now=now)
    endpoint.refresh_from_db()


def delete(endpoint: WebhookEndpoint, now: datetime) -> None:
    """Forget address, secrets and deliveries. The empty row is pruned later."""
    with transaction.atomic():
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(
            url="",
            events=[],
            secret="",
            former_secret="",
            former_until_at=None,
            is_enabled=False,
            deleted_at=now,
        )
        OutboundWebhook.objects.filter(endpoint=endpoint).delete()


def delete_all(customer: Customer, now: datetime) -> None:
    """`delete` for every endpoint of a customer, whose account is being closed."""
    for endpoint in customer.webhook_endpoints.kept():
        delete(endpoint, now)


def of(customer: Customer, *, after: WebhookEndpoint | None = None) -> list[WebhookEndpoint]:
    """The customer's endpoints, the oldest first; those that are newer than one."""
    rows = customer.webhook_endpoints.kept()
    if after is not None:
        same_moment = Q(created_at=after.created_at, id__gt=after.id)
        rows = rows.filter(Q(created_at__gt=after.created_at) | same_moment)
    return list(rows.order_by("created_at", "id"))


def with_latest(customer: Customer) -> list[WebhookEndpoint]:
    """The customer's endpoints, each with its newest delivery as `latest`, or None."""
    found = of(customer)
    for endpoint in found:
        endpoint.latest = next(iter(deliveries(endpoint, limit=1)), None)
    return found


def deliveries(
    endpoint: WebhookEndpoint,
    *,
    before: OutboundWebhook | None = None,
    limit: int | None = None,
) -> list[OutboundWebhook]:
    """Up to `limit`, or a page, of what was or is to be sent, newest first; the older than one."""
    rows = OutboundWebhook.objects.filter(endpoint=endpoint)
    if before is not None:
        same_moment = Q(created_at=before.created_at, id__lt=before.id)
        rows = rows.filter(Q(created_at__lt=before.created_at) | same_moment)
    return list(rows.order_by("-created_at", "-id")[: limit or DELIVERIES_A_PAGE])


def resend(webhook: OutboundWebhook, now: datetime) -> None:
    """Send it once more, under the same id, and try for three days.

    Nothing changes for one that waits already, but it is sent at once. Raises EndpointRefused, for
    `endpoint`, if that is disabled or deleted.
    """
    with transaction.atomic():
        enabled = WebhookEndpoint.objects.select_for_update().filter(
            pk=webhook.endpoint_id, is_enabled=True
        )
        if not enabled.exists():
            raise EndpointRefused(endpoint="This endpoint is disabled. Enable it first.")
        rows: Any = OutboundWebhook.objects.filter(pk=webhook.pk)
        rows.run_now(
            now,
            state=OutboundWebhook.State.PENDING,
            tries=0,
            give_up_at=now + timedelta(days=outbox.GIVE_UP_DAYS),
        )


def ping(endpoint: WebhookEndpoint, key: str, now: datetime) -> OutboundWebhook:
    """Send it a test event, which is returned; the same key again sends no other one.

    Raises EndpointRefused, for `endpoint` if that is disabled, for `key`.
    """
    if not endpoint.is_enabled:
        raise EndpointRefused(endpoint="This endpoint is disabled. Enable it first.")
    if not KEY.fullmatch(key) or len(key) > outbox.KEY_CHARACTERS_MAX:
        raise EndpointRefused(key="A key is 1 to 100 ASCII characters without spaces.")
    outbox.write([endpoint], PING, key, {"endpoint": str(endpoint.id)}, now)
    return OutboundWebhook.objects.get(endpoint=endpoint, kind=PING, key=key)


def _kept(endpoint: WebhookEndpoint) -> Any:
    return WebhookEndpoint.objects.kept().filter(pk=endpoint.pk)


def _again(first: WebhookEndpoint, body_hash: str, now: datetime) -> tuple[WebhookEndpoint, str]:
    """The answer to a key that was used before, also where the endpoint was changed meanwhile."""
    if first.deleted_at or first.body_hash != body_hash:
        raise EndpointRefused(key="This form was sent before. Fill it in again.")
    is_just_made = now - first.created_at <= timedelta(seconds=SHOWN_SECONDS)
    return first, first.secret if is_just_made and not first.rotations else ""


def _checked(
    url: str | None, events: Sequence[str] | None, key: str | None = None
) -> dict[str, Any]:
    """Those that are given, in their one form. Raises EndpointRefused."""
    found: dict[str, Any] = {}
    errors = {}
    if url is not None:
        try:
            found["url"] = checked_url(url)
        except AddressRefused as error:
            errors["url"] = str(error)
    if events is not None:
        found["events"] = [kind for kind in KINDS if kind in events]
        if unknown := sorted(set(events) - KINDS.keys()):
            errors["events"] = f"There is no event called {unknown[0][:40]}."
        elif not events:
            errors["events"] = "Choose at least one event."
    if key is not None and not KEY.fullmatch(key):
        errors["key"] = "A key is 1 to 128 ASCII characters without spaces."
    if errors:
        raise EndpointRefused(**errors)
    return found
