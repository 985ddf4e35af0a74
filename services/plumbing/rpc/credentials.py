"""Who may call storage: whoever shows the shared token, or a certificate of the authority that both ends trust.

The rule: a server never serves without one of the two, a token is compared in constant time, and files that change are
read again: nothing has to be started anew for a new secret.
"""

import hmac
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Protocol, cast

import grpc

from services.plumbing import logs
from services.plumbing.failures import CannotStart

log = logs.get(__name__)

HEADER: Final = "authorization"
# A file reaches other machines a little later (Kubernetes: a minute or so): meanwhile the token before is taken too.
GRACE_SECONDS: Final = 120.0

Stamp = tuple[int, int, int]

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


class Token:
    """The shared token, read again when its file changes. None where there is none and mutual TLS is used.

    Raises CannotStart where there is neither. A file that is away or empty later on leaves what was read last.
    """

    def __init__(self, settings: Secrets, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = settings.token_file
        self._clock = clock
        self._last: bytes | None = None
        self._last_until = 0.0
        try:
            self._stamp: Stamp | None = stamp_of(self._file)
            self._value = self._file.read_bytes().strip()
        except FileNotFoundError:
            self._value, self._stamp = b"", None
        except OSError as error:
            raise CannotStart(
                f"the token {self._file} cannot be read ({error.strerror}): ask as who runs storage, or set "
                "RESTANTE_TOKEN_FILE to one that may be read"
            ) from None
        if not self._value and tls_files(settings) is None:
            raise CannotStart(
                f"no token in {self._file}: set RESTANTE_TOKEN_FILE to a file with the secret that storage shares "
                "with its callers, or RESTANTE_RPC_CERTIFICATE, _KEY and _AUTHORITY for mutual TLS"
            )
        if not is_usable(self._value):
            raise CannotStart(f"the token in {self._file} should be one line of printable ASCII")
        self.is_asked_for = bool(self._value)

    def current(self) -> bytes:
        """What the file says now."""
        if not self.is_asked_for:
            return b""
        try:
            stamp = stamp_of(self._file)
            if stamp != self._stamp:
                self._stamp = stamp
                self._replace(self._file.read_bytes().strip())
        except OSError as error:
            if self._stamp is not None:
                log.warning("token not read, the last one stays", reason=str(error))
            self._stamp = None
        return self._value

    def _replace(self, value: bytes) -> None:
        if not value or value == self._value or not is_usable(value):
            return
        self._last, self._last_until = self._value, self._clock() + GRACE_SECONDS
        self._value = value
        log.info("token read again", file=str(self._file))

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What a caller shows."""
        token = self.current()
        return ((HEADER, f"Bearer {token.decode()}"),) if token else ()

    def is_shown(self, shown: Iterable[tuple[str, str | bytes]]) -> bool:
        """Whether metadata shows the token, or for a while after it changed the one before."""
        token = self.current()
        for key, value in shown:
            if key == HEADER:
                octets = value if isinstance(value, bytes) else value.encode()
                if self._last is not None and self._clock() > self._last_until:
                    self._last = None
                return any(
                    hmac.compare_digest(octets, b"Bearer " + each) for each in (token, self._last) if each
                )
        return False


def is_usable(token: bytes) -> bool:
    """Whether metadata can carry it."""
    return token.isascii() and token.decode().isprintable()


def stamp_of(path: Path) -> Stamp:
    """What changes with a file. Raises OSError."""
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_ino, stat.st_size


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

    def _read_stamps(self) -> list[Stamp]:
        return [stamp_of(path) for path in self._files]

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
        return self._configuration() if self._look() else None

    def _look(self) -> bool:
        """Whether there was something new to read. What cannot be read leaves what was read last."""
        try:
            stamps = self._read_stamps()
            if stamps == self._stamps:
                return False
            self._octets = self._read()
            self._stamps = stamps
        except OSError as error:
            log.warning("certificate not read, the last one stays", reason=str(error))
            return False
        return True

    def for_channel(self) -> grpc.ChannelCredentials:
        """Credentials of a new channel, from the files as they are now."""
        self._look()
        certificate, key, authority = self._octets
        return grpc.ssl_channel_credentials(authority, key, certificate)
