"""Plain text and Markdown, in the encodings that editors write."""

from __future__ import annotations

import codecs

from .refused import DocumentRefused

# By their first bytes. UTF-32 is not written by anybody; its mark would look like that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8", "UTF-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16-be", "UTF-16"),
)


def read(data: bytes) -> tuple[str, str]:
    """The text, and the encoding in words. Raises DocumentRefused."""
    for mark, encoding, name in _MARKS:
        if data.startswith(mark):
            return _decoded(data[len(mark) :], encoding, name), f"as {name}"
    if b"\0" in data:
        raise DocumentRefused(
            "This is no text file: there are zero bytes in it. Save it as UTF-8 and try again."
        )
    try:
        return data.decode("utf-8"), "as UTF-8"
    except UnicodeDecodeError:
        return _decoded(data, "cp1252", "Windows-1252"), "as Windows-1252, as it is no UTF-8"


def _decoded(data: bytes, encoding: str, name: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise DocumentRefused(
            f"This file cannot be read as {name}: byte {error.start + 1:,} means nothing there. "
            "Save it as UTF-8 and try again."
        ) from error
