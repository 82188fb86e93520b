"""What goes over the wire: requests, answers, errors, numbers and dates, pages."""

import base64
import binascii
import json
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

from metronome_sandbox.kit.store import Table
from metronome_sandbox.records import Record

T = TypeVar("T")
R = TypeVar("R", bound=Record)


# Years that may be named: periods are counted to both sides of a time.
EARLIEST, LATEST = 1900, 2900


class ApiError(Exception):
    """An answer other than 2xx."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        *,
        allow: str | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(message)
        self.allow = allow  # methods that are possible, where this one is not
        self.status = status
        self.message = message
        self.code = code
        self.extra = extra


def invalid(message: str) -> ApiError:
    return ApiError(400, message)


def missing(what: str) -> ApiError:
    return ApiError(404, f"{what} not found")


def unsupported(what: str, instead: str) -> ApiError:
    return ApiError(501, f"The sandbox does not support {what}: {instead}.")


@dataclass(slots=True)
class Request:
    method: str
    path: str
    now: datetime
    params: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None
    origin: str = ""

    def option(self, name: str) -> Any:
        """A list option: the official client puts the cursors of some POST lists in the query,
        of others in the body."""
        if name in self.query:
            return self.query[name]
        return self.body.get(name) if isinstance(self.body, dict) else None


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def number(value: Decimal) -> int | float:
    """Exact for whole numbers and for any fraction of up to 15 significant digits."""
    return int(value) if value == value.to_integral_value() else float(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return number(value)
    if isinstance(value, datetime):
        return stamp(value)
    raise TypeError(f"cannot send {type(value).__name__}")


def dump(value: Any) -> str:
    return json.dumps(value, default=_plain, separators=(",", ":"), ensure_ascii=False)


def load(text: bytes) -> Any:
    """JSON with exact decimals. Raises ApiError 400."""
    try:
        value = json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)
        if rb"\u" in text:
            json.dumps(value, default=str, ensure_ascii=False).encode()  # half of a pair is no text
    except (ValueError, RecursionError) as error:
        raise invalid(f"The request body is not valid JSON: {error}") from None
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def moment(value: Any, what: str = "timestamp") -> datetime:
    """An RFC 3339 date-time, or (older clients) a bare date. Raises ApiError 400."""
    if isinstance(value, datetime):
        return value
    try:
        parsed = datetime.fromisoformat(value)
        parsed = parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise invalid(f"{what} must be an RFC 3339 timestamp, got {value!r}") from None
    if not EARLIEST <= parsed.year <= LATEST:
        raise invalid(f"{what} must be in the years {EARLIEST} to {LATEST}, got {value!r}")
    return parsed


def on_the_hour(value: datetime, what: str) -> datetime:
    if value.minute or value.second or value.microsecond:
        raise invalid(f"{what} is required to be on an hour boundary")
    return value


def present(shown: dict[str, Any]) -> dict[str, Any]:
    """Metronome leaves out what an object does not have."""
    return {key: value for key, value in shown.items() if value is not None}


def truth(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.lower() == "true")


def is_uuid(value: Any) -> bool:
    try:
        return isinstance(value, str) and len(value) == 36 and bool(uuid.UUID(value))
    except ValueError:
        return False


def find(table: Table[R], row_id: Any, what: str) -> R:
    """Raises ApiError 400 for an id that is no UUID, 404 for one nothing has."""
    if not is_uuid(row_id):
        raise invalid(f"{what} id must be a UUID, got {row_id!r}")
    row = table.get(row_id.lower())
    if row is None:
        raise missing(what)
    return row


def page(
    request: Request,
    rows: Iterable[R],
    *,
    show: Callable[[R], Any],
    default: int = 100,
    most: int = 100,
    cap: int | None = None,
    cursor: str = "next_page",
    sort: Callable[[R], str] | None = None,
    descending: bool = False,
) -> dict[str, Any]:
    """One page of rows and the cursor of the next.

    A cursor is the sort key of the last row shown, so rows added or removed between two pages
    never make a client miss or repeat another one."""

    def key(row: R) -> list[Any]:
        return [sort(row) if sort else 0, row.seq]

    limit = _limit(request.option("limit"), default, most)
    limit = min(limit, cap) if cap else limit
    ordered = sorted(rows, key=key, reverse=descending)
    after = _read_cursor(request.option(cursor))
    if after is not None and type(after[0]) is not (str if sort else int):
        raise invalid("The page cursor is of another list")
    if after is not None:
        ordered = [row for row in ordered if (key(row) < after if descending else key(row) > after)]
    shown = ordered[:limit]
    more = len(ordered) > limit
    return {
        "data": [show(row) for row in shown],
        cursor: _write_cursor(key(shown[-1])) if more else None,
    }


def _limit(value: Any, default: int, most: int) -> int:
    if value is None or value == "":
        return default
    try:
        limit = int(value)
    except (TypeError, ValueError):
        raise invalid("limit must be a number") from None
    if not 1 <= limit <= most:
        raise invalid(f"limit must be between 1 and {most}")
    return limit


def _write_cursor(key: list[Any]) -> str:
    return base64.urlsafe_b64encode(dump(key).encode()).decode()


def _read_cursor(text: Any) -> list[Any] | None:
    if not text:
        return None
    try:
        key = json.loads(base64.urlsafe_b64decode(text))
        if isinstance(key, list) and len(key) == 2 and isinstance(key[1], int):
            return key
    except (ValueError, TypeError, binascii.Error):
        pass
    raise invalid("The page cursor is not valid")
