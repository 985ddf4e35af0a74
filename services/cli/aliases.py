"""`restante alias`: addresses whose letters go to others.

The rule: an alias is made and changed by the same command, and adding what is there already is no error.
"""

from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated, Any, Final

import typer

from services.cli.output import AsJson, refusals, show
from services.cli.tables import Column, show_pages
from services.mail.store import Store

app = typer.Typer(help="Aliases: addresses whose letters go to others.", no_args_is_help=True)

Address = Annotated[
    str,
    typer.Argument(
        metavar="ALIAS",
        help="name@domain; @domain takes what nobody else does; postmaster is for all domains.",
    ),
]

PAGE: Final = 1000
COLUMNS: Final = (Column("address", "ALIAS"), Column("targets", "LEADS TO", spreads=True))


@app.command("add", epilog="Example: restante alias add sales@example.org alice@example.org bob@example.org")
def add(
    address: Address,
    targets: Annotated[
        list[str],
        typer.Argument(metavar="TARGET", help="Accounts, or other aliases; added to those there are."),
    ],
    as_json: AsJson = False,
) -> None:
    """Have letters to ALIAS go to each TARGET; may be repeated."""
    from services.cli.store import ask_store

    with refusals():
        alias = ask_store(lambda store: store.aliases.add(address, targets))
    show(asdict(alias), [f"{alias.address} leads to {', '.join(alias.targets)}"], as_json=as_json)


@app.command("list", epilog="Example: restante alias list alice@example.org")
def list_all(
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="Only those that lead to this address at once.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Print every alias and where it leads, a line for each address."""
    from services.cli.store import ask_store

    async def pages(store: Store) -> AsyncIterator[list[dict[str, Any]]]:
        token = ""
        while True:
            page = await store.aliases.list(PAGE, token, target)
            yield [asdict(each) for each in page.aliases]
            token = page.next_page_token
            if not token:
                return

    nothing = f"no alias leads to {target}" if target else "no aliases yet: restante alias add makes one"
    with refusals():
        ask_store(lambda store: show_pages(COLUMNS, pages(store), nothing, as_json=as_json))


@app.command("remove", epilog="Example: restante alias remove sales@example.org bob@example.org")
def remove(
    address: Address,
    targets: Annotated[
        list[str] | None,
        typer.Argument(metavar="TARGET", help="Only these; without any, the whole alias."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Remove ALIAS, or some of what it leads to; what then leads nowhere goes with it."""
    from services.cli.store import ask_store

    with refusals():
        ask_store(lambda store: store.aliases.remove(address, targets or ()))
    line = f"{address} leads no longer to {', '.join(targets)}" if targets else f"{address} removed"
    show({"address": address, "targets": targets or []}, [line], as_json=as_json)
