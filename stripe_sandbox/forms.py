"""Form encoding as Stripe's clients write it: `card[number]=…`, `expand[0]=…`, `expand[]=…`."""

import re
from typing import Any
from urllib.parse import parse_qsl

from stripe_sandbox.wire import unchecked

MOST_FIELDS = 2000
DEEPEST = 12
_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")


def decode(text: str) -> dict[str, Any]:
    """Nested dicts of strings; a list is a dict with the keys "0", "1", … until its type is known.

    Raises ApiError 400."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except (ValueError, UnicodeDecodeError):
        raise unchecked("The form could not be read: it must be URL-encoded UTF-8.") from None
    result: dict[str, Any] = {}
    for name, value in pairs:
        match = _NAME.fullmatch(name)
        if match is None:
            raise unchecked(f"Invalid parameter name: {name}")
        path = [match[1], *re.findall(r"\[([^\[\]]*)\]", match[2])]
        if len(path) > DEEPEST:
            raise unchecked(f"The parameter {path[0]} is nested too deeply.")
        _put(result, path, value, name)
    return result


def _put(result: dict[str, Any], path: list[str], value: str, name: str) -> None:
    place = result
    for step in path[:-1]:
        place = place.setdefault(step or str(len(place)), {})
        if not isinstance(place, dict):
            raise unchecked(f"The parameter {name} is given both as a value and as an object.")
    last = path[-1] or str(len(place))
    if isinstance(place.get(last), dict):
        raise unchecked(f"The parameter {name} is given both as a value and as an object.")
    place[last] = value


def bracketed(path: list[str]) -> str:
    return path[0] + "".join(f"[{step}]" for step in path[1:])
