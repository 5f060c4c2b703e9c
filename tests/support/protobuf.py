"""Reading protobuf messages without their schemas: the caller knows the numbers of the fields it wants."""

from __future__ import annotations

from collections.abc import Iterator

Value = int | bytes


def fields_of(message: bytes) -> Iterator[tuple[int, Value]]:
    """The fields of a message by number: varints as numbers, everything else as bytes."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        wire_type = key & 7
        if wire_type == 0:
            value, position = _varint(message, position)
            yield key >> 3, value
            continue
        length = {1: 8, 5: 4}.get(wire_type)
        if length is None:
            length, position = _varint(message, position)
        yield key >> 3, message[position : position + length]
        position += length


def members(message: bytes, number: int) -> Iterator[bytes]:
    """The values of a repeated field of strings or messages."""
    return (as_bytes(value) for field, value in fields_of(message) if field == number)


def as_bytes(value: Value | None) -> bytes:
    """The value of a string or message; empty when the field is absent."""
    return value if isinstance(value, bytes) else b""


def _varint(message: bytes, position: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = message[position]
        result |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return result, position
