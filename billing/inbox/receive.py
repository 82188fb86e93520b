"""The views that receive webhooks: they verify an event, store it once and respond.

A worker processes the event (`billing.inbox.handlers`). All three URLs of Metronome accept every
type, because it sends every notification to every destination. Status 500 and above makes Metronome
retry for two days, and whatever is not 2xx makes Stripe retry for three; invalid requests get a
status below 500.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from datetime import datetime
from typing import Any, NoReturn

from django.conf import settings
from django.http import HttpRequest, JsonResponse, UnreadablePostError
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from billing.models import InboundWebhook
from jobs.models import due

from . import signature, stripe_signature

logger = logging.getLogger(__name__)

BODY_BYTES_MAX = 1024 * 1024
DEPTH_MAX = 32  # documented payloads nest four levels


class TooLarge(Exception):
    """The body is over BODY_BYTES_MAX."""


class Malformed(ValueError):
    """The body is not an event. The message is shown to the sender."""


Verify = Callable[[HttpRequest, bytes, datetime], None]


@csrf_exempt
@require_POST
def receive(request: HttpRequest) -> JsonResponse:
    """From Metronome."""
    return _receive(request, InboundWebhook.Source.METRONOME, _verify)


@csrf_exempt
@require_POST
def receive_stripe(request: HttpRequest) -> JsonResponse:
    return _receive(request, InboundWebhook.Source.STRIPE, _verify_stripe)


def _receive(request: HttpRequest, source: InboundWebhook.Source, verify: Verify) -> JsonResponse:
    now = timezone.now()
    try:
        body = _body(request)
        verify(request, body, now)
        event, is_new = store(source=source, payload=parse(body), now=now)
    except TooLarge:
        return JsonResponse({"error": f"The body is over {BODY_BYTES_MAX:,} bytes."}, status=413)
    except signature.SignatureInvalid as error:
        logger.warning("webhook refused: %s", error)
        return JsonResponse({"error": "The signature is missing, wrong or too old."}, status=401)
    except Malformed as error:
        logger.warning("webhook with a good signature refused: %s", error)
        return JsonResponse({"error": str(error)}, status=400)
    return JsonResponse({"id": event.event_id, "status": "stored" if is_new else "known"})


def parse(body: bytes) -> dict[str, Any]:
    """The event in `body`, which both SQLite and PostgreSQL can store. Raises Malformed."""
    try:
        payload = json.loads(body.decode(), parse_constant=_no_number, parse_float=_finite)
        _check_storable(payload, depth=0)
    except Malformed:
        raise
    except UnicodeError as error:
        raise Malformed("The body is not UTF-8.") from error
    except (ValueError, RecursionError) as error:
        raise Malformed("The body is not JSON.") from error
    if not isinstance(payload, dict):
        raise Malformed("The body is not a JSON object.")
    for name in ("id", "type"):
        if not isinstance(payload.get(name), str) or not 0 < len(payload[name]) <= 128:
            raise Malformed(f"“{name}” must be a text of 1 to 128 characters.")
    return payload


def store(
    *,
    source: InboundWebhook.Source,
    payload: dict[str, Any],
    now: datetime,
) -> tuple[InboundWebhook, bool]:
    """Store an event for the worker, once per source and id. Returns (event, whether it is new)."""
    return InboundWebhook.objects.get_or_create(
        source=source,
        event_id=payload["id"],
        defaults={
            "type": payload["type"],
            "customer_ref": _customer_id(payload),
            "payload": payload,
            "received_at": now,
            **due(now),
        },
    )


def _body(request: HttpRequest) -> bytes:
    """The exact bytes of the body. Raises TooLarge, or Malformed if the connection broke.

    Never reads more than BODY_BYTES_MAX + 1 bytes, whatever length the sender declares.
    """
    declared = request.META.get("CONTENT_LENGTH") or ""
    if declared.isdecimal() and int(declared[:20]) > BODY_BYTES_MAX:
        raise TooLarge
    try:
        body = request.read(BODY_BYTES_MAX + 1)
    except UnreadablePostError as error:
        raise Malformed("The body broke off.") from error
    if len(body) > BODY_BYTES_MAX:
        raise TooLarge
    return body


def _verify(request: HttpRequest, body: bytes, now: datetime) -> None:
    secrets = [secret for secret in settings.METRONOME_WEBHOOK_SECRETS if secret]
    if not secrets and settings.DEBUG:
        logger.warning(
            "webhook accepted unverified: METRONOME_WEBHOOK_SECRET is not set and DEBUG is on"
        )
        return
    if not secrets:
        logger.error("webhooks are refused until METRONOME_WEBHOOK_SECRET is set")
    signature.verify(headers=request.headers, body=body, secrets=secrets, now=now)


def _verify_stripe(request: HttpRequest, body: bytes, now: datetime) -> None:
    secrets = settings.STRIPE_WEBHOOK_SECRETS
    if not secrets:
        logger.error("webhooks of Stripe are refused until STRIPE_WEBHOOK_SECRET is set")
    header = request.headers.get(stripe_signature.SIGNATURE_HEADER, "")
    stripe_signature.verify(header=header, body=body, secrets=secrets, now=now)


def _customer_id(payload: dict[str, Any]) -> str:
    """The sender's customer id.

    Metronome's is under `properties`, or flat; Stripe's is in the object, or is the object's."""
    properties = payload.get("properties")
    data = payload.get("data")
    of_stripe = data.get("object") if isinstance(data, dict) else None
    if isinstance(of_stripe, dict):
        name = "id" if of_stripe.get("object") == "customer" else "customer"
        found = of_stripe.get(name)
    else:
        found = (properties if isinstance(properties, dict) else payload).get("customer_id")
    return found if isinstance(found, str) and len(found) <= 64 else ""


def _no_number(text: str) -> NoReturn:
    raise Malformed(f"{text} is not a JSON number.")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_number(text)


def _check_storable(value: Any, *, depth: int) -> None:
    """Raise Malformed for values that a database cannot store.

    PostgreSQL's jsonb refuses NUL and lone surrogates, SQLite's JSON functions deep nesting.
    """
    if depth > DEPTH_MAX:
        raise Malformed("The body is nested too deeply.")
    if isinstance(value, str):
        if "\x00" in value:
            raise Malformed("The body contains a NUL character.")
        value.encode()
    elif isinstance(value, dict):
        for name, item in value.items():
            _check_storable(name, depth=depth + 1)
            _check_storable(item, depth=depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_storable(item, depth=depth + 1)
