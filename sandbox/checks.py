"""Checks a request body against the parameter type the official SDK publishes for that call.

Wrong types and missing fields are refused; spellings of enums are forgiven and made the published
one; fields the type does not know are reported to the caller, who ignores or refuses them. What
comes back is normalised: times are aware datetimes, numbers are exact decimals.
"""

import typing
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal, Required, Union, get_args, get_origin, get_type_hints

import typing_extensions

from sandbox.wire import ApiError, invalid, moment

Check = Callable[[Any, str, list[str]], Any]


def check(body: Any, params: type) -> tuple[dict[str, Any], list[str]]:
    """The normalised body and the names of its unknown fields. Raises ApiError 400."""
    unknown: list[str] = []
    if not isinstance(body, dict):
        raise invalid("The request body must be a JSON object")
    return _compile(params)(body, "", unknown), unknown


@cache
def _compile(hint: Any) -> Check:
    origin = get_origin(hint)
    if origin in (
        Required,
        typing_extensions.Required,
        typing.NotRequired,
        typing_extensions.NotRequired,
        Annotated,
    ):
        return _compile(get_args(hint)[0])
    if typing_extensions.is_typeddict(hint):
        return _object(hint)
    if origin is Literal:
        return _choice(get_args(hint))
    if origin is Union or origin is typing.get_origin(int | str):
        return _union(get_args(hint))
    if origin in (list, Iterable, Sequence) or getattr(origin, "__name__", "") in (
        "Iterable",
        "Sequence",
        "SequenceNotStr",
    ):
        return _array(get_args(hint)[0])
    if origin is dict:
        return _map(get_args(hint)[1])
    return _SCALARS.get(hint, _anything)


def _object(hint: Any) -> Check:
    hints = get_type_hints(hint, include_extras=True)
    wire_names = {name: _alias(annotation) or name for name, annotation in hints.items()}
    checks = {wire_names[name]: _compile(annotation) for name, annotation in hints.items()}
    required = {
        wire_names[name]
        for name, annotation in hints.items()
        if _is_required(annotation, hint, name)
    }

    def run(value: Any, path: str, unknown: list[str]) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise invalid(f"{path or 'body'} must be an object")
        for name in required:
            if name not in value:
                raise invalid(f"{_join(path, name)} is required")
        result = {}
        for name, item in value.items():
            if name in checks:
                result[name] = checks[name](item, _join(path, name), unknown)
            else:
                unknown.append(_join(path, name))
        return result

    return run


def _is_required(annotation: Any, hint: Any, name: str) -> bool:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _is_required(get_args(annotation)[0], hint, name)
    if origin in (Required, typing_extensions.Required):
        return True
    return bool(hint.__total__) and origin not in (
        typing.NotRequired,
        typing_extensions.NotRequired,
    )


def _alias(annotation: Any) -> str | None:
    for part in getattr(annotation, "__metadata__", ()):
        if getattr(part, "alias", None):
            return str(part.alias)
    inner = get_args(annotation)
    return (
        _alias(inner[0])
        if inner and get_origin(annotation) in (Required, typing_extensions.Required)
        else None
    )


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _choice(options: tuple[Any, ...]) -> Check:
    by_upper = {str(option).upper(): option for option in reversed(options)}

    def run(value: Any, path: str, unknown: list[str]) -> Any:
        if value in options:
            return value
        if isinstance(value, str) and value.upper() in by_upper:
            return by_upper[value.upper()]
        raise invalid(f"{path} must be one of {', '.join(map(str, options))}; got {value!r}")

    return run


def _union(options: tuple[Any, ...]) -> Check:
    if any(option in (datetime, date) for option in options):
        optional = type(None) in options
        return lambda value, path, unknown: (
            None if value is None and optional else moment(value, path)
        )
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


def _array(inner: Any) -> Check:
    check_item = _compile(inner)

    def run(value: Any, path: str, unknown: list[str]) -> list[Any]:
        if not isinstance(value, list):
            raise invalid(f"{path} must be a list")
        return [check_item(item, f"{path}[{index}]", unknown) for index, item in enumerate(value)]

    return run


def _map(inner: Any) -> Check:
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
    return Decimal(str(value)) if isinstance(value, float) else Decimal(value)


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


_SCALARS: dict[Any, Check] = {
    str: _text,
    float: _number,
    int: _integer,
    bool: _bool,
    type(None): _nothing,
    datetime: lambda value, path, unknown: moment(value, path),
    date: lambda value, path, unknown: moment(value, path),
}
