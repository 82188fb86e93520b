"""What a call can be sent, as JSON Schema, and which fields that has:
`commits.access_schedule.schedule_items.amount`."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any


@dataclass(frozen=True, eq=False)
class Shape:
    """Each is equal to itself alone, so that what is worked out of one is kept."""

    schema: dict[str, Any]


def paths(shape: Shape) -> Iterator[str]:
    """The path of every field, those inside lists and unions too, each once."""
    yield from dict.fromkeys(_walk(shape.schema, ""))


@cache
def names(shape: Shape) -> frozenset[str]:
    """The fields of a shape itself."""
    return frozenset(path for path in paths(shape) if "." not in path)


def _walk(schema: dict[str, Any], prefix: str) -> Iterator[str]:
    for name, inner in schema.get("properties", {}).items():
        path = f"{prefix}.{name}" if prefix else name
        yield path
        yield from _walk(inner, path)
    inside = [schema[word] for word in ("items", "additionalProperties") if word in schema]
    for inner in [*inside, *schema.get("anyOf", [])]:
        yield from _walk(inner, prefix)
