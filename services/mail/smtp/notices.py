"""What the sender of a letter wants to be told of it: the parameters of RFC 3461 §4 in MAIL and RCPT.

The rule: they are kept as they would be sent on, words in capitals and values as they came; what the grammar does not
admit is no value at all.
"""

import re
from collections.abc import Mapping
from typing import Final

# RFC 3461 §4: printable ASCII without + and =, which are written as + and two capital hexadecimal digits. What these
# stand for is printable too, or white space (§4.2, §4.4): it will be a field of a report, and must not begin another.
_XTEXT: Final = r"(?:[!-*,-<>-~]|\+(?:09|[2-6][0-9A-F]|7[0-9A-E]))"
_ENVID = re.compile(rf"(?=.{{1,100}}\Z){_XTEXT}+")
_ORCPT = re.compile(rf"(?=.{{1,500}}\Z)[!-*,-:<>-~]+;{_XTEXT}+")
_KINDS: Final = ("SUCCESS", "FAILURE", "DELAY")


def _ret(value: str) -> str | None:
    """RFC 3461 §4.3."""
    word = value.upper()
    return word if word in {"FULL", "HDRS"} else None


def _envid(value: str) -> str | None:
    """RFC 3461 §4.4."""
    return value if _ENVID.fullmatch(value) else None


def _notify(value: str) -> str | None:
    """RFC 3461 §4.1: NEVER alone, or each of the others once."""
    words = value.upper().split(",")
    if words == ["NEVER"]:
        return "NEVER"
    is_list = len(set(words)) == len(words) and set(words) <= set(_KINDS)
    return ",".join(kind for kind in _KINDS if kind in words) if is_list else None


def _orcpt(value: str) -> str | None:
    """RFC 3461 §4.2."""
    return value if _ORCPT.fullmatch(value) else None


OF_MAIL: Final = {"RET": _ret, "ENVID": _envid}
OF_RCPT: Final = {"NOTIFY": _notify, "ORCPT": _orcpt}


def rendered(wanted: Mapping[str, str]) -> str:
    """The parameters of one command, in the order of their names' rows above."""
    return " ".join(f"{name}={wanted[name]}" for name in (*OF_MAIL, *OF_RCPT) if name in wanted)
