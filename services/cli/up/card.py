"""What is printed once everything runs: where it is, the first account's login, and commands to try it with.

The rule: each command works as it is printed, pasted into any shell, on one line however narrow the window is.
"""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from services.cli.up.home import FirstAccount

LETTER = "From: you@example.com\\nTo: {to}\\nSubject: Hello\\n\\nIt works.\\n"


def address_lines(services: Mapping[str, Mapping[str, Any]], home: Path) -> list[tuple[str, str]]:
    """What listens where, as label and text."""
    port = {name: each["ports"] for name, each in services.items()}
    storages = sorted(
        (name for name in services if name.startswith("storage")), key=lambda name: services[name]["pid"]
    )
    lines = [
        ("SMTP", f"127.0.0.1:{port['smtp'].get('port')}  STARTTLS"),
        ("LMTP", f"127.0.0.1:{port['smtp'].get('lmtp_port')}  STARTTLS, for a mail server in front"),
        ("IMAP", f"127.0.0.1:{port['imap'].get('port')}  STARTTLS, {port['imap'].get('tls_port')} TLS"),
        ("POP3", f"127.0.0.1:{port['pop3'].get('port')}  STLS, {port['pop3'].get('tls_port')} TLS"),
        ("gRPC", ", ".join(f"127.0.0.1:{port[name].get('port')}" for name in storages)),
    ]
    if "postgres" in services:
        lines.append(
            (
                "PostgreSQL",
                f"127.0.0.1:{port['postgres'].get('port')}  URL in {home / 'keys' / 'database-url'}",
            )
        )
    lines.append(("admin", ", ".join(f"{name} {each['admin_port']}" for name, each in services.items())))
    return lines


def send_command(smtp_port: int, account: FirstAccount) -> str:
    """A command that sends a letter to the first account."""
    letter = shlex.quote(LETTER.format(to=account.address))
    to = shlex.quote(account.address)
    url = f"smtp://127.0.0.1:{smtp_port}"
    return f"printf {letter} | curl -sS --crlf {url} --mail-from you@example.com --mail-rcpt {to} -T -"


def add_command(account: FirstAccount) -> str:
    """A command that makes another account; it asks for the password."""
    restante = shlex.quote(str(Path(sys.executable).with_name("restante")))
    return f"{restante} account add you@{account.address.rpartition('@')[2]}"


def read_command(imaps_port: int, account: FirstAccount, certificate: Path) -> str:
    """A command that prints the newest letter of the first account."""
    login = shlex.quote(f"{account.address}:{account.password}")
    cacert = shlex.quote(str(certificate))
    return f"curl -sS --cacert {cacert} -u {login} 'imaps://127.0.0.1:{imaps_port}/INBOX;MAILINDEX=*'"
