"""Makes `parameters.json` of the official SDK that is installed:
`python -m metronome_sandbox.tests.write_parameters`.

A type of parameters becomes JSON Schema, of which these words suffice: `type`, `format`,
`properties`, `required`, `additionalProperties`, `items`, `enum` and `anyOf`. {} is anything.
"""

import importlib
import json
import pkgutil
import types
import typing
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import metronome
import metronome.types
import typing_extensions

FILE = Path(__file__).parents[1] / "parameters.json"
WRAPPERS = (
    typing.Required,
    typing.NotRequired,
    typing_extensions.Required,
    typing_extensions.NotRequired,
    Annotated,
)
SCALARS = {str: "string", float: "number", int: "integer", bool: "boolean", type(None): "null"}


def schema(hint: Any) -> dict[str, Any]:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in WRAPPERS:
        return schema(inner[0])
    if typing_extensions.is_typeddict(hint):
        return _object(hint)
    if origin is Literal:
        return {"enum": list(inner)}
    if origin in (typing.Union, types.UnionType):
        # A moment is sent as text, and the SDK takes either.
        moments = [one for one in inner if one in (date, datetime)]
        others = [one for one in inner if one is not str] if moments else inner
        return _any_of([schema(one) for one in others])
    if getattr(origin, "__name__", "") in (
        "list",
        "List",
        "Iterable",
        "Sequence",
        "SequenceNotStr",
    ):
        return {"type": "array", "items": schema(inner[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": schema(inner[1])}
    if hint in (date, datetime):
        return {"type": "string", "format": "date-time"}
    return {"type": SCALARS[hint]} if hint in SCALARS else {}


def _any_of(options: list[dict[str, Any]]) -> dict[str, Any]:
    different = [one for n, one in enumerate(options) if one not in options[:n]]
    return different[0] if len(different) == 1 else {"anyOf": different}


def _object(hint: Any) -> dict[str, Any]:
    hints = get_type_hints(hint, include_extras=True)
    required = [_wire_name(hints[name], name) for name in hints if _is_required(hint, hints[name])]
    found: dict[str, Any] = {
        "type": "object",
        "properties": {_wire_name(inner, name): schema(inner) for name, inner in hints.items()},
    }
    return {**found, "required": required} if required else found


def _is_required(hint: Any, annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _is_required(hint, get_args(annotation)[0])
    required = (typing.Required, typing_extensions.Required)
    optional = (typing.NotRequired, typing_extensions.NotRequired)
    return origin in required or (bool(hint.__total__) and origin not in optional)


def _wire_name(annotation: Any, name: str) -> str:
    """What a field is called in a request."""
    for part in getattr(annotation, "__metadata__", ()):
        if getattr(part, "alias", None):
            return str(part.alias)
    inner = get_args(annotation)
    return _wire_name(inner[0], name) if inner and get_origin(annotation) in WRAPPERS else name


def _types() -> Iterator[tuple[str, Any]]:
    for found in pkgutil.walk_packages(metronome.types.__path__, "metronome.types."):
        if found.ispkg:
            module = importlib.import_module(found.name)
            for name, hint in vars(module).items():
                if name.endswith("Params"):
                    yield f"{found.name.removeprefix('metronome.types.')}.{name}", hint


def published() -> dict[str, Any]:
    """Each type of parameters of the SDK as JSON Schema, by module and name."""
    return {name: schema(hint) for name, hint in sorted(_types(), key=lambda found: found[0])}


def text() -> str:
    """What the file has to be."""
    source = f"metronome-sdk {metronome.__version__}, Apache-2.0, © Metronome"
    return json.dumps({"source": source, "types": published()}, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
