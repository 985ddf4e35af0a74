"""Length-delimited fields written by hand, so that octets are copied once on their way out.

The rule: what comes out is exactly what protobuf would have written for the same message
(https://protobuf.dev/programming-guides/encoding/); a test compares the two.
"""

from collections.abc import Iterable
from functools import cache
from typing import Final

_VARINT: Final = 0
_LENGTH: Final = 2


@cache
def _tag(field: int, kind: int) -> bytes:
    return varint(field << 3 | kind)


def varint(number: int) -> bytes:
    """A non-negative number, seven bits to an octet, least first."""
    if number < 0x80:
        return bytes((number,))
    octets = bytearray()
    while number >= 0x80:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    octets.append(number)
    return bytes(octets)


def octets_fields(field: int, values: Iterable[bytes]) -> list[bytes]:
    """A repeated field of type bytes, as parts to be joined."""
    tag = _tag(field, _LENGTH)
    parts: list[bytes] = []
    for octets in values:
        parts += (tag, varint(len(octets)), octets)
    return parts


def number_field(field: int, number: int) -> bytes:
    """A field of type uint32, uint64 or bool."""
    return _tag(field, _VARINT) + varint(number)


def octets_field(field: int, *parts: bytes) -> bytes:
    """A field of type bytes, string or message, whose octets are the parts one after the other."""
    length = sum(map(len, parts))
    return b"".join((_tag(field, _LENGTH), varint(length), *parts))
