"""What goes over the wire: requests, errors, dates."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

API_VERSION = "2026-10-28.endive"
INVALID, CARD, API = "invalid_request_error", "card_error", "api_error"


class ApiError(Exception):
    """An answer other than 2xx, in Stripe's shape.

    `is_kept` says whether a replay of the same idempotency key gets it again."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        *,
        kind: str = INVALID,
        param: str | None = None,
        is_kept: bool = True,
        **extra: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.is_kept = is_kept and status not in (401, 403, 409, 429) and status <= 500
        known = {"code": code, "message": message, "param": param, "type": kind, **extra}
        self.error = {name: value for name, value in known.items() if value is not None}
        if code is not None:
            page = code.replace("_", "-")
            self.error["doc_url"] = f"https://docs.stripe.com/error-codes/{page}"


def unchecked(message: str, code: str | None = None, param: str | None = None) -> ApiError:
    """The request itself is wrong, so it never ran, and its idempotency key stays free."""
    return ApiError(400, message, code, param=param, is_kept=False)


def refused(message: str, code: str | None = None, param: str | None = None) -> ApiError:
    """The request is well formed and cannot be done."""
    return ApiError(400, message, code, param=param)


def missing(what: str, row_id: str, *, param: str = "id", status: int = 404) -> ApiError:
    """In the path an unknown id is 404, in a parameter 400."""
    return ApiError(status, f"No such {what}: '{row_id}'", "resource_missing", param=param)


@dataclass(slots=True)
class Request:
    method: str
    path: str
    now: datetime
    id: str = ""
    livemode: bool = False
    idempotency_key: str | None = None
    origin: str = ""
    names: dict[str, str] = field(default_factory=dict)  # what stands in the path
    given: dict[str, Any] = field(default_factory=dict)  # the checked parameters
    expand: list[str] = field(default_factory=list)


def unix(moment: datetime) -> int:
    return int(moment.timestamp())


def moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    raise TypeError(f"cannot send {type(value).__name__}")


def dump(value: Any) -> str:
    return json.dumps(value, default=_plain, indent=2, ensure_ascii=False)


def money(cents: int, currency: str = "usd") -> str:
    sign = {"usd": "$", "eur": "€", "gbp": "£"}.get(currency)
    amount = f"{cents / 100:,.2f}"
    return f"{sign}{amount}" if sign else f"{amount} {currency.upper()}"
