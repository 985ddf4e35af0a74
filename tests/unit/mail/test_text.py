"""Text out of octets: never an error, never what a database refuses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.mail.text import REPLACEMENT, clean, codec, decode, decode_header


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"plain", "plain"),
        (b"=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        (b"=?UTF-8?B?R3LDvMOfZQ==?= there", "Grüße there"),
        (b"=?utf-8?B?R3LDvMOfZQ?=", "Grüße"),
        (b"=?iso-8859-1?q?a_b?= =?iso-8859-1?q?c?=", "a bc"),
        (b"=?utf-8?q?=C3?=\r\n =?utf-8?q?=BC?=", "ü"),
        (b"a =?utf-8?q?b?= c =?utf-8?q?d?=", "a b c d"),
        (b"=?us-ascii*en?q?tagged?=", "tagged"),
        (b"=?no-such-charset?q?=E9?=", "é"),
        (b"=?utf-8?x?y?=", "=?utf-8?x?y?="),
        (b"=?utf-8?q?unfinished", "=?utf-8?q?unfinished"),
        (b"Gr\xc3\xbc\xc3\x9fe", "Grüße"),
        (b"Gr\xfc\xdfe", "Grüße"),
        (b"=?utf-7?q?+2AA-?=", REPLACEMENT),
        (b"a\0b", f"a{REPLACEMENT}b"),
        (b"=?utf-8?q?=00?=", REPLACEMENT),
        (b"", ""),
    ],
)
def test_a_header_becomes_text(raw: bytes, text: str) -> None:
    """RFC 2047 §2, §5, §6.2; RFC 2231 §5; RFC 6532 §3."""
    assert decode_header(raw) == text


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("UTF-8", "utf-8"),
        (" 'iso-8859-15' ", "iso8859-15"),
        ("us-ascii", "cp1252"),
        ("ks_c_5601-1987", "cp949"),
        ("gb2312", "gb18030"),
        ("x-nothing", None),
        ("hex", None),
        ("rot13", None),
        ("idna", None),
        ("unicode_escape", None),
        ("", None),
        ("a\0b", None),
        ("ü", None),
        ("a" * 1000, None),
        ("../../etc/passwd", None),
    ],
)
def test_a_charset_is_known_or_it_is_not(charset: str, name: str | None) -> None:
    """RFC 2978 §2.3."""
    assert codec(charset) == name


@given(
    st.binary(max_size=60),
    st.sampled_from(["utf-8", "utf-7", "iso-2022-jp", "hz", "utf-16", "utf-32", "gb2312", "?"]),
)
def test_decoding_never_fails(octets: bytes, charset: str) -> None:
    """RFC 2045 §5.2: what cannot be decoded is still shown."""
    text = decode(octets, charset)
    assert clean(text) == text
    text.encode()
    assert "\0" not in text


@given(
    st.lists(
        st.sampled_from([b"=?utf-8?q?", b"?=", b"=?", b"b?", b"=C3", b" ", b"\r\n ", b"\xff", b"\0", b"x"])
    )
)
def test_no_header_fails(pieces: list[bytes]) -> None:
    """RFC 2047 §6.3."""
    decode_header(b"".join(pieces)).encode()
