"""Word documents (Office Open XML, ECMA-376): paragraphs and headings, without what is deleted or
beside the text."""

from __future__ import annotations

import re

from .lines import Lines
from .packed import Packed, resolved
from .refused import DocumentRefused
from .xml import Attributes, parse

RELATIONSHIPS = "_rels/.rels"
_HEADING = re.compile(r"heading ([1-9])")
# Text that is drawn twice, once for old programs; what was taken away while changes are tracked.
_LEFT_OUT = {"Fallback", "del", "moveFrom"}


def read(data: bytes) -> tuple[str, str]:
    """The text, and how it was read. Raises DocumentRefused."""
    packed = Packed(data)
    main = _main(packed)
    body = _Body(_levels(packed, resolved(main, "styles.xml")))
    parse(packed.read(main), start=body.start, end=body.end, text=body.text)
    return body.lines.text(), "as a Word document"


class _Body:
    """The main document, as it is read."""

    def __init__(self, levels: dict[str, int]) -> None:
        self.lines = Lines()
        self._levels = levels
        self._left_out = 0  # how many elements are open whose text is left out
        self._is_text = False

    def start(self, name: str, attributes: Attributes) -> None:
        if name in _LEFT_OUT:
            self._left_out += 1
        elif name == "pStyle":
            self.lines.level = self._levels.get(attributes.get("val", ""), 0)
        elif name == "outlineLvl":
            self.lines.level = _outline(attributes)
        elif name == "tab":
            self.lines.add(" ")
        elif name in ("br", "cr"):
            self.lines.add("\n")
        elif name == "t":
            self._is_text = True

    def end(self, name: str) -> None:
        if name in _LEFT_OUT:
            self._left_out -= 1
        elif name == "t":
            self._is_text = False
        elif name == "p":
            self.lines.end_paragraph()
            self.lines.level = 0

    def text(self, written: str) -> None:
        if self._is_text and not self._left_out:
            self.lines.add(written)


def _main(packed: Packed) -> str:
    """The name of the main document, as the package says."""
    found = []

    def start(name: str, attributes: Attributes) -> None:
        if name == "Relationship" and attributes.get("Type", "").endswith("/officeDocument"):
            found.append(resolved("", attributes.get("Target", "")))

    if RELATIONSHIPS in packed:
        parse(packed.read(RELATIONSHIPS), start=start)
    if not found or found[0] not in packed:
        raise DocumentRefused(
            "This is no Word document. Save it as .docx in Word or another editor."
        )
    return found[0]


def _levels(packed: Packed, name: str) -> dict[str, int]:
    """Levels of headings by the id of their style: that is translated, its name is not."""
    levels: dict[str, int] = {}
    style = ""

    def start(name: str, attributes: Attributes) -> None:
        nonlocal style
        value = attributes.get("val", "").lower()
        if name == "style":
            style = attributes.get("styleId", "")
        elif name == "name" and (found := _HEADING.fullmatch(value)):
            levels[style] = int(found[1])
        elif name == "name" and value == "title":
            levels[style] = 1
        elif name == "outlineLvl" and (level := _outline(attributes)):
            levels.setdefault(style, level)

    if name in packed:
        parse(packed.read(name), start=start)
    return levels


def _outline(attributes: Attributes) -> int:
    """The level of a paragraph in the outline; 9 is the text itself."""
    value = attributes.get("val", "")
    return int(value) + 1 if value in set("012345678") else 0
