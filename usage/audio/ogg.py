"""Ogg streams by a number of our choice.

libsndfile gives every Ogg stream a random serial number, which stands in each page and in its
checksum: the same sound encoded twice would be other bytes. A player needs it only to tell streams
apart that lie in one file.
"""

from __future__ import annotations

import struct
import zlib

HEADER_BYTES = 27  # of a page, before the table of its segments
SERIAL, CHECKSUM, SEGMENTS = slice(14, 18), slice(22, 26), 26
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class Numbered:
    """Passes the pages of a stream on with that serial number. `feed` takes any bytes of it."""

    def __init__(self, serial: int) -> None:
        self._serial = struct.pack("<I", serial)
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """The whole pages that there are with these bytes."""
        data, at = self._rest + data, 0
        pages = []
        while size := _page_bytes(data, at):
            pages.append(self._numbered(data[at : at + size]))
            at += size
        self._rest = data[at:]
        return b"".join(pages)

    def finish(self) -> bytes:
        """What is left: nothing, of a stream that is whole."""
        data, self._rest = self._rest, b""
        return data

    def close(self) -> None:
        pass

    def _numbered(self, page: bytes) -> bytes:
        numbered = bytearray(page)
        numbered[SERIAL], numbered[CHECKSUM] = self._serial, bytes(4)
        numbered[CHECKSUM] = struct.pack("<I", checksum(numbered))
        return bytes(numbered)


def checksum(page: bytes | bytearray) -> int:
    """The CRC of a page whose own field for it is zero (RFC 3533).

    It is the usual CRC-32 with the bits the other way around, beginning and ending without
    inversion.
    """
    usual = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{usual:032b}"[::-1], 2)


def _page_bytes(data: bytes, at: int) -> int:
    """How long the page is that begins there; 0 if it is not all there."""
    table = at + HEADER_BYTES
    if len(data) < table:
        return 0
    segments = data[at + SEGMENTS]
    size = HEADER_BYTES + segments + sum(data[table : table + segments])
    return size if len(data) >= at + size else 0
