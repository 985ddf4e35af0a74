"""Commands as a client means them: words and literals, and how they are said.

The rule: a client sends a synchronizing literal's octets only after the `+`, as RFC 9051 §4.3 asks; whoever answers a
command before it is whole hears no more of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st


@dataclass(frozen=True)
class Literal:
    """Octets of any kind; `waits`: synchronizing."""

    octets: bytes
    waits: bool

    @property
    def mark(self) -> bytes:
        return b"{%d}" % len(self.octets) if self.waits else b"{%d+}" % len(self.octets)


@dataclass(frozen=True)
class Spoken:
    """A tag, and what follows it, piece by piece."""

    tag: bytes
    pieces: Sequence[bytes | Literal]

    @property
    def octets(self) -> bytes:
        """The whole command as framing gives it, without its last line end."""
        return b"".join(
            piece if isinstance(piece, bytes) else piece.mark + b"\r\n" + piece.octets
            for piece in self.pieces
        )

    @property
    def waits(self) -> int:
        """How often the client waits for `+`."""
        return sum(1 for piece in self.pieces if isinstance(piece, Literal) and piece.waits)

    def parts(self) -> list[bytes]:
        """What is sent in one go each; between two of them the client waits for `+`."""
        parts = [b""]
        for piece in self.pieces:
            if isinstance(piece, bytes):
                parts[-1] += piece
            elif piece.waits:
                parts[-1] += piece.mark + b"\r\n"
                parts.append(piece.octets)
            else:
                parts[-1] += piece.mark + b"\r\n" + piece.octets
        parts[-1] += b"\r\n"
        return parts


def literals(largest: int) -> st.SearchStrategy[Literal]:
    """Some hold what looks like commands and literals."""
    octets = st.one_of(
        st.binary(max_size=largest),
        st.sampled_from([b"", b"\r\n", b"{3}", b"x {9+}\r\n", b"a1 NOOP\r\n", b"\n", b"\r"]),
        st.integers(0, largest).map(lambda size: b"x" * size),
    )
    return st.builds(Literal, octets, st.booleans())


def words(longest: int) -> st.SearchStrategy[bytes]:
    """Text without line ends; a `{` in it is no mark, since something follows."""
    text = st.text('ab1 (){}+~*"\\%[]', max_size=longest).map(lambda text: text.encode() + b".")
    return st.one_of(text, st.integers(0, longest).map(lambda size: b"y" * size))


def spoken(
    pieces: st.SearchStrategy[bytes | Literal], verbs: Sequence[bytes]
) -> Callable[[int], st.SearchStrategy[Spoken]]:
    """Commands with such pieces, by number: the tag tells which."""

    def command(number: int) -> st.SearchStrategy[Spoken]:
        tag = b"t%d" % number
        return st.builds(
            lambda verb, rest: Spoken(tag, [tag + b" " + verb + b" ", *rest]),
            st.sampled_from(verbs),
            st.lists(pieces, max_size=5),
        )

    return command


def conversations(
    command: Callable[[int], st.SearchStrategy[Spoken]], most: int
) -> st.SearchStrategy[list[Spoken]]:
    """Several commands, one after another."""
    return st.integers(1, most).flatmap(lambda count: st.tuples(*map(command, range(count)))).map(list)
