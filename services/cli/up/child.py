"""One process under supervision: started, heard when it is ready, started again when it dies, stopped.

The rule: a child has a session of its own, so that Ctrl-C reaches the supervisor alone, and the kernel ends it when the
supervisor dies.
"""

import asyncio
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.plumbing.failures import CannotStart

# A process that lived this long is not failing over and over.
STEADY_SECONDS = 30.0
LONGEST_PAUSE = 5.0


@dataclass(frozen=True, slots=True)
class Ready:
    """What a process said when it was ready."""

    admin_port: int = 0
    ports: Mapping[str, int] = field(default_factory=dict)


class Child:
    """One process, `python -m module`.

    environment: all of it. log_file: where its stderr goes. tell: called with a sentence when it dies and comes back.
    """

    def __init__(
        self,
        name: str,
        module: str,
        environment: Mapping[str, str],
        log_file: Path,
        tell: Callable[[str], None],
    ) -> None:
        self.name = name
        self.ready = Ready()
        self._module = module
        self._environment = dict(environment)
        self._log_file = log_file
        self._log_start = 0
        self._tell = tell
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Of the process that runs now, or ran last."""
        return self._process.pid if self._process is not None else 0

    async def start(self, seconds: float) -> None:
        """Starts the process and waits until it is ready. Raises CannotStart with its own last words."""
        reading, writing = os.pipe()
        try:
            with self._log_file.open("ab") as log:
                self._log_start = log.tell()
                self._process = await asyncio.create_subprocess_exec(
                    *ending_with_us(sys.executable, "-P", "-m", self._module),
                    env={**self._environment, "RESTANTE_READY_FD": str(writing)},
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(writing,),
                    start_new_session=True,
                )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        try:
            said = await asyncio.wait_for(first_line(reading), seconds)
        except TimeoutError:
            await self.stop(0)
            raise CannotStart(
                f"{self.name} was not ready after {seconds:.0f} seconds; see {self._log_file}"
            ) from None
        if not said:
            await self._process.wait()
            raise CannotStart(self._last_words())
        self.ready = read_ready(said)

    async def keep(self, seconds: float, changed: Callable[[], None]) -> None:
        """Starts the process again whenever it ends, until cancelled; `changed` is called when it is ready again.

        Why it does not start is said once, not at every try.
        """
        pause = 0.0
        trouble = ""
        while True:
            assert self._process is not None
            began = time.monotonic()
            code = await self._process.wait()
            pause = 0.0 if time.monotonic() - began > STEADY_SECONDS else min(LONGEST_PAUSE, pause * 2 or 0.1)
            if not trouble:
                self._tell(f"{self.name} {describe(code)}, starting it again")
            await asyncio.sleep(pause)
            try:
                await self.start(seconds)
            except CannotStart as reason:
                if str(reason) != trouble:
                    self._tell(f"{self.name} does not start, trying on: {reason}")
                trouble = str(reason)
            else:
                trouble = ""
                self._tell(f"{self.name} ready again")
                changed()

    async def stop(self, seconds: float) -> None:
        """Asks the process to end, and ends it if it has not after so many seconds."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), seconds)
            except TimeoutError:
                process.kill()
                await process.wait()

    def kill(self) -> None:
        """Ends the process at once."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()

    def _last_words(self) -> str:
        """Why it ended: its own one line where it gave one, else where to look."""
        with self._log_file.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read(1 << 20).decode("utf-8", "replace").splitlines()
        own = next((line for line in reversed(lines) if ": " in line and not line.startswith(("{", " "))), "")
        code = self._process.returncode if self._process is not None else None
        return own if own and code in (1, 2) else f"{self.name} {describe(code)}; see {self._log_file}"


async def first_line(descriptor: int) -> bytes:
    """What a pipe brings up to its first line end, which may be nothing; closes it."""
    reader = asyncio.StreamReader(limit=65536)
    pipe = os.fdopen(descriptor, "rb", buffering=0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    try:
        return await reader.readline()
    finally:
        transport.close()


def read_ready(line: bytes) -> Ready:
    """The one JSON line of a process that is ready."""
    said: Any = json.loads(line)
    return Ready(
        int(said.get("admin_port", 0)), {name: int(port) for name, port in said.get("ports", {}).items()}
    )


def ending_with_us(*words: str) -> list[str]:
    """A command that the kernel tells to end when this process dies, where the kernel can."""
    return [*(("setpriv", "--pdeathsig", "TERM", "--") if shutil.which("setpriv") else ()), *words]


def describe(code: int | None) -> str:
    """How a process ended."""
    if code is not None and code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with code {code}"
