"""`restante domain`: which domains are ours.

The rule: adding one that is there already is no error, so that scripts may repeat themselves.
"""

import typer

from services.cli.output import AsJson, refusals, show

app = typer.Typer(help="Domains that mail is taken for.", no_args_is_help=True)


@app.command("add")
def add(domain: str, as_json: AsJson = False) -> None:
    """Take mail for DOMAIN; may be repeated."""
    from services.cli.store import ask

    with refusals():
        is_new = ask(lambda accounts: accounts.add_domain(domain))
    show(
        {"domain": domain, "is_new": is_new},
        [f"{domain} added" if is_new else f"{domain} is there"],
        as_json=as_json,
    )


@app.command("list")
def list_all(as_json: AsJson = False) -> None:
    """Print every domain, one a line."""
    from services.cli.store import ask

    with refusals():
        domains = ask(lambda accounts: accounts.list_domains())
    show([{"domain": each} for each in domains], list(domains), as_json=as_json)
