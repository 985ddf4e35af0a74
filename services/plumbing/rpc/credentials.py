"""Who may call storage: whoever shows the shared token, or a certificate of the authority that both ends trust.

The rule: a server never serves without one of the two, and a token is compared in constant time.
"""

import hmac
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Protocol, cast

import grpc

from services.plumbing import logs
from services.plumbing.failures import CannotStart

log = logs.get(__name__)

HEADER: Final = "authorization"

Fetcher = Callable[[], grpc.ServerCertificateConfiguration]


class Secrets(Protocol):
    """The settings that say who may call."""

    @property
    def token_file(self) -> Path: ...
    @property
    def rpc_certificate(self) -> Path | None: ...
    @property
    def rpc_key(self) -> Path | None: ...
    @property
    def rpc_authority(self) -> Path | None: ...


def read_token(settings: Secrets) -> bytes | None:
    """The shared token; None where there is none and mutual TLS is used. Raises CannotStart."""
    try:
        token = settings.token_file.read_bytes().strip()
    except FileNotFoundError:
        token = b""
    except OSError as error:
        raise CannotStart(f"the token {settings.token_file} cannot be read: {error.strerror}") from None
    if not token and tls_files(settings) is None:
        raise CannotStart(
            f"no token in {settings.token_file}: set RESTANTE_TOKEN_FILE to a file with the secret that storage shares "
            "with its callers, or RESTANTE_RPC_CERTIFICATE, _KEY and _AUTHORITY for mutual TLS"
        )
    return token or None


def is_token(shown: Iterable[tuple[str, str | bytes]], token: bytes) -> bool:
    """Whether metadata shows the token."""
    for key, value in shown:
        if key == HEADER:
            octets = value if isinstance(value, bytes) else value.encode()
            return hmac.compare_digest(octets, b"Bearer " + token)
    return False


def metadata(token: bytes | None) -> tuple[tuple[str, str], ...]:
    """What a caller shows."""
    return () if token is None else ((HEADER, f"Bearer {token.decode()}"),)


def tls_files(settings: Secrets) -> tuple[Path, Path, Path] | None:
    """Certificate, key and authority; None where none is set. Raises CannotStart where only some are."""
    match settings.rpc_certificate, settings.rpc_key, settings.rpc_authority:
        case None, None, None:
            return None
        case Path() as certificate, Path() as key, Path() as authority:
            return certificate, key, authority
    raise CannotStart(
        "mutual TLS takes all of RESTANTE_RPC_CERTIFICATE, RESTANTE_RPC_KEY and RESTANTE_RPC_AUTHORITY"
    )


class CertificateFiles:
    """Certificate, key and authority as they are on disk, re-read when one of them changes."""

    def __init__(self, files: tuple[Path, Path, Path]) -> None:
        self._files = files
        try:
            self._stamps = self._read_stamps()
            self._octets = self._read()
        except OSError as error:
            raise CannotStart(f"{error.filename} cannot be read: {error.strerror}") from None

    def _read_stamps(self) -> list[tuple[int, int]]:
        return [(stat.st_mtime_ns, stat.st_ino) for stat in (path.stat() for path in self._files)]

    def _read(self) -> tuple[bytes, bytes, bytes]:
        certificate, key, authority = (path.read_bytes() for path in self._files)
        return certificate, key, authority

    def for_server(self) -> grpc.ServerCredentials:
        """Credentials that ask for the caller's certificate and look at the files at each handshake."""
        return grpc.dynamic_ssl_server_credentials(
            self._configuration(), cast("Fetcher", self._changed), require_client_authentication=True
        )

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        certificate, key, authority = self._octets
        return grpc.ssl_server_certificate_configuration([(key, certificate)], authority)

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        # Called by gRPC in a thread of its own; None keeps what is there.
        try:
            stamps = self._read_stamps()
            if stamps == self._stamps:
                return None
            self._octets = self._read()
            self._stamps = stamps
        except OSError as error:
            log.warning("certificate not read, the last one stays", reason=str(error))
            return None
        return self._configuration()

    def for_channel(self) -> grpc.ChannelCredentials:
        """Credentials of a new channel, from the files as they are now."""
        certificate, key, authority = self._read()
        return grpc.ssl_channel_credentials(authority, key, certificate)
