"""The audio of a folder, or of the parts of a text, as one ZIP, made while it is sent: one file of
sound is open at a time."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain

from usage.audio import FORMATS
from usage.models import Folder, Generation

from . import encoded, filenames, sections, shelf
from .problems import AudioLost, AudioUnreachable

FILES_MAX = 500  # of one archive, the newest
PIECE_BYTES = 64 * 1024
MISSING = "missing.txt"


class _Sink:
    """What the archive has written and nobody has taken yet. It cannot seek, so that sizes are
    written after each file."""

    def __init__(self) -> None:
        self._fresh = bytearray()

    def write(self, data: bytes) -> int:
        self._fresh += data
        return len(data)

    def flush(self) -> None:
        """Nothing waits anywhere else."""

    def take(self) -> bytes:
        data = bytes(self._fresh)
        self._fresh.clear()
        return data


def generations(folder: Folder) -> list[Generation]:
    """The texts of a folder whose audio should be there, newest first, FILES_MAX at most."""
    rows = shelf.of(folder.customer).filter(folder=folder, state=Generation.State.DONE)
    return list(rows.filter(audio_deleted_at=None)[:FILES_MAX])


def pieces(found: list[Generation], name: str) -> Iterator[bytes]:
    """The archive of these, each in the format of that name. What cannot be read is named in the
    file MISSING of the archive."""
    extension = FORMATS[name].extension
    names = filenames.distinct(map(filenames.stem, found), extension)
    yield from _zipped(
        (file_name, generation, partial(_read, generation, name))
        for generation, file_name in zip(found, names, strict=True)
    )


def parts_of(generation: Generation, name: str) -> Iterator[bytes]:
    """The archive of the parts of a text that are made, each named by its number and title."""
    files = list(sections.files(generation, name))
    extension = FORMATS[name].extension
    names = filenames.distinct((filenames.stem_of(title) for title, _ in files), extension)
    yield from _zipped(
        (file_name, generation, opened) for file_name, (_, opened) in zip(names, files, strict=True)
    )


def _zipped(
    files: Iterable[tuple[str, Generation, Callable[[], Iterator[bytes]]]],
) -> Iterator[bytes]:
    """Each file by its name, dated as its generation, and what gives its bytes."""
    sink, missing = _Sink(), []
    # Sound is not compressed twice.
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:  # type: ignore[call-overload]
        for file_name, generation, opened in files:
            at = generation.finished_at or generation.created_at
            try:
                source = opened()
                first = next(source, b"")
            except (AudioLost, AudioUnreachable) as error:
                missing.append(f"{file_name}: {error}")
                continue
            entry = zipfile.ZipInfo(file_name, at.timetuple()[:6])
            with archive.open(entry, "w") as target:
                for data in chain([first], source):
                    target.write(data)
                    yield sink.take()
        if missing:
            archive.writestr(MISSING, "\n".join([*missing, ""]))
    yield sink.take()


def _read(generation: Generation, name: str) -> Iterator[bytes]:
    with encoded.open_encoded(generation, name) as source:
        while data := source.read(PIECE_BYTES):
            yield data
