"""The two sides: a Restante and a Dovecot of their own, on free ports, in folders that go away.

The rule: both keep mail durably (fsync on), both serve plain loopback sockets, and both are tuned as their makers
advise.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Final

from services.cli.up.certificate import make_certificate
from services.mail.errors import AccountUnknown
from services.plumbing.rpc import client
from services.plumbing.settings import Settings

PASSWORD: Final = "bench-password"
DOMAIN: Final = "example.test"
READERS: Final = 51
# Accounts made at once.
AT_ONCE: Final = 50
PATIENCE: Final = 90.0

DOVECOT = """
base_dir = {home}/run
state_dir = {home}/state
log_path = {home}/dovecot.log
default_login_user = dovenull
default_internal_user = dovecot
protocols = imap pop3 lmtp
pop3_fast_size_lookups = yes
pop3_no_flag_updates = yes
listen = 127.0.0.1
ssl = yes
ssl_cert = <{home}/certificate.pem
ssl_key = <{home}/key.pem
disable_plaintext_auth = no
auth_mechanisms = plain
auth_cache_size = 10M
mail_home = {home}/mail/%u
mail_location = sdbox:~/mail
mail_uid = {uid}
mail_gid = {uid}
first_valid_uid = 1
first_valid_gid = 1
mail_fsync = optimized
lmtp_rcpt_check_quota = no
lda_mailbox_autocreate = yes
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={uid} home={home}/mail/%u allow_all_users=yes
}}
service imap-login {{
  service_count = 0
  process_min_avail = 2
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
  }}
}}
service imap {{
  service_count = 100
  process_min_avail = 2
  process_limit = 1024
}}
service pop3-login {{
  service_count = 0
  process_min_avail = 1
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service pop3 {{
  service_count = 100
  process_min_avail = 1
}}
service lmtp {{
  service_count = 0
  process_min_avail = 8
  process_limit = 64
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
}}
service auth {{
  client_limit = 4096
}}
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """One side as the workloads see it. greeting: EHLO or LHLO. pid: the process that all others descend from."""

    name: str
    delivery: int
    imap: int
    imaps: int
    pop3: int
    greeting: str
    pid: int


def reader(number: int) -> str:
    """The login and address of one of the readers."""
    return f"reader{number}@{DOMAIN}"


def missing() -> str:
    """What has to be installed first, as one line; "" for nothing."""
    if shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None:
        return "the peer is missing: apt-get install dovecot-imapd dovecot-pop3d dovecot-lmtpd"
    if os.geteuid() != 0:
        return "Dovecot's own services change users: run the bench as root"
    return ""


@contextlib.contextmanager
def dovecot(kept: Path | None = None, settings: str = "") -> Iterator[Peer]:
    """A private Dovecot. kept: a folder that stays. settings: more lines of its configuration."""
    home = kept or Path(tempfile.mkdtemp(prefix="bench-dovecot-"))
    home.chmod(0o755)
    uid = 65534
    for name in ("run", "state", "mail"):
        (home / name).mkdir(exist_ok=True)
    os.chown(home / "mail", uid, uid)
    make_certificate(home / "certificate.pem", home / "key.pem", "localhost")
    lmtp, imap, imaps, pop3 = (free_port() for _ in range(4))
    config = home / "dovecot.conf"
    values = {"home": home, "uid": uid, "password": PASSWORD}
    values |= {"lmtp": lmtp, "imap": imap, "imaps": imaps, "pop3": pop3}
    config.write_text(DOVECOT.format(**values) + settings)
    process = subprocess.Popen(["/usr/sbin/dovecot", "-F", "-c", str(config)])
    try:
        _wait_for(lmtp, process, home / "dovecot.log")
        _wait_for(imap, process, home / "dovecot.log")
        yield Peer("Dovecot", lmtp, imap, imaps, pop3, "LHLO", process.pid)
    finally:
        process.terminate()
        process.wait(30)
        if kept is None:
            shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def restante(kept: Path | None = None, settings: Mapping[str, str] = MappingProxyType({})) -> Iterator[Peer]:
    """A private Restante, started as `make run` does, with an account for each reader.

    kept: a folder that stays, with what is in it, for the next run. settings: of the environment.
    """
    home = kept or Path(tempfile.mkdtemp(prefix="bench-restante-"))
    home.mkdir(parents=True, exist_ok=True)
    ports = {
        name: free_port()
        for name in (
            "SMTP_PORT",
            "SMTP_LMTP_PORT",
            "POP3_PORT",
            "POP3_TLS_PORT",
            "IMAP_PORT",
            "IMAP_TLS_PORT",
        )
    }
    storage = free_port()
    environment = {f"RESTANTE_{name}": str(port) for name, port in ports.items()} | {
        "RESTANTE_HOME": str(home),
        "RESTANTE_STORAGE_PORT": str(storage),
        "RESTANTE_STORAGE": f"127.0.0.1:{storage}",
        "RESTANTE_LOG_LEVEL": "warning",
        **settings,
    }
    command = Path(sys.executable).with_name("restante")
    log = (home / "bench.log").open("wb")
    process = subprocess.Popen([command, "up"], env=os.environ | environment, stdout=log, stderr=log)
    try:
        for port in (storage, ports["SMTP_PORT"], ports["IMAP_PORT"], ports["POP3_PORT"]):
            _wait_for(port, process, home / "bench.log")
        asyncio.run(_add_readers(home, f"127.0.0.1:{storage}"))
        doors = (ports[name] for name in ("SMTP_PORT", "IMAP_PORT", "IMAP_TLS_PORT", "POP3_PORT"))
        yield Peer("Restante", *doors, "EHLO", process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        log.close()
        if kept is None:
            shutil.rmtree(home, ignore_errors=True)


class _Settings(Settings):
    process: ClassVar[str] = "bench"


async def _add_readers(home: Path, storage: str) -> None:
    async with client.connect(_Settings(home=home, storage=storage)) as store:
        try:
            await store.accounts.find_account(reader(READERS - 1))
        except AccountUnknown:
            await store.accounts.add_domain(DOMAIN)
            for number in range(READERS):
                await store.accounts.add_account(reader(number), PASSWORD.encode())


async def add_more(home: Path, numbers: range) -> None:
    """More accounts in the Restante that runs in `home`."""
    storage = json.loads((home / "running.json").read_text())["storage"]
    async with client.connect(_Settings(home=home, storage=storage)) as store:
        for start in range(0, len(numbers), AT_ONCE):
            some = numbers[start : start + AT_ONCE]
            await asyncio.gather(
                *(store.accounts.add_account(reader(each), PASSWORD.encode()) for each in some)
            )


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    words = log.read_text(errors="replace")[-2000:] if log.exists() else ""
    raise SystemExit(f"nothing answers at port {port}: {json.dumps(words)}")


async def quiet(seconds: float = 10.0) -> None:
    """Waits until the machine has little to do, so many seconds at most."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        idle, total = _idle_and_total()
        await asyncio.sleep(0.25)
        later, all_of_it = _idle_and_total()
        if later - idle >= 0.85 * (all_of_it - total):
            return


def _idle_and_total() -> tuple[int, int]:
    ticks = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return ticks[3] + ticks[4], sum(ticks[:8])


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])
