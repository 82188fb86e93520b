"""Sound in the formats that people and programs want, and the lossless form in which it is kept.

No Django, and no NumPy in the process that imports it: what needs NumPy runs in a helper process.
"""

from __future__ import annotations

import io
from typing import BinaryIO

from .encoders import Encoder, WrongCount, encoder, store, stored
from .formats import FORMATS, Format, FormatMissing, FormatRefused, offered
from .helper import ConverterFailed
from .levels import levels
from .sndfile import Reader, SoundBroken

__all__ = [
    "FORMATS",
    "ConverterFailed",
    "Encoder",
    "Format",
    "FormatMissing",
    "FormatRefused",
    "Reader",
    "SoundBroken",
    "WrongCount",
    "decode",
    "encoder",
    "levels",
    "offered",
    "store",
    "stored",
]


def decode(source: bytes | BinaryIO) -> Reader:
    """The sound of a file (flac, wav, Ogg Opus): its rate, its length, and its samples in pieces.

    Use it in a `with`. Raises SoundBroken.
    """
    return Reader(io.BytesIO(source) if isinstance(source, bytes) else source)
