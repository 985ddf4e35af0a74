"""The Content-* fields of a part, read as kindly as is safe. RFC 2045 §5, RFC 2183, RFC 2231.

The rule: every value is scanned by possessive patterns from left to right; nothing here can go back over what it has
read, and what one part may hold (parameters, octets of a value) is capped.
"""

import re
from dataclasses import dataclass
from typing import Final

PARAMETERS_LIMIT: Final = 100
VALUE_LIMIT: Final = 4096

Parameters = list[tuple[bytes, bytes]]

_TYPE = re.compile(rb"[ \t]*+([^][()<>@,;:\\\"/?= \t]++)[ \t]*+/[ \t]*+([^][()<>@,;:\\\"/?= \t]++)[ \t]*+")
_TOKEN = re.compile(rb"[^][()<>@,;:\\\"/?= \t]++")
_BETWEEN = re.compile(rb"[ \t;]*+")
_PARAMETER = re.compile(rb"([^ \t;=\"()]++)[ \t]*+=[ \t]*+(?:\"((?:[^\"\\]++|\\.?)*+)\"?|([^ \t;\"()]++))")
_NEXT = re.compile(rb"(?:[^;\"]++|\"(?:[^\"\\]++|\\.)*+\"?)*+;?")
_COMMENT = re.compile(rb"[()]|\\.|\"(?:[^\"\\]++|\\.)*+\"?")
_ESCAPE = re.compile(rb"\\(.)")
_SECTION = re.compile(rb"([^*]++)\*([0-9]{1,4})(\*?)")
_UNSAFE = re.compile(rb"[^A-Za-z0-9!#$&+.^_`{|}~-]")


@dataclass(frozen=True, slots=True)
class ContentType:
    """type and subtype as they were written, and the parameters in their order; names keep their case."""

    type: bytes
    subtype: bytes
    parameters: Parameters

    @property
    def media(self) -> bytes:
        """type/subtype in lower case."""
        return b"%b/%b" % (self.type.lower(), self.subtype.lower())

    def parameter(self, name: bytes) -> bytes | None:
        """The first parameter of that name (in lower case)."""
        return next((value for key, value in self.parameters if key.lower() == name), None)


TEXT_PLAIN: Final = ContentType(b"text", b"plain", [])


def content_type(value: bytes) -> ContentType:
    """The type in an unfolded field value; what is no type counts as text/plain. RFC 2045 §5.2."""
    value = without_comments(value)
    found = _TYPE.match(value)
    if not found or value.startswith(b"/", found.end()):
        return TEXT_PLAIN
    return ContentType(found[1][:VALUE_LIMIT], found[2][:VALUE_LIMIT], parameters(value, found.end()))


def disposition(value: bytes) -> tuple[bytes, Parameters] | None:
    """The disposition in an unfolded field value, or None where it names none. RFC 2183 §2."""
    value = without_comments(value)
    found = _TOKEN.match(value)
    if found:
        return found[0][:VALUE_LIMIT], parameters(value, found.end())
    given = parameters(value, 0)
    return (b"attachment", given) if given else None


def token(value: bytes) -> bytes | None:
    """The word that an unfolded field value is, such as a transfer encoding's name; None for others. RFC 2045 §6.1."""
    found = _TOKEN.fullmatch(without_comments(value).strip())
    return found[0][:VALUE_LIMIT] if found else None


def languages(value: bytes) -> list[bytes]:
    """The language tags of Content-Language. RFC 3282 §2."""
    listed = (tag.strip()[:VALUE_LIMIT] for tag in without_comments(value).split(b",", PARAMETERS_LIMIT))
    return [tag for tag in listed if tag][:PARAMETERS_LIMIT]


def parameters(value: bytes, position: int) -> Parameters:
    """The parameters from `position` on; sections of one value are put together. RFC 2231 §3."""
    found: Parameters = []
    has_sections = False
    while position < len(value) and len(found) < PARAMETERS_LIMIT:
        if between := _BETWEEN.match(value, position):
            position = between.end()
        match = _PARAMETER.match(value, position)
        if match:
            name, quoted, plain = match.groups()
            text = plain if quoted is None else quoted
            if quoted is not None and b"\\" in quoted:
                text = _ESCAPE.sub(rb"\1", quoted)
            found.append((name[:VALUE_LIMIT], text[:VALUE_LIMIT]))
            has_sections = has_sections or b"*" in name
            position = match.end()
        skipped = _NEXT.match(value, position)
        position = skipped.end() if skipped and skipped.end() > position else position + 1
    return _joined(found) if has_sections else found


def without_comments(value: bytes) -> bytes:
    """The value with each comment, nested or not, replaced by a space. RFC 5322 §3.2.2."""
    if b"(" not in value:
        return value
    kept: list[bytes] = []
    depth = start = 0
    for found in _COMMENT.finditer(value):
        mark = found[0]
        if mark == b"(":
            if depth == 0:
                kept.append(value[start : found.start()])
            depth += 1
        elif mark == b")" and depth:
            depth -= 1
            if depth == 0:
                start = found.end()
    if depth == 0:
        kept.append(value[start:])
    return b" ".join(kept)


def _joined(given: Parameters) -> Parameters:
    """Joins name*0, name*1, ... to name, and to name* where a section is encoded; a set with gaps stays as it is."""
    plain: Parameters = []
    sections: dict[bytes, dict[int, tuple[bytes, bytes, bytes]]] = {}
    for name, value in given:
        match = _SECTION.fullmatch(name)
        if match:
            sections.setdefault(match[1].lower(), {})[int(match[2])] = (name, match[3], value)
        else:
            plain.append((name, value))
    for numbered in sections.values():
        if set(numbered) != set(range(len(numbered))):
            plain.extend((name, value) for name, _, value in numbered.values())
            continue
        ordered = [numbered[number] for number in range(len(numbered))]
        name = ordered[0][0].partition(b"*")[0]
        if not any(mark for _, mark, _ in ordered):
            plain.append((name, b"".join(value for _, _, value in ordered)[:VALUE_LIMIT]))
            continue
        parts = [value if mark else _UNSAFE.sub(_percent, value) for _, mark, value in ordered]
        plain.append((name + b"*", b"".join(parts)[:VALUE_LIMIT]))
    return plain


def _percent(found: re.Match[bytes]) -> bytes:
    return b"%%%02X" % found[0][0]
