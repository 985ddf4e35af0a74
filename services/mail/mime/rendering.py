"""How IMAP writes strings, and BODY out of BODYSTRUCTURE. RFC 9051 §4.3, §9.

The rule: what is rendered here can be sent as it is: quoted where IMAP4rev1 can quote, a literal otherwise, and never
a NUL.
"""

import re
from typing import Final

from services.mail.errors import ProtocolError

NIL: Final = b"NIL"

_PLAIN = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-!#-\[\]-\x7f]*+")
_QUOTABLE = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x7f]*+")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}".encode()


def string(value: bytes) -> bytes:
    """A quoted string, or a literal for what RFC 3501 cannot quote: CR, LF and octets above 127."""
    if _PLAIN.fullmatch(value):
        return b'"%b"' % value
    if _QUOTABLE.fullmatch(value):
        return b'"%b"' % value.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    if b"\0" in value:
        value = value.replace(b"\0", _REPLACEMENT)
    return b"{%d}\r\n%b" % (len(value), value)


def nstring(value: bytes | None) -> bytes:
    """A string, or NIL for what is absent; an empty value is an empty string. RFC 9051 §7.5.2."""
    return NIL if value is None else string(value)


_TOKEN = re.compile(
    rb"""[ ]?(?:(?P<open>\()|(?P<close>\))|"[^"\\]*+(?:\\.[^"\\]*+)*+"|\{(?P<literal>[0-9]++)\}\r\n|[^ ()"{]++)""",
    re.DOTALL,
)
# How many elements of a body are in its basic form: type, subtype, parameters, id, description, encoding, octets.
_LEAF, _TEXT, _MESSAGE = 7, 8, 10


class _List:
    """A parenthesised list that is being read: which of its elements go on, and whether they are bodies."""

    __slots__ = ("count", "is_body", "is_complete", "is_kept", "is_multipart", "limit", "media")

    def __init__(self, *, is_kept: bool, is_body: bool) -> None:
        self.is_kept, self.is_body = is_kept, is_body
        self.count, self.limit = 0, _LEAF
        self.is_multipart = self.is_complete = False
        self.media = b""

    def admit(self, token: bytes, *, is_list: bool) -> tuple[bool, bool]:
        """Takes the next element; tells whether it is kept, and whether it is a body itself."""
        index, self.count = self.count, self.count + 1
        if not self.is_body:
            return self.is_kept, False
        if self.is_multipart:
            if self.is_complete:
                return False, False
            self.is_complete = not is_list  # the subtype is the last of the basic form
            return True, is_list
        if index == 0:
            self.is_multipart, self.media = is_list, token.strip(b' "').lower()
            return True, is_list
        if index == 1 and self.media == b"text":
            self.limit = _TEXT
        elif index == 1 and (self.media, token.strip(b' "').lower()) == (b"message", b"rfc822"):
            self.limit = _MESSAGE
        return index < self.limit, is_list and index == _TEXT


def body_of(structure: bytes) -> bytes:
    """BODY, the form without extension data, cut out of a rendered BODYSTRUCTURE. RFC 9051 §7.5.2.

    Raises ProtocolError where `structure` is not one.
    """
    kept: list[bytes] = []
    stack = [_List(is_kept=True, is_body=False)]
    position, size = 0, len(structure)
    while position < size:
        found = _TOKEN.match(structure, position)
        if found is None or (len(stack) == 1 and (kept or not found["open"])):
            raise ProtocolError("malformed body structure")
        start, position = found.span()
        if found["close"]:
            if stack.pop().is_kept:
                kept.append(b")")
            continue
        if found["literal"]:
            position += int(found["literal"])
        token = structure[start:position]
        is_list = found["open"] is not None
        is_kept, is_body = stack[-1].admit(token, is_list=is_list) if len(stack) > 1 else (True, is_list)
        is_kept = is_kept and stack[-1].is_kept
        if is_kept:
            kept.append(token)
        if is_list:
            stack.append(_List(is_kept=is_kept, is_body=is_body and is_kept))
    if len(stack) != 1 or not kept or position != size:
        raise ProtocolError("malformed body structure")
    return b"".join(kept)
