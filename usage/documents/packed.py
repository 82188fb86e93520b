"""Zip files of strangers, read in memory within limits that hold before anything is unpacked."""

from __future__ import annotations

import io
import posixpath
import struct
import zipfile
import zlib
from urllib.parse import unquote

from .refused import DocumentRefused

DIRECTORY_BYTES_MAX = 500_000  # of the list of files: some 5,000 of them
MEMBERS_MAX = 5_000
UNPACKED_BYTES_MAX = 10_000_000  # of all that is read; 100,000 characters take a tenth of it
_END = b"PK\x05\x06"
_END_OF_LARGE = b"PK\x06\x07"
_END_RECORD = struct.Struct("<4s4H2LH")
_TAIL_BYTES = _END_RECORD.size + 0xFFFF  # a comment may follow the record

BROKEN = "This file is damaged. Open it in the program that wrote it, and save it again."
TOO_LARGE = "There is too much in this file. Save its text as .txt or .md, and take that."


class Packed:
    """The files of a zip, by name. Raises DocumentRefused in all it does."""

    def __init__(self, data: bytes) -> None:
        self._left = UNPACKED_BYTES_MAX
        _check_directory(data)
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise DocumentRefused(BROKEN) from error
        members = self._zip.infolist()
        if len(members) > MEMBERS_MAX:
            raise DocumentRefused(TOO_LARGE)
        self._members = {member.filename: member for member in members}

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def read(self, name: str) -> bytes:
        """The bytes of a file. All that is read counts towards the limit, read twice or not."""
        member = self._members.get(name)
        if member is None:
            raise DocumentRefused(BROKEN)
        if member.flag_bits & 0x1:
            raise DocumentRefused("This file is encrypted. Save it without a password.")
        # Others need memory that the file itself asks for.
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DocumentRefused(BROKEN)
        if member.file_size > self._left:
            raise DocumentRefused(TOO_LARGE)
        try:
            with self._zip.open(member) as file:
                data = file.read(self._left + 1)  # its header may lie
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
            raise DocumentRefused(BROKEN) from error
        except (NotImplementedError, RuntimeError) as error:
            raise DocumentRefused(BROKEN) from error
        if len(data) > self._left:
            raise DocumentRefused(TOO_LARGE)
        self._left -= len(data)
        return data


def resolved(base: str, reference: str) -> str:
    """The name of the file that a file of that name refers to. It stays within the zip: one that
    leads out of it, or elsewhere, is no name of a member."""
    path = unquote(reference.partition("#")[0])
    return posixpath.normpath(posixpath.join(posixpath.dirname(base), path)).lstrip("/")


def _check_directory(data: bytes) -> None:
    """zipfile makes an object of each entry before anybody can count them."""
    tail = data[-_TAIL_BYTES:]
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_RECORD.size:
        raise DocumentRefused(BROKEN)
    directory_bytes = _END_RECORD.unpack_from(tail, at)[5]
    if _END_OF_LARGE in tail or directory_bytes > DIRECTORY_BYTES_MAX:
        raise DocumentRefused(TOO_LARGE)
