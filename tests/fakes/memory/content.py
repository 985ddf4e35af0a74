"""A letter's octets, and what the scanner sees in them: asked only when somebody wants to know.

The rule: it is the scanner that storage uses; a head in front of the octets only moves what was seen.
"""

from functools import cached_property

from services.mail.mime import Structure, scan


class Content:
    """What all copies of a letter share."""

    def __init__(self, octets: bytes) -> None:
        self.octets = octets

    @cached_property
    def seen(self) -> Structure:
        """ENVELOPE, BODYSTRUCTURE and the part map."""
        return scan(self.octets)
