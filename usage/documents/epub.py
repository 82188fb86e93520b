"""E-books (EPUB 2 and 3): the documents of the spine in their order, their headings as chapters."""

from __future__ import annotations

from .lines import Lines
from .packed import BROKEN, Packed, resolved
from .refused import DocumentRefused
from .xml import Attributes, parse

CONTAINER = "META-INF/container.xml"
ENCRYPTION = "META-INF/encryption.xml"
_XHTML = {"application/xhtml+xml", "text/html"}
_LEFT_OUT = {"head", "script", "style", "svg", "math", "rt", "rp", "nav", "template"}
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCKS = {
    *(
        "p",
        "div",
        "hr",
        "ul",
        "ol",
        "li",
        "dl",
        "dt",
        "dd",
        "table",
        "tr",
        "td",
        "th",
        "pre",
        "body",
    ),
    *("blockquote", "section", "article", "header", "footer", "aside", "figure", "figcaption"),
    *_HEADINGS,
}


def read(data: bytes) -> tuple[str, str]:
    """The text, and how it was read. Raises DocumentRefused."""
    packed = Packed(data)
    if CONTAINER not in packed:
        raise DocumentRefused("This is no e-book. Choose an EPUB.")
    chapters = []
    try:
        for name in _spine(packed):
            lines = _Page(packed.read(name)).lines
            if not lines.is_empty:
                chapters.append(lines)
    except DocumentRefused as error:
        if ENCRYPTION in packed:
            raise DocumentRefused("This e-book is protected. Take one without DRM.") from error
        raise
    if any(each.has_headings for each in chapters) or len(chapters) < 2:
        return "\n\n".join(each.text() for each in chapters), "as an e-book"
    texts = [f"# Chapter {number}\n\n{each.text()}" for number, each in enumerate(chapters, 1)]
    return "\n\n".join(texts), "as an e-book without headings: its chapters are numbered"


def _spine(packed: Packed) -> list[str]:
    """The names of the documents in the order in which they are read, without the table of
    contents and what is not part of that order."""
    package = ""
    items: dict[str, str] = {}
    order: list[str] = []

    def root(name: str, attributes: Attributes) -> None:
        nonlocal package
        if name == "rootfile" and not package:
            package = resolved("", attributes.get("full-path", ""))

    def start(name: str, attributes: Attributes) -> None:
        if name == "item" and attributes.get("media-type") in _XHTML:
            if "nav" not in attributes.get("properties", "").split():
                reference = attributes.get("href", "")
                items[attributes.get("id", "")] = resolved(package, reference)
        elif name == "itemref" and attributes.get("linear") != "no":
            order.append(attributes.get("idref", ""))

    parse(packed.read(CONTAINER), start=root)
    parse(packed.read(package), start=start)
    found = [items[each] for each in dict.fromkeys(order) if each in items]
    if not found:
        raise DocumentRefused(BROKEN)
    return found


class _Page:
    """One document of the spine, as it is read."""

    def __init__(self, document: bytes) -> None:
        self.lines = Lines()
        self._left_out = 0  # how many elements are open whose text is left out
        self._headings = 0  # how many headings are open
        parse(document, start=self._start, end=self._end, text=self._text)
        self.lines.end_paragraph()

    def _start(self, name: str, attributes: Attributes) -> None:
        name = name.lower()
        if name in _LEFT_OUT:
            self._left_out += 1
        elif name == "br":
            self.lines.add("\n")
        elif name in _BLOCKS:
            if not self._headings:
                self.lines.end_paragraph()
            if name in _HEADINGS:
                self._headings += 1
                self.lines.level = _HEADINGS[name]

    def _end(self, name: str) -> None:
        name = name.lower()
        if name in _LEFT_OUT:
            self._left_out -= 1
        elif name in _BLOCKS:
            self._headings -= name in _HEADINGS
            if self._headings:
                self.lines.add(" ")
            else:
                self.lines.end_paragraph()
                self.lines.level = 0

    def _text(self, written: str) -> None:
        if not self._left_out:
            self.lines.add(written.replace("\n", " "))
