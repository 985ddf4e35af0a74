"""What an SMTP server says: reply codes, enhanced status codes and words. RFC 5321 §4.2, RFC 2034, RFC 3463.

The rule: no octet of the peer is ever repeated in a reply, so that nobody can put words into it. Refusals of the store
are worded by `services.mail.errors`; only the words of the protocol itself stand here.
"""

from collections.abc import Iterable
from typing import Final

from services.mail.errors import BUG, MailError, wording


class Reply:
    """One complete reply. `octets` is what goes to the wire; `code` is what the state machine looks at."""

    __slots__ = ("code", "octets")

    def __init__(self, code: int, enhanced: str, *lines: str) -> None:
        """enhanced: such as 2.1.0, or "" for the replies that have none (RFC 2034 §4). lines: ASCII, at least one."""
        self.code: Final = code
        prefix = f"{enhanced} " if enhanced else ""
        last = len(lines) - 1
        self.octets: Final = b"".join(
            f"{code}{' ' if at == last else '-'}{prefix}{line}\r\n".encode("ascii", "replace")
            for at, line in enumerate(lines)
        )

    @property
    def is_positive(self) -> bool:
        """Whether the command was taken: 2xx, or 354."""
        return self.code < 400

    @property
    def is_permanent(self) -> bool:
        """Whether the peer is at fault, as the door's count of errors has it: 5xx."""
        return self.code >= 500

    def __repr__(self) -> str:
        return f"Reply({self.octets!r})"


def refusal(error: BaseException) -> Reply:
    """The reply for a refusal, by the table of refusals; neutral and temporary for whatever is not one."""
    row = wording(error)
    code, enhanced = row.smtp or BUG.smtp or (451, "4.3.0")
    text = error.text if isinstance(error, MailError) and row.smtp else row.text
    return Reply(code, enhanced, " ".join(text.split()))


def greeting(hostname: str) -> Reply:
    """The first line of a connection. RFC 5321 §4.3.1."""
    return Reply(220, "", f"{hostname} ESMTP Restante")


def lmtp_greeting(hostname: str) -> Reply:
    """The same of LMTP. RFC 2033 §4.1."""
    return Reply(220, "", f"{hostname} LMTP Restante")


def hello(hostname: str, keywords: Iterable[str] = ()) -> Reply:
    """The answer to EHLO, a keyword a line, or to HELO, with none. RFC 5321 §4.1.1.1."""
    return Reply(250, "", hostname, *keywords)


def accepted(letter_id: str) -> Reply:
    """The letter is committed, and this server answers for it from now on. RFC 5321 §4.2.5."""
    return Reply(250, "2.0.0", f"Stored as {letter_id}")


def chunk_taken(size: int) -> Reply:
    """A chunk that is not the last is here. RFC 3030 §4.2."""
    return Reply(250, "2.0.0", f"{size} octets taken")


SENDER_OK: Final = Reply(250, "2.1.0", "Sender ok")
RECIPIENT_OK: Final = Reply(250, "2.1.5", "Recipient ok")
RESET: Final = Reply(250, "2.0.0", "Reset")
NOTHING_DONE: Final = Reply(250, "2.0.0", "Ok")
CANNOT_VERIFY: Final = Reply(252, "2.5.0", "Cannot verify here; RCPT answers for a recipient")
HELP: Final = Reply(
    214, "2.0.0", "EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP STARTTLS QUIT", "See RFC 5321"
)
BYE: Final = Reply(221, "2.0.0", "Bye")
READY_FOR_TLS: Final = Reply(220, "2.0.0", "Ready to start TLS")
SEND_DATA: Final = Reply(354, "", "End data with <CR><LF>.<CR><LF>")

LINE_TOO_LONG: Final = Reply(500, "5.5.2", "Line too long")
BARE_NEWLINE: Final = Reply(500, "5.5.2", "Lines end in CR LF, and hold neither of them alone")
BAD_ENCODING: Final = Reply(501, "5.5.2", "Neither ASCII nor UTF-8")
UNKNOWN_COMMAND: Final = Reply(500, "5.5.1", "Unknown command")
NOT_IMPLEMENTED: Final = Reply(502, "5.5.1", "Not implemented")
NO_ARGUMENTS: Final = Reply(501, "5.5.4", "No argument is allowed here")
NEEDS_ARGUMENT: Final = Reply(501, "5.5.4", "An argument is missing")
BAD_HOSTNAME: Final = Reply(501, "5.5.4", "Not a host name or address literal")
BAD_MAIL: Final = Reply(501, "5.5.4", "Syntax: MAIL FROM:<address> [parameters]")
BAD_RCPT: Final = Reply(501, "5.5.4", "Syntax: RCPT TO:<address> [parameters]")
BAD_BDAT: Final = Reply(501, "5.5.4", "Syntax: BDAT octets [LAST]")
BAD_PARAMETER: Final = Reply(501, "5.5.4", "Malformed or repeated parameter")
UNKNOWN_PARAMETER: Final = Reply(555, "5.5.4", "Unknown parameter")
BAD_SENDER: Final = Reply(501, "5.1.7", "Not a valid sender address")
BAD_RECIPIENT: Final = Reply(501, "5.1.3", "Not a valid recipient address")
NEEDS_SMTPUTF8: Final = Reply(553, "5.6.7", "An address outside ASCII needs SMTPUTF8")

SAY_HELLO: Final = Reply(503, "5.5.1", "EHLO first")
SAY_LHLO: Final = Reply(500, "5.5.1", "This is LMTP: LHLO")
SAY_MAIL: Final = Reply(503, "5.5.1", "MAIL first")
CHUNKS_BEGUN: Final = Reply(503, "5.5.1", "BDAT has begun: more of it, or RSET")
MAIL_ALREADY: Final = Reply(503, "5.5.1", "MAIL was given already")
NO_RECIPIENT_TAKEN: Final = Reply(503, "5.5.1", "No valid recipients")
NO_RECIPIENTS: Final = Reply(554, "5.5.1", "No valid recipients")
TLS_ALREADY: Final = Reply(503, "5.5.1", "TLS is active already")

NOT_TRUSTED: Final = Reply(554, "5.7.1", "LMTP is for trusted networks")
TOO_SOON: Final = Reply(554, "5.5.0", "You spoke before it was your turn")
NOT_SMTP: Final = Reply(554, "5.5.0", "This is SMTP")
TOO_MANY_ERRORS: Final = Reply(421, "4.7.0", "Too many errors")
TOO_MANY_CONNECTIONS: Final = Reply(421, "4.7.0", "Too many connections")
TIMED_OUT: Final = Reply(421, "4.4.2", "Timed out")
SHUTTING_DOWN: Final = Reply(421, "4.3.2", "Shutting down, try again")
