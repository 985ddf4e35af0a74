"""Plumbing is tested on the event loop that runs it, with a certificate of its own."""

from asyncio import AbstractEventLoop
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import uvloop

from services.cli.up.certificate import make_certificate
from services.plumbing.net.tls import TlsContext


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], AbstractEventLoop]]:
    """uvloop, as in every process."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for localhost; its key lies beside it as key.pem."""
    make_certificate(tmp_path / "certificate.pem", tmp_path / "key.pem", "localhost")
    return tmp_path / "certificate.pem"


@pytest.fixture
def tls(certificate: Path) -> TlsContext:
    """What a listener offers with it."""
    return TlsContext(certificate, certificate.with_name("key.pem"))
