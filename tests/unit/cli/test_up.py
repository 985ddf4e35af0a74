"""The supervisor's parts: ports, home, certificate, card."""

import os
import shlex
import socket
import ssl
from pathlib import Path

import pytest

from services.cli.store import is_missing
from services.cli.up.card import read_command, send_command
from services.cli.up.certificate import make_certificate
from services.cli.up.home import FirstAccount, Home
from services.cli.up.ports import DEFAULTS, choose_ports, free_ports
from services.cli.up.settings import UpSettings
from services.plumbing.failures import CannotStart, PortInUse, SettingsWrong

ACCOUNT = FirstAccount("o'neil@restante.test", "pa ss'\"$word")
FREE = dict.fromkeys(DEFAULTS, "0")


def test_zero_takes_a_free_port_and_no_two_are_the_same() -> None:
    """Six settings, six ports."""
    ports = choose_ports(FREE)
    assert len(set(ports.values())) == len(DEFAULTS)
    assert 0 not in ports.values()


def test_a_port_in_use_names_the_setting_that_changes_it() -> None:
    """Also one whose owner shares it by SO_REUSEPORT."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortInUse, match=f"port {port} .* RESTANTE_SMTP_PORT"):
            choose_ports({**FREE, "RESTANTE_SMTP_PORT": str(port)})


def test_two_settings_with_one_port_are_noticed() -> None:
    """Each keeps its port until all are chosen."""
    port = str(free_ports(1)[0])
    with pytest.raises(PortInUse):
        choose_ports({**FREE, "RESTANTE_SMTP_PORT": port, "RESTANTE_IMAP_PORT": port})


@pytest.mark.parametrize("wrong", ["http", "65536", "-1", "25 25"])
def test_a_port_that_is_no_port_is_refused(wrong: str) -> None:
    """Before anything is started."""
    with pytest.raises(SettingsWrong, match="RESTANTE_POP3_PORT"):
        choose_ports({**FREE, "RESTANTE_POP3_PORT": wrong})


@pytest.mark.parametrize("address", ["192.0.2.1", "300.1.1.1", "no.such.name.invalid"])
def test_an_address_that_is_not_ours_names_its_own_setting(address: str) -> None:
    """Another port would not help."""
    with pytest.raises(CannotStart, match="set RESTANTE_IMAP_ADDRESS"):
        choose_ports({**FREE, "RESTANTE_IMAP_ADDRESS": address})


def test_a_place_that_cannot_be_written_names_the_setting_that_put_it_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file stands where its folder should be."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RESTANTE_TOKEN_FILE", str(tmp_path / "file" / "token"))
    settings = UpSettings.read({**os.environ, "RESTANTE_HOME": str(tmp_path)})
    with pytest.raises(CannotStart, match="set RESTANTE_TOKEN_FILE"):
        Home(tmp_path).prepare(settings)


def test_a_first_account_is_an_address() -> None:
    """Noticed before a system is started that could not make it."""
    with pytest.raises(SettingsWrong, match=r"RESTANTE_UP_FIRST_ACCOUNT: .*@"):
        UpSettings.read({"RESTANTE_UP_FIRST_ACCOUNT": "banana"})


def test_the_supervisor_has_no_settings_of_a_process_that_serves() -> None:
    """It has no admin port and drains nothing: to set one would do nothing."""
    with pytest.raises(SettingsWrong, match="RESTANTE_UP_ADMIN_PORT"):
        UpSettings.read({"RESTANTE_UP_ADMIN_PORT": "1"})


def test_the_certificate_is_trusted_by_itself(tmp_path: Path) -> None:
    """A handshake that checks the name localhost, with nothing but the certificate as authority. RFC 9525 §6."""
    certificate, key = tmp_path / "tls" / "certificate.pem", tmp_path / "tls" / "key.pem"
    make_certificate(certificate, key, "mail.example.com")
    here = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    here.load_cert_chain(certificate, key)
    there = ssl.create_default_context(cafile=certificate)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = here.wrap_bio(to_server, to_client, server_side=True)
    client = there.wrap_bio(to_client, to_server, server_hostname="localhost")
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    shown = client.getpeercert()
    assert shown is not None
    assert ("DNS", "localhost") in shown["subjectAltName"]
    assert ("DNS", "mail.example.com") in shown["subjectAltName"]


def test_the_first_account_keeps_its_password(tmp_path: Path) -> None:
    """It is printed at every start."""
    first = Home(tmp_path).first_account("me@restante.test")
    assert Home(tmp_path).first_account("me@restante.test") == first


def test_a_token_of_somebody_else_is_no_missing_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is not the first start that is missing."""
    assert is_missing(tmp_path / "token")
    assert is_missing(tmp_path / "nowhere" / "token")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", refuse)
    assert not is_missing(tmp_path / "token")


def test_a_folder_has_one_supervisor_at_a_time(tmp_path: Path) -> None:
    """The kernel lets go of it when the supervisor ends in any way."""
    home = Home(tmp_path)
    with home.hold(), pytest.raises(CannotStart, match="already running"):
        home.hold()
    home.hold().close()


def test_commands_on_the_card_survive_the_shell() -> None:
    """Whatever is in the address, the password or the path."""
    read = shlex.split(read_command(2993, ACCOUNT, Path("/a b/c'd.pem")))
    assert read[read.index("--cacert") + 1] == "/a b/c'd.pem"
    assert read[read.index("-u") + 1] == f"{ACCOUNT.address}:{ACCOUNT.password}"
    send = shlex.split(send_command(2525, ACCOUNT))
    assert send[send.index("--mail-rcpt") + 1] == ACCOUNT.address
    assert f"To: {ACCOUNT.address}" in send[1]
