"""What a client must never see.

The rule: a violation names its rule and carries enough to be understood without running anything again.
"""

from collections.abc import Sequence


class Violation(Exception):
    """A reply that breaks a rule. rule: a short name; detail: what was seen; wire: the client's last lines."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule = rule
        self.detail = detail
        self.who = ""
        self.wire: Sequence[str] = ()

    def told(self) -> str:
        """All of it, for people."""
        return "\n".join(
            [f"{self.who} {self.rule}: {self.detail}".strip(), *(f"    {line}" for line in self.wire)]
        )


def expect(holds: object, rule: str, detail: str) -> None:
    """Raises Violation where something does not hold."""
    if not holds:
        raise Violation(rule, detail)
