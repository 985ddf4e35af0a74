"""The other side: a private Dovecot on a free port, in a folder that goes away.

The rule: it runs as whoever runs the tests. As root it uses the users that Debian's package made; as anybody else every
one of its services runs as that user (Dovecot's "rootless installation").
"""

import getpass
import grp
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.tools import need

PACKAGES: Final = "dovecot-core dovecot-imapd"
PATIENCE: Final = 20.0

# Its folders are made as ours are, its namespace has our separator, and wrong passwords cost no delay.
CONFIG: Final = r"""
base_dir = {home}/run
state_dir = {home}/state
log_path = {home}/dovecot.log
default_login_user = {login_user}
default_internal_user = {internal_user}
default_internal_group = {internal_group}
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain
auth_failure_delay = 0
mail_home = {home}/mail/%u
mail_location = sdbox:~/mail
mail_uid = {mail_uid}
mail_gid = {mail_gid}
first_valid_uid = 0
first_valid_gid = 0
mail_fsync = never
mail_save_crlf = yes
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={mail_uid} gid={mail_gid} home={home}/mail/%u allow_all_users=yes
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Archive {{
    auto = subscribe
    special_use = \Archive
  }}
  mailbox Drafts {{
    auto = subscribe
    special_use = \Drafts
  }}
  mailbox Junk {{
    auto = subscribe
    special_use = \Junk
  }}
  mailbox Sent {{
    auto = subscribe
    special_use = \Sent
  }}
  mailbox Trash {{
    auto = subscribe
    special_use = \Trash
  }}
  mailbox INBOX {{
    auto = subscribe
  }}
}}
service imap-login {{
  service_count = 0
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service imap {{
  service_count = 100
  process_limit = 128
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
"""


@contextmanager
def dovecot(password: str) -> Iterator[int]:
    """Gives the port of its IMAP. Every login exists, with this password."""
    with tempfile.TemporaryDirectory(prefix="dovecot-") as folder:
        yield from running(Path(folder), password)


def running(home: Path, password: str, settings: str = "") -> Iterator[int]:
    """One in a folder that stays. settings: more lines of its configuration; mail lies in mail/<login>."""
    program = need("dovecot", PACKAGES)
    port = free_port()
    home.chmod(0o755)
    for name in ("run", "state", "mail"):
        (home / name).mkdir(exist_ok=True)
    config = home / "dovecot.conf"
    config.write_text(CONFIG.format(home=home, port=port, password=password, **_users(home)) + settings)
    process = subprocess.Popen([program, "-F", "-c", str(config)], stdin=subprocess.DEVNULL)
    try:
        _await(port, process, home / "dovecot.log")
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _users(home: Path) -> dict[str, object]:
    """Who its services run as."""
    if os.geteuid() == 0:
        os.chown(home / "mail", 65534, 65534)
        names = {"login_user": "dovenull", "internal_user": "dovecot", "internal_group": "dovecot"}
        return {**names, "mail_uid": 65534, "mail_gid": 65534}
    me, group = getpass.getuser(), grp.getgrgid(os.getegid()).gr_name
    names = {"login_user": me, "internal_user": me, "internal_group": group}
    return {**names, "mail_uid": os.geteuid(), "mail_gid": os.getegid()}


def _await(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Until it greets; the first client may hear that it must wait for the authentication."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as tried:
            if b"CAPABILITY" in tried.recv(1000):
                return
        time.sleep(0.05)
    raise AssertionError(f"Dovecot does not start: {log.read_text() if log.exists() else ''}")


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])
