"""The ports that the processes listen on: which there are, which are asked for, and whether they are free.

The rule: each is settled once, here, and stays the same for as long as the supervisor runs, so that a process that
was started again is found where it was.
"""

import errno
import socket
from collections.abc import Mapping

from services.plumbing.failures import CannotStart, PortInUse, SettingsWrong

DEFAULTS = {
    "RESTANTE_STORAGE_PORT": 50051,
    "RESTANTE_SMTP_PORT": 2525,
    "RESTANTE_SMTP_LMTP_PORT": 2424,
    "RESTANTE_IMAP_PORT": 2143,
    "RESTANTE_IMAP_TLS_PORT": 2993,
    "RESTANTE_POP3_PORT": 2110,
    "RESTANTE_POP3_TLS_PORT": 2995,
}


def choose_ports(environment: Mapping[str, str]) -> dict[str, int]:
    """The port of each setting, free ones in place of 0. Raises PortInUse, SettingsWrong, CannotStart."""
    taken: list[socket.socket] = []
    try:
        return {setting: take(setting, environment, taken) for setting in DEFAULTS}
    finally:
        for each in taken:
            each.close()


def take(setting: str, environment: Mapping[str, str], taken: list[socket.socket]) -> int:
    """Binds the port of one setting and leaves it bound in `taken`, so that no two settings get the same."""
    asked = environment.get(setting) or str(DEFAULTS[setting])
    if not asked.isdecimal() or int(asked) > 65535:
        raise SettingsWrong(f"{setting}: {asked} is not a port, 0 to 65535")
    address = address_of(setting, environment)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # Never SO_REUSEPORT: it would share the port with whoever has it.
    probe = socket.socket(family, socket.SOCK_STREAM)
    taken.append(probe)
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind((address, int(asked)))
        # Two sockets with SO_REUSEADDR may both bind; only one may listen.
        probe.listen(1)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(address, int(asked), setting) from None
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise CannotStart(
                f"{address} is not an address of this machine: set {name_of_address(setting)} to one"
            ) from None
        raise CannotStart(
            f"port {asked} on {address} cannot be had ({error.strerror}): set {setting} to another"
        ) from None
    return int(probe.getsockname()[1])


def address_of(setting: str, environment: Mapping[str, str]) -> str:
    """The address that belongs to the setting of a port."""
    return environment.get(name_of_address(setting)) or "127.0.0.1"


def name_of_address(setting: str) -> str:
    """The setting of that address."""
    return f"RESTANTE_{setting.removeprefix('RESTANTE_').partition('_')[0]}_ADDRESS"


def free_ports(count: int) -> list[int]:
    """Different ports of 127.0.0.1 that nobody uses now."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in probes]
    for each in probes:
        each.close()
    return ports
