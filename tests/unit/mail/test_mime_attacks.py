"""Messages made to be expensive: the cost grows with the octets, and the answer is bounded."""

import time
from collections.abc import Callable

import pytest

from services.mail.mime import Scanner, body_of, scan
from services.mail.mime.envelope import ENVELOPE_LIMIT
from services.mail.mime.scanner import DEPTH_LIMIT, PARTS_LIMIT, STRUCTURE_LIMIT
from tests.unit.mail.structures import feed, parts_of


def multipart(depth: int, name: Callable[[int], bytes]) -> bytes:
    return b"".join(
        b"Content-Type: multipart/mixed; boundary=%b\r\n\r\n--%b\r\n" % (name(number), name(number))
        for number in range(depth)
    )


ATTACKS = {
    "boundaries that are none": multipart(1, lambda _: b"abc") + b"\r\n--ab" * 200_000,
    "dashes only": multipart(1, lambda _: b"abc") + b"\n--" * 300_000,
    "boundaries that begin alike": multipart(99, lambda n: b"a" * (n + 1))
    + (b"\r\n--" + b"a" * 60 + b"!") * 15_000,
    "long boundaries that begin alike": multipart(90, lambda n: b"b" * 1900 + b"%d" % n)
    + (b"\n--" + b"b" * 1950) * 500,
    "short lines under many boundaries": multipart(99, lambda n: b"%d" % n) + b"\n--x" * 100_000,
    "parts without end": multipart(1, lambda _: b"x") + b"\r\n--x" * 200_000,
    "headers without end": multipart(1, lambda _: b"x") + b"A: b\r\n--y\r\n" * 100_000,
    "nested without end": multipart(5000, lambda n: b"n%d" % n),
    "messages in messages": b"Content-Type: message/rfc822\r\n\r\n" * 20_000,
    "100,000 fields": b"Subject: x\r\n" * 100_000 + b"\r\n",
    "100,000 folded lines": b"To: a@b\r\n" + b" ,c@d\r\n" * 100_000 + b"\r\n",
    "one line": b"Subject: " + b"x" * 3_000_000,
    "a long line in a part": multipart(1, lambda _: b"x") + b"\r\n\r\n" + b"--" + b"y" * 3_000_000,
    "a long boundary line": multipart(1, lambda _: b"x") + b"\r\n--x" + b"y" * 3_000_000,
    "parentheses": b"To: " + b"(" * 1_000_000 + b"\r\n\r\n",
    "parentheses in a type": b"Content-Type: " + b"(" * 500_000 + b")" * 500_000 + b"a/b\r\n\r\n",
    "addresses": b"To: " + b"a@b, " * 200_000 + b"\r\n\r\n",
    "groups": b"To: " + b"g:a@b;" * 100_000 + b"\r\n\r\n",
    "quotes": b"To: " + b'"' * 300_001 + b"\r\n\r\n",
    "escapes": b'To: "' + b"\\" * 500_001 + b"\r\n\r\n",
    "parameters": b"Content-Type: a/b" + b"; c=d" * 100_000 + b"\r\n\r\n",
    "sections": b"Content-Type: a/b" + b"".join(b"; c*%d=d" % n for n in range(50_000)) + b"\r\n\r\n",
    "semicolons": b"Content-Type: a/b" + b";" * 200_000 + b"\r\n\r\n",
    "equal signs": b"Content-Type: a/b" + b"; a" * 200_000 + b"=" * 200_000 + b"\r\n\r\n",
    "languages": b"Content-Language: " + b"a," * 500_000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("attack", list(ATTACKS))
def test_an_attack_costs_octets_in_proportion_and_a_bounded_answer(attack: str) -> None:
    """RFC 2046 sets no bounds: parts, depth, boundary and header are bounded here."""
    message = ATTACKS[attack]
    whole, scanner = feed(message, [])
    assert scanner.visited <= 16 * len(message)
    assert len(whole.envelope) <= ENVELOPE_LIMIT
    assert len(whole.structure) <= STRUCTURE_LIMIT
    assert body_of(whole.structure).count(b"(") == body_of(whole.structure).count(b")")
    assert sum(1 for _ in parts_of(whole).walk()) <= PARTS_LIMIT
    cut, cutting = feed(message, [10_007] * (len(message) // 10_007))
    assert cut == whole
    assert cutting.visited <= 20 * len(message)


@pytest.mark.parametrize("between", [b";", b"; ", b"a;", b'";"', b"a=;"])
def test_parameters_cost_what_their_octets_cost(between: bytes) -> None:
    """Attacks 20: were it their square, this would take a minute."""
    message = b"Content-Type: a/b" + between * (250_000 // len(between)) + b"\r\n\r\n"
    began = time.process_time()
    scan(message)
    assert time.process_time() - began < 2


@pytest.mark.parametrize("unit", [b"(a)b", b" (a)", b'" "@', b"<a", b"a:b"])
def test_addresses_cost_what_their_octets_cost(unit: bytes) -> None:
    """Attacks 20, with comments between words."""
    message = b"To: " + unit * (250_000 // len(unit)) + b"\r\n\r\n"
    began = time.process_time()
    scan(message)
    assert time.process_time() - began < 2


def test_parts_beyond_the_limit_belong_to_the_last_one() -> None:
    """RFC 2046 §5.1: the part at hand takes the rest."""
    message = multipart(1, lambda _: b"x") + b"\r\n\r\ny\r\n--x" * (PARTS_LIMIT + 500)
    root = parts_of(scan(message)).root
    assert len(root.children) == PARTS_LIMIT - 1
    assert root.children[-1].end == len(message)


def test_the_largest_part_of_all_fits_into_the_slack() -> None:
    """RFC 9051 §7.5.2: the answer is bounded even if every field of the last part is as long as can be."""
    long = b'"' + b'\\"' * 5000 + b'"'
    header = (
        b"Content-Type: message/rfc822" + (b"; x=" + long) * 200 + b"\r\n"
        b"Content-Disposition: attachment" + (b"; x=" + long) * 200 + b"\r\n"
        b"Content-Language: " + b"en," * 9000 + b"\r\n"
    )[: 250 * 1024]
    texts = b"".join(
        b"Content-%b: %b\r\n" % (name, b'"' * 9000) for name in (b"ID", b"Description", b"Location", b"MD5")
    )
    inner = b"Subject: " + b'"' * 20_000 + b"\r\n" + b"To: " + b'"\\"" <a@b>, ' * 20_000 + b"\r\n"
    part = b"--x\r\n" + texts + header + b"\r\n\r\n" + texts + inner + b"\r\n\r\n"
    structure = scan(multipart(1, lambda _: b"x") + b"\r\n\r\n" + part * 30)
    assert 512 * 1024 < len(structure.structure) <= STRUCTURE_LIMIT


def test_depth_beyond_the_limit_is_opaque() -> None:
    """RFC 2046 §5.1.2: nesting is bounded here."""
    part, depth = parts_of(scan(multipart(150, lambda n: b"n%d" % n))).root, 1
    while part.children:
        part, depth = part.children[0], depth + 1
    assert depth == DEPTH_LIMIT
    assert part.media_type == b"application/octet-stream"


@pytest.mark.parametrize(("size", "media"), [(2048, b"multipart/mixed"), (2049, b"application/octet-stream")])
def test_a_boundary_over_2048_octets_makes_no_multipart(size: int, media: bytes) -> None:
    """RFC 2046 §5.1.1 has 70; real ones are longer."""
    assert parts_of(scan(multipart(1, lambda _: b"x" * size))).root.media_type == media


def test_a_header_of_10_mb_keeps_only_its_beginning() -> None:
    """RFC 5322 sets no bound; the octets still belong to the header."""
    message = b"Subject: first\r\n" + b"X-Padding: 0123456789\r\n" * 450_000 + b"Date: late\r\n\r\nbody"
    scanner = Scanner()
    most = 0
    for position in range(0, len(message), 65536):
        scanner.feed(message[position : position + 65536])
        most = max(most, len(scanner._rest))
    structure = scanner.finish()
    assert most <= 512 * 1024
    assert structure.envelope.startswith(b'(NIL "first" ')
    assert parts_of(structure).range((), "TEXT") == (len(message) - 4, len(message))
    assert structure == scan(message)


def test_what_waits_between_chunks_of_a_body_is_short() -> None:
    """A body of 50 MB passes through in chunks."""
    scanner = Scanner()
    scanner.feed(multipart(1, lambda _: b"x") + b"\r\n\r\n")
    for _ in range(800):
        scanner.feed(b"0123456789abcde\n" * 4096)
        assert len(scanner._rest) < 16
    assert scanner.finish().size > 50_000_000
