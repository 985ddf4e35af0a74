"""How lists travel to PostgreSQL: in binary, each with a fixed type.

The rule: a parameter's type never depends on its values, or one statement would be prepared many times over; a list of
octets sent as text costs thirty times as much.
"""

import struct
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.types.json import Jsonb, JsonbBinaryDumper
from psycopg.types.numeric import Int8BinaryDumper
from psycopg.types.string import StrBinaryDumper

_NULL: Final = b"\xff\xff\xff\xff"


class Bigints(list[int]):
    """bigint[]."""


class Blobs(list[bytes | None]):
    """bytea[]."""


class Texts(list[str]):
    """text[]. A NUL or a lone surrogate is replaced: PostgreSQL takes neither."""


class Uuids(list[UUID | None]):
    """uuid[]."""


def clean(text: str) -> str:
    """Text that PostgreSQL takes: NUL and lone surrogates become U+FFFD."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace").replace("\0", "\ufffd")


def _header(count: int, element_oid: int) -> bytes:
    if not count:
        return struct.pack("!iii", 0, 0, element_oid)
    return struct.pack("!iiiii", 1, 1, element_oid, count, 1)


class _BigintsDumper(Dumper):
    format = Format.BINARY
    oid = 1016

    def dump(self, obj: Sequence[int]) -> Buffer:
        count = len(obj)
        fields = [8] * (2 * count)
        fields[1::2] = obj
        return _header(count, 20) + struct.pack("!" + "iq" * count, *fields)


class _BlobsDumper(Dumper):
    format = Format.BINARY
    oid = 1001

    def dump(self, obj: Sequence[bytes | None]) -> Buffer:
        return _header(len(obj), 17) + _join(obj)


class _TextsDumper(Dumper):
    format = Format.BINARY
    oid = 1009

    def dump(self, obj: Sequence[str]) -> Buffer:
        return _header(len(obj), 25) + _join([clean(text).encode() for text in obj])


class _UuidsDumper(Dumper):
    format = Format.BINARY
    oid = 2951

    def dump(self, obj: Sequence[UUID | None]) -> Buffer:
        return _header(len(obj), 2950) + _join([None if each is None else each.bytes for each in obj])


def _join(values: Sequence[bytes | None]) -> bytes:
    parts: list[bytes] = []
    for value in values:
        if value is None:
            parts.append(_NULL)
        else:
            parts.append(len(value).to_bytes(4, "big"))
            parts.append(value)
    return b"".join(parts)


class _CleanText(StrBinaryDumper):
    def dump(self, obj: str) -> Buffer | None:
        return clean(obj).encode()


def register(context: AdaptContext) -> None:
    """Teaches a connection these types."""
    adapters = context.adapters
    assert adapters is not None
    adapters.register_dumper(Bigints, _BigintsDumper)
    adapters.register_dumper(Blobs, _BlobsDumper)
    adapters.register_dumper(Texts, _TextsDumper)
    adapters.register_dumper(Uuids, _UuidsDumper)
    adapters.register_dumper(int, Int8BinaryDumper)
    adapters.register_dumper(str, _CleanText)
    adapters.register_dumper(Jsonb, JsonbBinaryDumper)
