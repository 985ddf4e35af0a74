"""Letters to send: alike in size and shape, no two the same. The rule: the same number gives the same octets."""

import random
import textwrap
from typing import Final

WORDS: Final = (
    "counter",
    "letter",
    "parcel",
    "stamp",
    "window",
    "clerk",
    "morning",
    "ledger",
    "receipt",
    "address",
    "bundle",
    "route",
    "carrier",
    "station",
    "evening",
    "ticket",
    "folder",
    "margin",
    "column",
    "figure",
    "drawer",
    "bench",
    "ribbon",
    "envelope",
    "postcard",
    "signature",
)


def letter(number: int, size: int = 4096) -> bytes:
    """A multipart/alternative letter of exactly `size` octets (at least 1,500), CRLF, 7bit."""
    chance = random.Random(number)
    subject = " ".join(chance.choices(WORDS, k=5))
    sender = f"{chance.choice(WORDS)}.{chance.choice(WORDS)}@sender.test"
    boundary = f"=_{number:08x}"
    top = [
        f"Received: from mx{number % 7}.sender.test (mx{number % 7}.sender.test [192.0.2.{number % 250}])",
        f"\tby relay.sender.test with ESMTPS id {number:012d};",
        "\tMon, 2 Nov 2026 10:00:00 +0000",
        f"Message-ID: <{number:012d}@sender.test>",
        f"Date: Mon, 2 Nov 2026 10:{number // 60 % 60:02d}:{number % 60:02d} +0000",
        f'From: "{chance.choice(WORDS).title()} {chance.choice(WORDS).title()}" <{sender}>',
        f"To: Someone <reader{number % 50}@example.test>, other@example.test",
        f"Subject: {subject} {number}",
        "MIME-Version: 1.0",
        "X-Mailer: bench",
        f'Content-Type: multipart/alternative; boundary="{boundary}"',
        "",
        "",
    ]
    plain = [
        f"--{boundary}",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 7bit",
        "",
    ]
    html = [
        "",
        f"--{boundary}",
        "Content-Type: text/html; charset=utf-8",
        "Content-Transfer-Encoding: 7bit",
        "",
    ]
    end = ["", f"--{boundary}--", ""]
    frame = sum(len(line) + 2 for part in (top, plain, html, end) for line in part) - 2
    room = max(size - frame - 8, 16)
    text = _lines(chance, room // 2)
    markup = _lines(chance, room - len(text))
    octets = "\r\n".join([*top, *plain]).encode() + b"\r\n" + text
    octets += "\r\n".join(html).encode() + b"\r\n" + markup + "\r\n".join(end).encode()
    missing = size - len(octets)
    return octets + b"x" * max(missing - 2, 0) + (b"\r\n" if missing >= 2 else b"")


def _lines(chance: random.Random, octets: int) -> bytes:
    words = " ".join(chance.choices(WORDS, k=octets // 6 + 8))
    return "\r\n".join(textwrap.wrap(words, 72)).encode()[: max(octets - 2, 1)].rstrip(b"\r\n") + b"\r\n"
