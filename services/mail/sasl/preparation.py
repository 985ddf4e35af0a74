"""SASLprep: passwords and names that look the same become the same octets. RFC 4013."""

from __future__ import annotations

import stringprep
import unicodedata

_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def prepared(octets: bytes) -> bytes:
    """The octets that both ends make keys of; what SASLprep has no form for stays as it is."""
    if octets.isascii():
        return octets
    try:
        return _prepared(octets.decode()).encode()
    except ValueError:
        return octets


def _prepared(text: str) -> str:
    """RFC 4013 §2. Raises ValueError."""
    mapped = "".join(
        " " if stringprep.in_table_c12(each) else each for each in text if not stringprep.in_table_b1(each)
    )
    normal = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    if any(table(each) for table in _PROHIBITED for each in normal):
        raise ValueError("a character that may not be there")
    if any(map(stringprep.in_table_d1, normal)) and (
        any(map(stringprep.in_table_d2, normal))
        or not (stringprep.in_table_d1(normal[0]) and stringprep.in_table_d1(normal[-1]))
    ):
        raise ValueError("directions are mixed")  # RFC 3454 §6
    return normal
