"""The languages that replies are worded in: English alone. RFC 6856 §3.

The rule: `i-default` is always among them, so that a client can take back what it chose. RFC 2277 §4.5.
"""

from typing import Final

NAMES: Final = {"en": "English", "i-default": "Default language"}


def lookup(language_range: str) -> str | None:
    """The language for a basic range: the longest one that it begins with, subtag by subtag. RFC 4647 §3.4."""
    wanted = language_range.lower()
    if wanted == "*":
        return "i-default"
    while wanted and wanted not in NAMES:
        wanted = wanted.rpartition("-")[0]
    return wanted or None
