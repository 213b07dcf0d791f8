"""`tailorbird privacy`."""

import json
import sys
from pathlib import Path

import click

from serving.commands.options import STATE

USER = click.argument("user", required=False)
VISITOR = click.option("--visitor", help="An anonymous id, beside USER or in its place.")
REACHING = click.option("--config", type=click.Path(path_type=Path), help="File whose `serving.privacy` names folders.")
SEARCH = click.option("--search", multiple=True, type=click.Path(path_type=Path), help="A further folder to search.")


@click.group()
def privacy() -> None:
    """One person's data: taken along, erased, and proven to be gone (docs/privacy.md)."""


@privacy.command("export")
@USER
@VISITOR
@STATE
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Zip file to write.")
def export_person_(user: str | None, visitor: str | None, state: str, output: Path) -> None:
    """Write everything that is held on a person to one archive."""
    from serving.person.administration import export_person

    export_person(state, user, visitor, output)
    click.echo(output)


@privacy.command("erase")
@USER
@VISITOR
@STATE
@REACHING
@SEARCH
def erase_person_(user: str | None, visitor: str | None, state: str, config: Path | None, search: tuple[Path]) -> None:
    """Remove a person from the store and from exported logs; prints the receipt as JSON."""
    from serving.person.administration import erase_person, reach_here

    click.echo(json.dumps(erase_person(state, user, visitor, reach_here(config, search)), indent=1))


@privacy.command("verify")
@USER
@VISITOR
@STATE
@REACHING
@SEARCH
def verify_person_(user: str | None, visitor: str | None, state: str, config: Path | None, search: tuple[Path]) -> None:
    """Search everything again for an erased person; exit status 1 when something is found."""
    from serving.person.administration import lines_of, reach_here, verify_person

    found = verify_person(state, user, visitor, reach_here(config, search))
    for line in lines_of(found):
        click.echo(line)
    sys.exit(0 if found.clean else 1)


@privacy.command("tombstones")
@STATE
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="File for `dataset.erased`.")
def write_tombstones_(state: str, output: Path) -> None:
    """Write the marks of erased people, which name nobody, for trainings to leave their rows out."""
    from serving.person.administration import write_tombstones

    click.echo(f"{write_tombstones(state, output)} marks in {output}")
