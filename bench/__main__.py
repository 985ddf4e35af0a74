"""Runs every workload against Restante and Dovecot in turns and prints the table: `make bench`."""

import argparse
import asyncio
import statistics
import sys
from pathlib import Path

import uvloop

from bench import idle, million, moving, peers, storm, workloads
from bench.peers import Peer
from bench.workloads import Workload

MARK = "<!-- bench -->"
# Seconds that the texts of a filled folder may take to be kept for searching.
PATIENCE = 180.0
# How long after the last letter that work may begin.
PAUSE = 4.0


async def measure(workload: Workload, sides: tuple[Peer, Peer], rounds: int) -> str:
    """One row of the table: medians in ms, their spread, and the median of the ratios of each round."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds + 1):
        seen = []
        for side, taken in zip(sides, times, strict=True):
            # What one side still does behind its last turn is not to slow down the other's.
            await peers.quiet()
            seconds, digest = await workload.run(side)
            seen.append(digest)
            if turn:  # the first turn warms both sides up
                taken.append(seconds)
        if seen[0] != seen[1]:
            raise SystemExit(
                f"{workload.name}: {sides[0].name} answered {seen[0]}, {sides[1].name} {seen[1]}"
            )
        print(f"\r{workload.name}: {turn} of {rounds}", end="", flush=True, file=sys.stderr)
    print("\r\033[K", end="", file=sys.stderr)
    ratio = statistics.median(theirs / ours for ours, theirs in zip(*times, strict=True))
    cells = " | ".join(
        f"{statistics.median(taken) * 1000:,.1f} ({min(taken) * 1000:,.1f}–{max(taken) * 1000:,.1f})"
        for taken in times
    )
    verdict = "" if ratio >= workload.budget else " below"
    return f"| {workload.name} | {cells} | {ratio:.2f} | {workload.budget:g}{verdict} |"


async def compare(sides: tuple[Peer, Peer], chosen: tuple[str, ...], rounds: int) -> list[str]:
    """Runs the workloads whose names hold one of the chosen words; fills both sides first where one reads."""
    table = []
    for workload in _pick(workloads.DELIVERIES, chosen):
        table.append(await measure(workload, sides, rounds))
        print(table[-1], flush=True)
    readings = _pick(workloads.READINGS, chosen)
    if readings:
        print(f"filling folders of {workloads.FOLDER:,}", file=sys.stderr)
        for side in sides:
            await workloads.fill(side)
        await asyncio.sleep(PAUSE)
        await peers.quiet(PATIENCE)
    for workload in readings:
        table.append(await measure(workload, sides, rounds))
        print(table[-1], flush=True)
    return table


def _pick(everything: tuple[Workload, ...], chosen: tuple[str, ...]) -> list[Workload]:
    return [
        workload for workload in everything if not chosen or any(word in workload.name for word in chosen)
    ]


def show(table: list[str], file: Path | None, marks: tuple[str, str]) -> None:
    """Prints a table, and puts it between its marks into a file that has them."""
    print(*table, sep="\n")
    if file is not None:
        before, _, rest = file.read_text().partition(marks[0])
        _, _, after = rest.partition(marks[1])
        file.write_text("\n".join([before + marks[0], "", *table, "", marks[1] + after]))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("words", nargs="*", help="only workloads whose names hold one of these words")
    parser.add_argument("--rounds", type=int, default=5, help="timed turns of each workload (5)")
    parser.add_argument("--write", type=Path, help=f"put the table into this file, after the line {MARK}")
    parser.add_argument(
        "--million",
        action="store_true",
        help="a folder of 1,000,000 instead, beside one of 10,000, a minute or two",
    )
    parser.add_argument(
        "--home", type=Path, help="with --million: a folder that keeps its mail for the next run"
    )
    parser.add_argument("--idle", action="store_true", help="memory of 1,000 idle connections instead")
    parser.add_argument("--storm", action="store_true", help="2,000 logins at once after a restart instead")
    parser.add_argument(
        "--moving",
        type=int,
        nargs="?",
        const=moving.MESSAGES,
        metavar="MESSAGES",
        help=f"a Maildir of {moving.MESSAGES:,} messages imported instead, beside doveadm import",
    )
    options = parser.parse_args()
    if options.storm:
        show(storm.measure(), options.write, storm.MARKS)
        return
    if options.million:
        with peers.restante(options.home) as ours:
            show(uvloop.run(million.measure(ours, options.rounds)), options.write, million.MARKS)
        return
    if lack := peers.missing():
        raise SystemExit(lack)
    if options.idle:
        show(idle.measure(), options.write, idle.MARKS)
        return
    if options.moving:
        show(moving.measure(options.moving), options.write, moving.MARKS)
        return
    head = [
        f"| work (medians of {options.rounds}, ms) | Restante | Dovecot | ours ÷ Dovecot, as a rate | budget |",
        "|---|---|---|---|---|",
    ]
    print(*head, sep="\n")
    with peers.restante() as ours, peers.dovecot() as theirs:
        table = uvloop.run(compare((ours, theirs), tuple(options.words), options.rounds))
    if options.write:
        before, _, _ = options.write.read_text().partition(MARK)
        options.write.write_text("\n".join([before + MARK, "", *head, *table, ""]))


if __name__ == "__main__":
    main()
