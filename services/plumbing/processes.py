"""How a process starts, says that it is ready, and stops.

Rule: SIGTERM and SIGINT set `stopping` and nothing else; the process's own main drains and returns. What
cannot start says so in one line; a bug leaves a traceback in the log. Exit codes: 0 stopped as told, 1 could
not run, 2 a wrong setting or argument.
"""

import asyncio
import contextlib
import ctypes
import gc
import json
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, NoReturn, TypeVar

import uvloop

from services.plumbing import logs
from services.plumbing.failures import CannotStart, PortInUse, SettingsWrong
from services.plumbing.health import AdminPort
from services.plumbing.settings import Settings

log = logs.get(__name__)

READY_FD = "RESTANTE_READY_FD"
# After drain_seconds main has this long to give up what is left before it is cancelled; and after main, its loop.
CANCEL_SECONDS = 5.0
# A signal this soon after the first is the same one: the kernel tells of a dead parent once for each of its threads.
SAME_SECONDS = 1.0
_M_MMAP_THRESHOLD: Final = -3  # of glibc's malloc.h

S = TypeVar("S", bound=Settings)
# What a process can do instead of serving: by its name, what it is for, and what does it and answers the exit code.
Tasks = Mapping[str, tuple[str, Callable[[S], int]]]
NO_TASKS: Final[Mapping[str, tuple[str, Callable[[Settings], int]]]] = {}


class Process:
    """What main gets to know about its own process.

    stopping: set once the process was told to stop. told_at: when that was, in loop time.
    name: as in the log and in RESTANTE_<NAME>_….
    """

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.stopping = asyncio.Event()
        self.told_at = 0.0
        self.is_ready = False
        self._admin = AdminPort(
            settings.admin_address, settings.admin_port, lambda: self.is_ready and not self.stopping.is_set()
        )

    @property
    def admin_port(self) -> int:
        """The number that was bound."""
        return self._admin.port

    async def start_admin(self) -> None:
        """Raises PortInUse, CannotStart."""
        await self._admin.start()

    async def stop_admin(self) -> None:
        """Frees the admin port."""
        await self._admin.stop()

    def ready(self, **ports: int) -> None:
        """Says that work is taken from now on: to /ready, to the log and to the supervisor.

        ports: the bound ones by name, such as ready(port=2110, tls_port=2995).
        """
        self.is_ready = True
        log.info("ready", admin_port=self.admin_port, **ports)
        announce(self.name, self.admin_port, ports)

    def not_ready(self) -> None:
        """Takes the process out of the load balancer; open sessions go on."""
        self.is_ready = False


def announce(name: str, admin_port: int, ports: Mapping[str, int]) -> None:
    """Writes one JSON line to the descriptor that the supervisor named in RESTANTE_READY_FD, once."""
    descriptor = os.environ.pop(READY_FD, "")
    if not descriptor.isdecimal():
        return
    line = json.dumps({"ready": name, "admin_port": admin_port, "ports": dict(ports)}) + "\n"
    try:
        with os.fdopen(int(descriptor), "w", encoding="ascii") as supervisor:
            supervisor.write(line)
    except OSError as error:
        log.warning("supervisor not told", reason=error.strerror)


def run(
    name: str,
    settings_class: type[S],
    main: Callable[[S, Process], Awaitable[None]],
    arguments: Sequence[str] | None = None,
    tasks: "Tasks[S]" = NO_TASKS,
) -> NoReturn:
    """Runs a process to its end and exits.

    main: called in the event loop once logs, signals and the admin port are there; it returns after
    process.stopping is set.
    arguments: the name of a task, --settings and --help are known.
    """
    try:
        do_instead(name, settings_class, sys.argv[1:] if arguments is None else arguments, tasks)
        settings = settings_class.read()
        logs.configure(name, settings.log_level)
        # What the imports made stays for good: the collector need not look at it again, nor look so often.
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
        map_large_blocks()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(supervise(name, settings, main))
    except SettingsWrong as wrong:
        fail(name, str(wrong), 2)
    except CannotStart as reason:
        fail(name, str(reason), 1)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except Exception:
        log.exception("process failed")
        raise SystemExit(1) from None
    raise SystemExit(0)


def map_large_blocks() -> None:
    """Has the C library map each block of 256 KB by itself, so that what is never touched of it takes no memory.

    uvloop has one for every TLS connection and uses little of it. glibc would do so until the first is freed.
    """
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 256 * 1024)


def fail(name: str, line: str, code: int) -> NoReturn:
    """Ends the process with one clear line on stderr."""
    sys.stderr.write(f"{name}: {line}\n")
    raise SystemExit(code)


def do_instead(name: str, settings_class: type[S], arguments: Sequence[str], tasks: "Tasks[S]") -> None:
    """Does what the arguments ask for and exits; returns if there are none. Raises SettingsWrong, CannotStart."""
    match list(arguments):
        case []:
            return
        case ["--help" | "-h"]:
            sys.stdout.write(usage(tasks))
            raise SystemExit(0)
        case ["--settings"]:
            sys.stdout.write(settings_class.read().manual() + "\n")
            raise SystemExit(0)
        case [task] if task in tasks:
            settings = settings_class.read()
            logs.configure(name, "warning")
            raise SystemExit(tasks[task][1](settings))
        case [unknown, *_]:
            known = ", ".join([*tasks, "--settings and --help"])
            fail(name, f"unknown argument {unknown}; there are {known}", 2)


def usage(tasks: "Tasks[S]") -> str:
    """What --help prints; the program's own docstring says what it is."""
    program = sys.modules["__main__"]
    module = program.__spec__.parent if program.__spec__ is not None else program.__file__
    about = (program.__doc__ or "").partition(": ")[2].partition("\n")[0]
    words = "|".join([*tasks, "--settings"])
    lines = [f"usage: python -m {module} [{words}]", "", f"{about[:1].upper()}{about[1:]}", ""]
    lines += [f"  {task:10} {text}" for task, (text, _) in tasks.items()]
    lines += ["  --settings explains each setting with its value; the environment sets them", ""]
    return "\n".join(lines)


async def supervise(name: str, settings: S, main: Callable[[S, Process], Awaitable[None]]) -> None:
    """main with signals and the admin port around it. Raises CannotStart, and whatever main raises."""
    process = Process(name, settings)
    task = asyncio.ensure_future(main_after_admin(process, settings, main))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, process, task, settings.drain_seconds + CANCEL_SECONDS)
    try:
        await task
    except asyncio.CancelledError:
        if not process.stopping.is_set():
            raise
        log.warning("stopped before everything was drained", drain_seconds=settings.drain_seconds)
    except PortInUse as reason:
        raise PortInUse(
            reason.address, reason.port, type(settings).name_of_port(settings, reason.port)
        ) from None
    finally:
        end_without_fail(CANCEL_SECONDS)
        await process.stop_admin()
    log.info("stopped")


def end_without_fail(seconds: float) -> None:
    """Ends the process so much later, if it has not ended by itself.

    Its tasks are cancelled once, and some take that for a failed attempt and try again (psycopg_pool's workers).
    """
    timer = threading.Timer(seconds, os._exit, (1,))
    timer.daemon = True
    timer.start()


async def main_after_admin(
    process: Process, settings: S, main: Callable[[S, Process], Awaitable[None]]
) -> None:
    """The admin port first, so that /live answers while main waits for others."""
    await process.start_admin()
    await main(settings, process)


def stop(process: Process, task: "asyncio.Future[None]", seconds: float) -> None:
    """The signal handler: tells main to stop, and bounds how long it may take; a second signal does not wait."""
    loop = asyncio.get_running_loop()
    if not process.stopping.is_set():
        log.info("stopping")
        process.stopping.set()
        process.told_at = loop.time()
        loop.call_later(seconds, task.cancel)
    elif loop.time() - process.told_at > SAME_SECONDS:
        task.cancel()
