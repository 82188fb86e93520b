"""Messages between an engine and its helpers: a header in JSON and the bytes of the samples.

Never pickle: a helper parses customers' text in C, so what it sends may be anything.
"""

import json
import struct
from collections.abc import Callable, Mapping
from typing import Any

_SIZES = struct.Struct("!II")  # bytes of the header, bytes of the samples
HEADER_BYTES_MAX = 1 << 20


class Malformed(Exception):
    """This is no message."""


def pack(header: Mapping[str, Any], samples: bytes = b"") -> bytes:
    encoded = json.dumps(header).encode()
    return _SIZES.pack(len(encoded), len(samples)) + encoded + samples


def unpack(
    receive: Callable[[int], bytes | bytearray], *, samples_bytes_max: int
) -> tuple[dict[str, Any], bytes]:
    """The next message. `receive` returns exactly as many bytes as it is asked for.

    Raises Malformed, before it asks for more than is allowed.
    """
    header_bytes, samples_bytes = _SIZES.unpack(receive(_SIZES.size))
    if header_bytes > HEADER_BYTES_MAX or samples_bytes > samples_bytes_max or samples_bytes % 2:
        raise Malformed("it sent a message of the wrong size")
    try:
        header = json.loads(receive(header_bytes))
    except (ValueError, RecursionError) as error:
        raise Malformed(f"it sent no JSON: {error}") from error
    if not isinstance(header, dict):
        raise Malformed("it sent no object")
    return header, bytes(receive(samples_bytes))
