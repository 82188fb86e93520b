"""Names of files to take away, made of what is spoken in them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import quote

from usage.models import Generation

CHARACTERS_MAX = 60
# Windows opens devices by these names, whatever extension follows.
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])", re.IGNORECASE)
_APART = re.compile(r"[^\w]+|_+")


def stem(generation: Generation) -> str:
    """The name without its extension: the first words of title or text, joined by hyphens."""
    return stem_of(generation.name) or f"vocalis-{generation.id}"


def stem_of(text: str) -> str:
    """Letters and digits of a text as a name that every system takes; "" if it has none."""
    words = [word for word in _APART.split(text[: 4 * CHARACTERS_MAX]) if word]
    name = ""
    for word in words:
        longer = f"{name}-{word}" if name else word[:CHARACTERS_MAX]
        if len(longer) > CHARACTERS_MAX:
            break
        name = longer
    return f"{name}-speech" if _DEVICES.fullmatch(name) else name


def of(generation: Generation, extension: str) -> str:
    return f"{stem(generation)}.{extension}"


def distinct(names: Iterator[str], extension: str) -> Iterator[str]:
    """Names for files of one folder: where two are the same, on systems that know no case either,
    the later one gets a number."""
    taken: set[str] = set()
    for name in names:
        number, wanted = 1, name
        while wanted.casefold() in taken:
            number += 1
            wanted = f"{name}-{number}"
        taken.add(wanted.casefold())
        yield f"{wanted}.{extension}"


def disposition(name: str, *, is_attachment: bool) -> str:
    """The header Content-Disposition (RFC 6266): the name, and one in ASCII for old clients."""
    kind = "attachment" if is_attachment else "inline"
    stem, _, extension = name.rpartition(".")
    ascii_only = re.sub(r"[^A-Za-z0-9-]+", "", "".join(map(_base, stem))).strip("-") or "vocalis"
    plain = f"{ascii_only}.{extension}"
    header = f'{kind}; filename="{plain}"'
    return header if plain == name else f"{header}; filename*=UTF-8''{quote(name, safe='')}"


def _base(character: str) -> str:
    """The letter without its accent."""
    first = unicodedata.decomposition(character).partition(" ")[0]
    return chr(int(first, 16)) if first and not first.startswith("<") else character
