"""Lists page by page as OpenAI's clients read them, and fields that a form must have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.http import HttpRequest

from api.failures import Failure

from .fields import refused

LIMIT, LIMIT_MAX = 20, 100


def of(
    request: HttpRequest, rows: Iterable[Any], as_json: Callable[[Any], dict[str, Any]]
) -> dict[str, Any]:
    """The page of these rows that the query asks for by `after` and `limit`. Raises Failure."""
    limit = request.GET.get("limit") or str(LIMIT)
    is_number = limit.isascii() and limit.isdigit() and len(limit) < 4
    if not is_number or not 1 <= int(limit) <= LIMIT_MAX:
        raise refused("limit", f"limit must be a whole number from 1 to {LIMIT_MAX}.")
    found = [as_json(row) for row in rows]
    if after := request.GET.get("after"):
        ids = [each["id"] for each in found]
        if after not in ids:
            raise refused("after", f"There is nothing with the id {after[:60]!r} to go on after.")
        found = found[ids.index(after) + 1 :]
    page = found[: int(limit)]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": len(found) > len(page),
    }


def required(fields: Mapping[str, Any], name: str) -> str:
    """The text of a field. Raises Failure if it is missing or empty."""
    value = fields.get(name)
    if value is None:
        raise missing(name)
    if not isinstance(value, str) or not value:
        raise refused(name, f"{name} must be a string that is not empty.")
    return value


def missing(name: str, hint: str = "") -> Failure:
    return refused(name, f"{name} is missing. {hint}".strip(), "missing_required_parameter")
