"""What a glance at a letter's octets rules out, its texts do not hold."""

from hypothesis import given
from hypothesis import strategies as st

from services.mail.mime import PartMap, Scanner
from services.mail.search import plain, texts
from services.mail.search.bodies import joined, text_of
from services.mail.search.folding import fold

LINES = [
    b"Subject: a b", b"subject : a", b"To: \"a\"@b", b"To: a . b @c", b"To: a@b", b"Cc:\r\n\ta b", b"no field",
    b"A:b\rc",    b"X: =?utf-8?q?a?=", b"Content-Type: text/html", b"Content-Type: text/plain; charset=utf-8",
    b"Content-Type: text/plain; charset=utf-7", b"Content-Type: text/plain; char\rset=utf-16",
    b"Content-Type: text/plain; charset*=''utf%2D16", b"Content-Transfer-Encoding: base64",
    b"Content-Transfer-Encoding: quoted-printable", b"Content-Type: multipart/mixed; boundary=x", b"", b"--x", b"--x--",
    b"a<b>b</b>", b"a&amp;b", b"a b", b"a  b", b"+AOk-", b"YWI=", b"a=62", b"a=", b"\xc3\xa9", b"\xef\xac\x81", b"b\0",
]  # fmt: skip
letters = st.lists(st.sampled_from(LINES), max_size=12).map(b"\r\n".join)
wanted = st.lists(
    st.sampled_from(["a", "b", "ab", " ", ":", "@", "é", "fi", "subject", "&"]), min_size=1, max_size=4
)


@given(letters, wanted)
def test_what_is_ruled_out_is_not_there(octets: bytes, pieces: list[str]) -> None:
    """The texts are those that are kept and searched."""
    scanner = Scanner()
    scanner.feed(octets)
    seen = scanner.finish()
    parts = PartMap.decode(seen.parts, 0)
    text = fold("".join(pieces))
    header = texts.fold_header(octets[: seen.header])
    inner = texts.fold_inner(octets[start:end] for start, end in texts.inner_headers(parts))
    bodies = joined(
        [
            text_of(part, octets[part.header_start : part.body_start], octets[part.body_start : part.end])
            for part in texts.text_parts(parts)
        ]
    )
    needle = plain.needle(text)
    own = plain.header_in_capitals(octets[: seen.header])
    whole = plain.content_in_capitals(octets, seen.parts)
    if needle is not None and own is not None and needle not in own:
        assert text not in header
    if needle is not None and whole is not None and needle not in whole:
        assert text not in inner
        assert text not in bodies


def test_most_letters_are_plain() -> None:
    """Their octets in capitals are what is searched."""
    octets = b"Subject: a\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nbody\r\n"
    scanner = Scanner()
    scanner.feed(octets)
    seen = scanner.finish()
    assert plain.header_in_capitals(octets[: seen.header]) == octets[: seen.header].upper()
    assert plain.content_in_capitals(octets, seen.parts) == octets.upper()
    assert plain.needle("TWO: LONGER") == b"LONGER"
    assert plain.needle(" : ") is None
