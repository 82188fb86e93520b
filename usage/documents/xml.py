"""XML of strangers, element by element, by expat: no tree in memory, no entity of its own, nothing
fetched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html.entities import html5
from xml.parsers import expat

from .packed import BROKEN
from .refused import DocumentRefused

DEPTH_MAX = 200
Attributes = Mapping[str, str]


def parse(
    data: bytes,
    *,
    start: Callable[[str, Attributes], None],
    end: Callable[[str], None] = lambda name: None,
    text: Callable[[str], None] = lambda text: None,
) -> None:
    """Call these for each element and text. Names of elements and attributes are without namespace.

    Named characters of HTML are known (`&nbsp;`); a document that defines entities is refused.
    Raises DocumentRefused.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    parser.UseForeignDTD(True)  # then an unknown name is told of, instead of an error
    depth = 0

    def begin(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > DEPTH_MAX:
            raise DocumentRefused(BROKEN)
        start(_local(name), {_local(key): value for key, value in attributes.items()})

    def finish(name: str) -> None:
        nonlocal depth
        depth -= 1
        end(_local(name))

    def refuse(*_: object) -> None:
        raise DocumentRefused("This file defines entities, which are not read. Save it anew.")

    def skipped(name: str, is_parameter: bool) -> None:
        if not is_parameter:
            text(html5.get(f"{name};", ""))

    parser.StartElementHandler = begin
    parser.EndElementHandler = finish
    parser.CharacterDataHandler = text
    parser.EntityDeclHandler = refuse
    parser.SkippedEntityHandler = skipped
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        if isinstance(error, DocumentRefused):
            raise
        raise DocumentRefused(BROKEN) from error


def _local(name: str) -> str:
    return name.rpartition(" ")[2]
