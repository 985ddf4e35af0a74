"""Messages for tests of message structure: our own samples, and the real ones where they are at hand."""

import os
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[2] / "samples"


def _files() -> list[Path]:
    corpus = os.environ.get("RESTANTE_CORPUS")
    return sorted(SAMPLES.glob("*.eml")) + (sorted(Path(corpus).glob("*/*.eml")) if corpus else [])


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`message` goes through every sample and every real message, with the line ends that SMTP carries."""
    if "message" in metafunc.fixturenames:
        files = _files()
        names = [f"{each.parent.name}/{each.stem}" for each in files]
        metafunc.parametrize("message", [_travelled(each) for each in files], ids=names)


def _travelled(file: Path) -> bytes:
    octets = file.read_bytes()
    if file.stem == "bare-lf":
        return octets
    return octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


class Samples:
    """The samples by name."""

    def __getitem__(self, name: str) -> bytes:
        return (SAMPLES / f"{name}.eml").read_bytes()


@pytest.fixture
def samples() -> Samples:
    """Reads a sample by its name."""
    return Samples()
