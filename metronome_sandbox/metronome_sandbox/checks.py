"""Checks a request body against the parameters that Metronome publishes for that call.

Wrong types and missing fields are refused; spellings of enums are forgiven and made the published
one; fields the type does not know are reported to the caller, who ignores or refuses them. What
comes back is normalised: times are aware datetimes, numbers are exact decimals.
"""

from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any

from metronome_sandbox.shapes import Shape
from metronome_sandbox.wire import ApiError, invalid, moment

# Ids of other systems; every other id names something here.
MAY_BE_EMPTY = (
    "external_id",
    "netsuite_internal_item_id",
    "netsuite_overage_item_id",
    "netsuite_sales_order_id",
    "salesforce_account_id",
    "salesforce_opportunity_id",
)
MOST_DIGITS = 24  # before or after the point

Check = Callable[[Any, str, list[str]], Any]


def check(body: Any, params: Shape) -> tuple[dict[str, Any], list[str]]:
    """The normalised body and the names of its unknown fields. Raises ApiError 400."""
    unknown: list[str] = []
    if not isinstance(body, dict):
        raise invalid("The request body must be a JSON object")
    return _compiled(params)(body, "", unknown), unknown


@cache
def _compiled(params: Shape) -> Check:
    return _compile(params.schema)


def _compile(schema: dict[str, Any]) -> Check:
    """The check of one schema; see `tests/write_parameters.py` for the words there are."""
    if "anyOf" in schema:
        return _union(schema["anyOf"])
    if "enum" in schema:
        return _choice(schema["enum"])
    if "properties" in schema:
        return _object(schema)
    if "additionalProperties" in schema:
        return _map(schema["additionalProperties"])
    if "items" in schema:
        return _array(schema["items"])
    return _SCALARS[schema.get("format") or schema.get("type")]


def _object(schema: dict[str, Any]) -> Check:
    checks = {name: _compile(inner) for name, inner in schema["properties"].items()}
    required = schema.get("required", ())

    def run(value: Any, path: str, unknown: list[str]) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise invalid(f"{path or 'body'} must be an object")
        for name in required:
            if name not in value:
                raise invalid(f"{_join(path, name)} is required")
        result = {}
        for name, item in value.items():
            if item == "" and name.endswith("_id") and name not in MAY_BE_EMPTY:
                raise invalid(f"{_join(path, name)} must not be empty")
            if name in checks:
                result[name] = checks[name](item, _join(path, name), unknown)
            else:
                unknown.append(_join(path, name))
        return result

    return run


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _choice(options: list[Any]) -> Check:
    by_upper = {str(option).upper(): option for option in reversed(options)}

    def run(value: Any, path: str, unknown: list[str]) -> Any:
        if value in options:
            return value
        if isinstance(value, str) and value.upper() in by_upper:
            return by_upper[value.upper()]
        raise invalid(f"{path} must be one of {', '.join(map(str, options))}; got {value!r}")

    return run


def _union(options: list[dict[str, Any]]) -> Check:
    checks = [_compile(option) for option in options]

    def run(value: Any, path: str, unknown: list[str]) -> Any:
        best: tuple[list[str], Any] | None = None
        failure: ApiError | None = None
        for option in checks:
            seen: list[str] = []
            try:
                result = option(value, path, seen)
            except ApiError as error:
                failure = failure or error
                continue
            if best is None or len(seen) < len(best[0]):
                best = (seen, result)
        if best is None:
            raise failure or invalid(f"{path} is not valid")
        unknown.extend(best[0])
        return best[1]

    return run


def _array(inner: dict[str, Any]) -> Check:
    check_item = _compile(inner)

    def run(value: Any, path: str, unknown: list[str]) -> list[Any]:
        if not isinstance(value, list):
            raise invalid(f"{path} must be a list")
        return [check_item(item, f"{path}[{index}]", unknown) for index, item in enumerate(value)]

    return run


def _map(inner: dict[str, Any]) -> Check:
    check_item = _compile(inner)

    def run(value: Any, path: str, unknown: list[str]) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise invalid(f"{path} must be an object")
        return {key: check_item(item, _join(path, key), unknown) for key, item in value.items()}

    return run


def _text(value: Any, path: str, unknown: list[str]) -> str:
    if not isinstance(value, str):
        raise invalid(f"{path} must be a string")
    return value


def _number(value: Any, path: str, unknown: list[str]) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise invalid(f"{path} must be a number")
    exact = Decimal(str(value)) if isinstance(value, float) else Decimal(value)
    if exact and not -MOST_DIGITS <= exact.adjusted() <= MOST_DIGITS:
        raise invalid(f"{path} is out of range")
    return exact


def _integer(value: Any, path: str, unknown: list[str]) -> int:
    exact = _number(value, path, unknown)
    if exact != exact.to_integral_value():
        raise invalid(f"{path} must be a whole number")
    return int(exact)


def _bool(value: Any, path: str, unknown: list[str]) -> bool:
    if not isinstance(value, bool):
        raise invalid(f"{path} must be true or false")
    return value


def _nothing(value: Any, path: str, unknown: list[str]) -> None:
    if value is not None:
        raise invalid(f"{path} must be null")


def _anything(value: Any, path: str, unknown: list[str]) -> Any:
    return value


_SCALARS: dict[str | None, Check] = {
    "string": _text,
    "number": _number,
    "integer": _integer,
    "boolean": _bool,
    "null": _nothing,
    "date-time": lambda value, path, unknown: moment(value, path),
    None: _anything,
}
