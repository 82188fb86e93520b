"""Collects the text of a document: paragraphs apart by a blank line, headings as in Markdown."""

from __future__ import annotations

import re
import unicodedata

_BLANKS = re.compile(r"[^\S\n]+")
_BREAKS = re.compile(r" ?\n ?")
_SOFT = dict.fromkeys(map(ord, "\u00ad\u200b\ufeff"))


class Lines:
    """What was read so far. `level` is that of the heading that is being read, 0 outside of one."""

    def __init__(self) -> None:
        self._paragraphs: list[str] = []
        self._bits: list[str] = []
        self.level = 0
        self.has_headings = False

    def add(self, text: str) -> None:
        self._bits.append(text)

    def end_paragraph(self) -> None:
        written = _BLANKS.sub(" ", "".join(self._bits).translate(_SOFT))
        written = _BREAKS.sub("\n", written).strip()
        self._bits.clear()
        if not written:
            return
        if self.level and any(unicodedata.category(each)[0] in "LN" for each in written):
            written = f"{'#' * min(self.level, 6)} {' '.join(written.split())}"
            self.has_headings = True
        self._paragraphs.append(written)

    @property
    def is_empty(self) -> bool:
        return not self._paragraphs

    def text(self) -> str:
        self.end_paragraph()
        return "\n\n".join(self._paragraphs)
