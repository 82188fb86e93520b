"""Files that customers bring as a text: .txt, .md, .docx, .epub.

`read` gives the text as it is then shown and edited: headings as those of Markdown, so that
chapters stay chapters, paragraphs apart by a blank line. Nothing of a file is trusted: sizes are
limited before and while it is unpacked, nothing is written to a disk, no entity and no address in
it is followed. Pure functions without Django.
"""

from __future__ import annotations

from . import docx, epub, plain
from .refused import DocumentRefused

__all__ = ["BYTES_MAX", "ENDINGS", "TOO_LARGE", "DocumentRefused", "read"]

BYTES_MAX = 10_000_000
TOO_LARGE = f"This file is larger than {BYTES_MAX // 1_000_000} MB. Choose a smaller one."
_READERS = {
    "txt": plain.read,
    "md": plain.read,
    "markdown": plain.read,
    "docx": docx.read,
    "epub": epub.read,
}
ENDINGS = tuple(_READERS)


def read(name: str, data: bytes) -> tuple[str, str]:
    """The text of a file of that name, and how it was read, in words ("as UTF-8").

    Raises DocumentRefused.
    """
    ending = name.rpartition(".")[2].lower()
    if ending not in _READERS:
        raise DocumentRefused("Choose a file that ends in .txt, .md, .docx or .epub.")
    if len(data) > BYTES_MAX:
        raise DocumentRefused(TOO_LARGE)
    text, how = _READERS[ending](data)
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip("\n")
    if not text.strip():
        raise DocumentRefused("There is no text in this file.")
    return text, how
