"""Sound in the formats that people and programs want, and the lossless form in which it is kept.

No Django, and no NumPy in the process that imports it: what needs NumPy runs in a helper process.
"""

from __future__ import annotations

from .encoders import Encoder, WrongCount, encoder, stored
from .formats import FORMATS, Format, FormatMissing, FormatRefused, offered
from .helper import ConverterFailed
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
    "encoder",
    "offered",
    "stored",
]
