"""The door is tested on the event loop that runs it, with a certificate of its own."""

from tests.unit.plumbing.conftest import certificate, pytest_asyncio_loop_factories, tls

__all__ = ["certificate", "pytest_asyncio_loop_factories", "tls"]
