"""Checks parameters against the type the official package publishes for that call.

Values arrive as text and leave as what their type says. Anything the type does not know is refused
in Stripe's own words."""

import sys
from collections.abc import Callable, Sequence
from functools import cache
from types import UnionType
from typing import Any, Literal, NotRequired, Required, Union, get_args, get_origin, get_type_hints

import typing_extensions
from stripe._request_options import RequestOptions

from stripe_sandbox.forms import bracketed
from stripe_sandbox.wire import ApiError, unchecked

Check = Callable[[Any, list[str], list[str]], Any]  # value, path, unknown names → value

_OPTIONS = set(RequestOptions.__annotations__)  # of the client, never sent as parameters
_GONE = {
    "payment_method_types": (
        "The parameter payment_method_types is no longer supported in this API version. "
        "Use allowed_payment_method_types instead, or leave both out and choose payment methods "
        "in the Dashboard."
    )
}


def check(given: dict[str, Any], params: type | None) -> dict[str, Any]:
    """The parameters with their types. Raises ApiError 400."""
    for name, message in _GONE.items():
        if name in given and not (params and name in _hints(params)):
            raise unchecked(message, f"{name}_no_longer_supported", name)
    unknown: list[str] = []
    if params is None:
        unknown = sorted(set(given) - {"expand"})
        result = dict(given)
        if "expand" in given:
            result["expand"] = _array(str)(given["expand"], ["expand"], unknown)
    else:
        result = _object(params)(given, [], unknown)
    if unknown:
        noun = "parameter" if len(unknown) == 1 else "parameters"
        raise unchecked(
            f"Received unknown {noun}: {', '.join(unknown)}", "parameter_unknown", unknown[0]
        )
    return result


@cache
def _hints(params: type) -> dict[str, Any]:
    """The fields of a parameter type, without the client's own options."""
    own = {name: hint for name, hint in params.__annotations__.items() if name not in _OPTIONS}
    holder = type(params.__name__, (), {"__annotations__": own, "__module__": params.__module__})
    return get_type_hints(
        holder, globalns=vars(sys.modules[params.__module__]), include_extras=True
    )


@cache
def _compile(hint: Any) -> Check:
    origin = get_origin(hint)
    if origin in (Required, NotRequired):
        return _compile(get_args(hint)[0])
    if typing_extensions.is_typeddict(hint):
        return _object(hint)
    if origin is Literal:
        return _choice(get_args(hint))
    if origin in (Union, UnionType):
        return _union(get_args(hint))
    if origin in (list, Sequence):
        return _array(get_args(hint)[0])
    if origin is dict or getattr(origin, "__name__", "") == "UntypedStripeObject":
        return _map
    return _SCALARS.get(hint, _text)


@cache
def _object(params: type) -> Check:
    hints = _hints(params)
    required = [name for name, hint in hints.items() if get_origin(hint) is not NotRequired]

    def run(value: Any, path: list[str], unknown: list[str]) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise unchecked("Invalid object", None, bracketed(path))
        for name in required:
            if name not in value:
                full = bracketed([*path, name])
                raise unchecked(f"Missing required param: {full}.", "parameter_missing", full)
        result = {}
        for name, item in value.items():
            here = [*path, name]
            if name in hints:
                result[name] = _compile(hints[name])(item, here, unknown)
            else:
                unknown.append(bracketed(here))
        return result

    return run


def _choice(options: tuple[Any, ...]) -> Check:
    def run(value: Any, path: list[str], unknown: list[str]) -> Any:
        if value in options:
            return value
        _refuse_empty(value, path)
        names = [str(option) for option in options if option != ""]
        listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])}, or {names[-1]}"
        raise unchecked(
            f"Invalid {bracketed(path)}: must be one of {listed}", None, bracketed(path)
        )

    return run


def _union(options: tuple[Any, ...]) -> Check:
    literals: tuple[Any, ...] = ()
    for option in options:
        if get_origin(option) is Literal:
            literals += get_args(option)
    others = [option for option in options if get_origin(option) is not Literal]
    if any(literal != "" for literal in literals):
        others = [option for option in others if option is not str]  # new values of an enum to come
    checks = [_compile(option) for option in others if option is not type(None)]
    if any(literal != "" for literal in literals):
        checks.append(_choice(literals))

    def run(value: Any, path: list[str], unknown: list[str]) -> Any:
        if value in literals:
            return value
        failure: ApiError | None = None
        for option in checks:
            seen: list[str] = []
            try:
                result = option(value, path, seen)
            except ApiError as error:
                failure = failure if failure and isinstance(value, dict) else error
                continue
            unknown.extend(seen)
            return result
        assert failure is not None
        raise failure

    return run


def _array(inner: Any) -> Check:
    def run(value: Any, path: list[str], unknown: list[str]) -> list[Any]:
        if not isinstance(value, dict) or set(value) != {str(n) for n in range(len(value))}:
            raise unchecked("Invalid array", None, bracketed(path))
        return [_compile(inner)(value[str(n)], [*path, str(n)], unknown) for n in range(len(value))]

    return run


def _map(value: Any, path: list[str], unknown: list[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or any(isinstance(item, dict) for item in value.values()):
        raise unchecked("Invalid object", None, bracketed(path))
    return dict(value)


def _refuse_empty(value: Any, path: list[str]) -> None:
    if value == "":
        name = bracketed(path)
        raise unchecked(
            f"You passed an empty string for '{name}'. We assume empty values are an attempt to "
            f"unset a parameter; however '{name}' cannot be unset. You should remove '{name}' "
            "from your request or supply a non-empty value.",
            "parameter_invalid_empty",
            name,
        )


def _text(value: Any, path: list[str], unknown: list[str]) -> str:
    if not isinstance(value, str):
        raise unchecked("Invalid string", None, bracketed(path))
    _refuse_empty(value, path)
    return value


def _integer(value: Any, path: list[str], unknown: list[str]) -> int:
    _refuse_empty(value, path)
    text = value if isinstance(value, str) else ""
    if not text.removeprefix("-").isdecimal() or not text.isascii() or len(text) > 19:
        raise unchecked(f"Invalid integer: {value}", "parameter_invalid_integer", bracketed(path))
    return int(text)


def _number(value: Any, path: list[str], unknown: list[str]) -> float:
    _refuse_empty(value, path)
    try:
        return float(value)
    except (TypeError, ValueError):
        raise unchecked(f"Invalid decimal: {value}", None, bracketed(path)) from None


def _bool(value: Any, path: list[str], unknown: list[str]) -> bool:
    _refuse_empty(value, path)
    if value not in ("true", "false"):
        raise unchecked(f"Invalid boolean: {value}", None, bracketed(path))
    return bool(value == "true")


_SCALARS: dict[Any, Check] = {int: _integer, float: _number, bool: _bool}


def not_honoured(given: dict[str, Any], honours: frozenset[str]) -> list[str]:
    """The parameters that Stripe knows and the sandbox would have to ignore, which it never does.

    A name honours all under it; `a.b` honours only that one of `a`."""
    found: list[str] = []

    def walk(value: Any, path: str, shown: list[str]) -> None:
        if path in honours:
            return
        below = any(name.startswith(f"{path}.") for name in honours)
        if isinstance(value, dict) and value and below:
            for name, item in value.items():
                walk(item, f"{path}.{name}", [*shown, name])
        elif isinstance(value, list) and below:
            for number, item in enumerate(value):
                for name, part in item.items():
                    walk(part, f"{path}.{name}", [*shown, str(number), name])
        elif not (below and value in ("", {})):
            found.append(bracketed(shown))

    for name, item in given.items():
        walk(item, name, [name])
    return found
