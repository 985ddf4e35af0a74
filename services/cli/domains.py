"""`restante domain`: which domains are ours.

The rule: adding one that is there already is no error, so that scripts may repeat themselves.
"""

from typing import Annotated, Final

import typer

from services.cli.output import AsJson, refusals, show
from services.cli.tables import Column, show_table

app = typer.Typer(help="Domains that mail is taken for.", no_args_is_help=True)

Domain = Annotated[str, typer.Argument(metavar="DOMAIN", help="Such as example.org.")]

COLUMNS: Final = (Column("domain", "DOMAIN"),)


@app.command("add", epilog="Example: restante domain add example.org")
def add(domain: Domain, as_json: AsJson = False) -> None:
    """Take mail for DOMAIN; may be repeated."""
    from services.cli.store import ask

    with refusals():
        is_new = ask(lambda accounts: accounts.add_domain(domain))
    show(
        {"domain": domain, "is_new": is_new},
        [f"{domain} added" if is_new else f"{domain} is there"],
        as_json=as_json,
    )


@app.command("list", epilog="Example: restante domain list")
def list_all(as_json: AsJson = False) -> None:
    """Print every domain."""
    from services.cli.store import ask

    with refusals():
        domains = ask(lambda accounts: accounts.list_domains())
    rows = ({"domain": each} for each in domains)
    show_table(COLUMNS, rows, "no domains yet: restante domain add takes mail for one", as_json=as_json)


@app.command("remove", epilog="Example: restante domain remove example.org")
def remove(domain: Domain, as_json: AsJson = False) -> None:
    """Take no more mail for DOMAIN, which has neither accounts nor aliases any more."""
    from services.cli.store import ask

    with refusals():
        ask(lambda accounts: accounts.remove_domain(domain))
    show({"domain": domain}, [f"{domain} removed"], as_json=as_json)
