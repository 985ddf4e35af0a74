"""Ports: limits, stopping, and what is said when one cannot be had."""

import asyncio
import shutil
import socket
import ssl
from pathlib import Path

import pytest

from services.cli.up.certificate import make_certificate
from services.plumbing.failures import CannotStart, PortInUse
from services.plumbing.net.connection import Connection
from services.plumbing.net.limits import Limits
from services.plumbing.net.listener import Listener
from services.plumbing.net.networks import is_loopback
from services.plumbing.net.tls import TlsContext


async def wait_for_end(connection: Connection) -> None:
    connection.write(b"hello\r\n")
    while await connection.read():
        pass
    connection.write(b"bye\r\n")


def listening(limits: Limits | None = None, port: int = 0, refusal: bytes = b"") -> Listener:
    return Listener(
        "127.0.0.1",
        port,
        wait_for_end,
        tls=None,
        implicit_tls=False,
        limits=limits or Limits(),
        refusal=refusal,
    )


async def test_a_port_in_use_is_named() -> None:
    """Two listeners on one port."""
    async with listening() as first:
        with pytest.raises(PortInUse, match=f"port {first.port} on 127.0.0.1 is in use"):
            await listening(port=first.port).start()


async def test_an_address_of_another_machine_is_named() -> None:
    """192.0.2.1 is nobody's."""
    other = Listener("192.0.2.1", 0, wait_for_end, tls=None, implicit_tls=False, limits=Limits())
    with pytest.raises(CannotStart, match=r"192\.0\.2\.1"):
        await other.start()


async def test_a_connection_over_the_limit_is_told_and_the_next_fits_again() -> None:
    """attacks: hoards of connections."""
    limits = Limits(total=1)
    async with listening(limits, refusal=b"421 too many\r\n") as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        assert await reader.readline() == b"hello\r\n"
        refused, refused_writer = await asyncio.open_connection("127.0.0.1", listener.port)
        assert await refused.read() == b"421 too many\r\n"
        refused_writer.close()
        writer.close()
        while limits.open:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        assert await reader.readline() == b"hello\r\n"
        writer.close()


@pytest.mark.parametrize(
    ("address", "answer"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("192.0.2.1", False),
        ("fe80::1%eth0", False),
    ],
)
def test_loopback_is_recognised(address: str, answer: bool) -> None:
    """Where a password needs no TLS."""
    assert is_loopback(address) is answer


async def test_stopping_ends_reading_and_lets_handlers_say_goodbye() -> None:
    """What is stopped has no connection left."""
    async with listening() as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        assert await reader.readline() == b"hello\r\n"
        await listener.stop(grace=10.0)
        assert await reader.read() == b"bye\r\n"
        assert not listener.connections
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", listener.port)
        writer.close()


async def test_a_silent_handshake_counts_as_a_connection(tls: TlsContext) -> None:
    """A peer that never says its ClientHello is within the limits, and cannot hold up the stop."""
    limits = Limits(total=1)
    async with Listener("127.0.0.1", 0, wait_for_end, tls=tls, implicit_tls=True, limits=limits) as listener:
        _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        while not limits.open:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        refused, refused_writer = await asyncio.open_connection("127.0.0.1", listener.port)
        assert await refused.read() == b""
        refused_writer.close()
        writer.close()
    assert limits.open == 0


async def test_who_was_admitted_a_moment_before_the_stop_is_counted_out() -> None:
    """Its task has not had its first step when the stop begins."""
    limits = Limits()
    async with listening(limits) as listener:
        client, accepted = socket.socketpair()
        listener._admit(accepted, ("127.0.0.1", 1))
        await listener.stop(grace=0.0)
        client.close()
    assert limits.open == 0
    assert accepted.fileno() == -1


async def serial_number(port: int) -> bytes:
    """The certificate that a port shows."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return shown


async def test_a_renewed_certificate_is_shown_and_a_broken_one_is_not(
    tls: TlsContext, certificate: Path, tmp_path: Path
) -> None:
    """Files are read again when they change; what cannot be read never replaces what works."""
    key = certificate.with_name("key.pem")
    async with Listener(
        "127.0.0.1", 0, wait_for_end, tls=tls, implicit_tls=True, limits=Limits()
    ) as listener:
        first = await serial_number(listener.port)
        renewed = tmp_path / "renewed"
        renewed.mkdir()
        make_certificate(renewed / "certificate.pem", renewed / "key.pem", "localhost")
        shutil.move(renewed / "certificate.pem", certificate)
        assert await serial_number(listener.port) == first
        shutil.move(renewed / "key.pem", key)
        second = await serial_number(listener.port)
        assert second != first
        certificate.write_text("nothing of use")  # noqa: ASYNC240
        assert await serial_number(listener.port) == second


def test_a_missing_certificate_says_which_settings_name_it(tmp_path: Path) -> None:
    """One line, no traceback."""
    with pytest.raises(CannotStart, match="RESTANTE_TLS_CERTIFICATE"):
        TlsContext(tmp_path / "none.pem", tmp_path / "key.pem")
