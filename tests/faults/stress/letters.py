"""Letters that name themselves.

The rule: the name stands in a header of its own, and nothing else of a letter says who it is.
"""

import random

from tests.faults.stress.ledger import MARK

_LINES = (
    "a line of plain words",
    "eine Zeile mit Umlauten: äöüß",
    ".leading dot",
    "From here on",
    "",
    "x" * 200,
    "=3D looks encoded",
)


def letter(name: str, chance: random.Random) -> bytes:
    """A letter with this name; most are small, one in fifty is larger than what is kept inline."""
    head = [
        f"{MARK.decode()}{name}",
        f'From: "Stress, Client" <client{chance.randrange(50)}@faults.test>',
        f"To: shared@faults.test, other{chance.randrange(9)}@faults.test",
        f"Subject: letter {name} =?utf-8?q?=C3=A4?=",
        f"Message-ID: <{name.replace('/', '.').replace('@', '.')}@stress>",
        "Date: Tue, 1 Jul 2025 10:00:00 +0200",
        "MIME-Version: 1.0",
    ]
    lines = [chance.choice(_LINES) for _ in range(chance.choice((1, 3, 10, 40)))]
    if chance.random() < 0.02:
        lines += ["0123456789" * 7] * 4500
    if chance.random() < 0.3:
        boundary = f"part{chance.randrange(10**9)}"
        head.append(f'Content-Type: multipart/mixed; boundary="{boundary}"')
        part = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        text = "\r\n".join(lines)
        body = f"--{boundary}\r\n{part}{text}\r\n--{boundary}\r\n{part}second\r\n--{boundary}--\r\n"
    else:
        head.append("Content-Type: text/plain; charset=utf-8")
        body = "\r\n".join(lines) + "\r\n"
    return ("\r\n".join(head) + "\r\n\r\n" + body).encode()
