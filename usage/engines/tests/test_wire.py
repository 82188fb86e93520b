import struct

import pytest

from usage.engines import wire


def unpack(data, samples_bytes_max=100):
    rest = memoryview(data)

    def receive(size):
        nonlocal rest
        part, rest = rest[:size], rest[size:]
        assert len(part) == size
        return bytes(part)

    return wire.unpack(receive, samples_bytes_max=samples_bytes_max)


def test_a_message_arrives_as_it_was_sent():
    assert unpack(wire.pack({"words": ["é", "漢"]}, b"1234")) == ({"words": ["é", "漢"]}, b"1234")


@pytest.mark.parametrize(
    "message",
    [
        struct.pack("!II", 1 << 30, 0),  # before anything is read
        struct.pack("!II", 2, 1 << 30),
        struct.pack("!II", 2, 3) + b"{}123",
        struct.pack("!II", 2, 0) + b"[]",
        struct.pack("!II", 2, 0) + b"{x",
        struct.pack("!II", 1, 0) + b"\xff",
        struct.pack("!II", 20_000, 0) + b"[" * 20_000,
    ],
)
def test_what_is_no_message_is_refused(message):
    with pytest.raises(wire.Malformed):
        unpack(message)
