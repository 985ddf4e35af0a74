"""Who may call, until when, and what a server says of itself."""

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from restante.v1 import accounts_pb2, accounts_pb2_grpc, exchange_pb2_grpc

from services.mail.errors import StoreUnavailable
from services.plumbing.failures import CannotStart, PortInUse
from services.plumbing.rpc import credentials
from services.plumbing.rpc.client import Patience, connect
from services.plumbing.rpc.server import Server
from tests.unit.rpc.ends import SHOWN, TOKEN, Settings, Site


@pytest.fixture
async def channel(site: Site) -> AsyncIterator[grpc.aio.Channel]:
    """A plain channel to one copy."""
    await site.add()
    async with grpc.aio.insecure_channel(site.storage) as channel:
        yield channel


@pytest.mark.parametrize("shown", [(), (("authorization", "Bearer wrong"),), (("authorization", TOKEN),)])
async def test_who_shows_no_token_gets_nothing(
    channel: grpc.aio.Channel, shown: tuple[tuple[str, str], ...]
) -> None:
    """Neither a unary call nor the exchange."""
    accounts = accounts_pb2_grpc.AccountsServiceStub(channel)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await accounts.ListDomains(accounts_pb2.ListDomainsRequest(), timeout=5, metadata=shown)
    assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
    exchange = exchange_pb2_grpc.ExchangeServiceStub(channel).Exchange(metadata=shown)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await exchange.read()
    assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_unary_call_needs_a_deadline(channel: grpc.aio.Channel) -> None:
    accounts = accounts_pb2_grpc.AccountsServiceStub(channel)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await accounts.ListDomains(accounts_pb2.ListDomainsRequest(), metadata=SHOWN)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert dict(raised.value.trailing_metadata() or ())["restante-error"] == "InvalidArgument"
    await accounts.ListDomains(accounts_pb2.ListDomainsRequest(), metadata=SHOWN, timeout=5)


async def test_health_is_told_to_everybody_and_ends_with_the_drain(
    site: Site, channel: grpc.aio.Channel
) -> None:
    """A probe shows no token."""
    health = health_pb2_grpc.HealthStub(channel)
    for service in ("", "restante.v1.ExchangeService"):
        answer = await health.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    await site.servers[0].drain()
    answer = await health.Check(health_pb2.HealthCheckRequest(service=""), timeout=5)
    assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.mark.parametrize("is_on", [False, True])
async def test_reflection_is_a_setting(site: Site, is_on: bool) -> None:
    site.settings = replace(site.settings, reflection=is_on)
    await site.add()
    async with grpc.aio.insecure_channel(site.storage) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        call = stub.ServerReflectionInfo(metadata=SHOWN)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        if not is_on:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await call.read()
            assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
            return
        await call.write(request)
        answer = await call.read()
        names = {service.name for service in answer.list_services_response.service}
        assert {
            "restante.v1.MessagesService",
            "restante.v1.ExchangeService",
            "grpc.health.v1.Health",
        } <= names
        call.cancel()


async def test_a_wrong_token_is_named_where_it_keeps_a_client_out(site: Site, tmp_path: Path) -> None:
    await site.add()
    wrong = tmp_path / "wrong"
    wrong.write_text("not it")
    settings = replace(site.settings, storage=site.storage, token_file=wrong)
    async with connect(settings, Patience(find=0.5)) as store:
        with pytest.raises(StoreUnavailable, match="RESTANTE_TOKEN_FILE"):
            await store.accounts.list_domains()


async def test_a_server_without_token_or_certificates_does_not_start(site: Site, tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="RESTANTE_TOKEN_FILE"):
        Server(site.store, replace(site.settings, token_file=tmp_path / "none"))
    with pytest.raises(CannotStart, match="RESTANTE_RPC_CERTIFICATE"):
        Server(site.store, replace(site.settings, rpc_key=tmp_path / "key"))


async def list_domains(channel: grpc.aio.Channel, token: str) -> None:
    """Raises AioRpcError."""
    accounts = accounts_pb2_grpc.AccountsServiceStub(channel)
    shown = (("authorization", f"Bearer {token}"),)
    await accounts.ListDomains(accounts_pb2.ListDomainsRequest(), timeout=5, metadata=shown)


async def test_a_token_that_changes_is_taken_without_a_new_start(
    site: Site, channel: grpc.aio.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By both ends; for a while the one before opens too, then no longer."""
    async with site.client() as store:
        await store.accounts.list_domains()
        site.settings.token_file.write_text("fresh\n")
        assert await store.accounts.add_domain("example.org")
        await list_domains(channel, "fresh")
        await list_domains(channel, TOKEN)
    monkeypatch.setattr(credentials, "GRACE_SECONDS", -1.0)
    site.settings.token_file.write_text("fresher\n")
    await list_domains(channel, "fresher")
    for before in ("fresh", TOKEN):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await list_domains(channel, before)
        assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
    async with site.client() as store:
        assert await store.accounts.list_domains() == ("example.org",)


@pytest.mark.parametrize("octets", [b"", b"\n", b"two\nlines", b"\xff", None])
async def test_a_token_that_cannot_be_used_leaves_the_one_before(
    site: Site, channel: grpc.aio.Channel, octets: bytes | None
) -> None:
    """An editor empties a file before it writes; somebody may remove it. At a start it is refused."""
    await list_domains(channel, TOKEN)
    if octets is None:
        site.settings.token_file.unlink()
    else:
        site.settings.token_file.write_bytes(octets)
    await list_domains(channel, TOKEN)
    with pytest.raises(grpc.aio.AioRpcError):
        await list_domains(channel, "")
    with pytest.raises(CannotStart, match="token"):
        Server(site.store, site.settings)


async def test_a_port_in_use_is_named(site: Site) -> None:
    await site.add()
    with pytest.raises(PortInUse):
        await site.add(port=site.ports[0])


class Authority:
    """Signs certificates for one host."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        self.file = folder / "authority.pem"
        folder.mkdir()
        self._write(self.file, self._sign("authority", self.key.public_key(), is_authority=True))

    def _sign(
        self, name: str, key: ec.EllipticCurvePublicKey, is_authority: bool = False
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
                critical=False,
            )
            .sign(self.key, hashes.SHA256())
        )

    @staticmethod
    def _write(file: Path, certificate: x509.Certificate) -> None:
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str) -> tuple[Path, Path]:
        """Files of a certificate and its key, written anew."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate_file, key_file = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        self._write(certificate_file, self._sign(name, key.public_key()))
        return certificate_file, key_file


def with_mutual_tls(site: Site, authority: Authority) -> Settings:
    """The site's settings with a certificate in place of the token."""
    certificate, key = authority.issue("storage")
    return replace(
        site.settings,
        token_file=authority.folder / "none",
        rpc_certificate=certificate,
        rpc_key=key,
        rpc_authority=authority.file,
    )


async def test_mutual_tls_lets_in_who_has_a_certificate_of_the_authority(site: Site, tmp_path: Path) -> None:
    """Without a token."""
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    site.settings = with_mutual_tls(site, ours)
    await site.add()
    async with site.client() as store:
        assert await store.accounts.add_domain("example.org")
    stranger, strange_key = theirs.issue("stranger")
    strange = replace(site.settings, storage=site.storage, rpc_certificate=stranger, rpc_key=strange_key)
    async with connect(strange, Patience(find=0.5)) as store:
        with pytest.raises(StoreUnavailable):
            await store.accounts.list_domains()


async def shown_certificate(settings: Settings, port: int) -> bytes:
    """What the server shows in a handshake in which we show ours."""
    assert settings.rpc_certificate is not None
    context = ssl.create_default_context(cafile=settings.rpc_authority)
    context.load_cert_chain(settings.rpc_certificate, settings.rpc_key)
    context.set_alpn_protocols(["h2"])
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return shown


async def test_certificates_that_change_are_shown_in_the_next_handshake(site: Site, tmp_path: Path) -> None:
    """By a server that goes on running; files that are away for a moment leave what was read last."""
    ours = Authority(tmp_path / "ours")
    site.settings = with_mutual_tls(site, ours)
    await site.add()
    first = await shown_certificate(site.settings, site.ports[0])
    assert await shown_certificate(site.settings, site.ports[0]) == first
    certificate, _ = ours.issue("storage")
    second = await shown_certificate(site.settings, site.ports[0])
    assert second != first
    assert second == ssl.PEM_cert_to_DER_cert(certificate.read_text())
    copied = replace(site.settings, rpc_certificate=certificate.rename(tmp_path / "moved"))
    assert await shown_certificate(copied, site.ports[0]) == second


async def test_a_new_authority_is_taken_by_both_ends_while_they_run(site: Site, tmp_path: Path) -> None:
    """The client opens its next stream with what is on disk then, and outlives files that are away for a moment."""
    ours, next_ones = Authority(tmp_path / "ours"), Authority(tmp_path / "next")
    site.settings = with_mutual_tls(site, ours)
    old, old_key = ours.issue("old")
    await site.add()
    async with site.client(renew_seconds=0.2) as store:
        assert await store.accounts.add_domain("one.example")
        assert site.settings.rpc_certificate is not None
        away = site.settings.rpc_certificate.rename(tmp_path / "away")
        await asyncio.sleep(0.6)
        assert await store.accounts.add_domain("two.example")
        away.rename(site.settings.rpc_certificate)
        for file in next_ones.issue("storage"):
            file.rename(ours.folder / file.name)
        next_ones.file.rename(ours.file)
        await shown_certificate(site.settings, site.ports[0])  # which trusts the new authority alone
        await site.servers[0].stop(0)
        await site.add(port=site.ports[0])
        # A read: the link to the one that went may not know yet, and a write would not be sent again.
        assert "two.example" in await store.accounts.list_domains()
    outdated = replace(site.settings, storage=site.storage, rpc_certificate=old, rpc_key=old_key)
    async with connect(outdated, Patience(find=0.5)) as store:
        with pytest.raises(StoreUnavailable):
            await store.accounts.list_domains()
