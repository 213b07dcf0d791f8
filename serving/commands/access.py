"""`tailorbird keys` and `tailorbird audit`."""

import json
from typing import Any

import click

from serving.commands.options import STATE


@click.group()
def keys() -> None:
    """API keys: who may ask the service for what (docs/access.md)."""


@keys.command("create")
@click.option("--scopes", required=True, help="Of recommend, events, catalogue, person and admin, with commas.")
@click.option("--name", default="", help="Who or what the key is for.")
@click.option("--expires", help="When it ends: 90d, 12h, or a time (RFC 3339); never, if not given.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Requests per second that a worker answers.")
@click.option("--burst", type=click.IntRange(1), help="Requests that may come at once; twice --rate, if not given.")
@click.option("--no-store", is_flag=True, help="Keep it nowhere; print what TAILORBIRD_KEYS takes instead.")
@STATE
def create_key_(state: str, scopes: str, no_store: bool, **given: Any) -> None:
    """Make a key; its text is the last line, and nobody can show it again."""
    from serving.access.administration import made_key, store_key
    from serving.access.keys import environment_line

    if no_store and (given["expires"] or given["rate"] or given["burst"]):
        raise click.ClickException("a key of the environment has no --expires, --rate or --burst")
    key = made_key([scope.strip() for scope in scopes.split(",")], **given)
    if no_store:
        click.echo(f"TAILORBIRD_KEYS={environment_line(key.stored)}")
    else:
        store_key(state, key)
    click.echo(f"Shown once: keep the next line where secrets are kept. Its id is {key.stored.key_id}.", err=True)
    click.echo(key.text)


@keys.command("list")
@STATE
def list_keys_(state: str) -> None:
    """All keys that were ever made, without their texts."""
    from serving.access.administration import keys_table, list_keys
    from serving.desk.desk import wall_clock

    for line in keys_table(list_keys(state), wall_clock()):
        click.echo(line)


@keys.command("revoke")
@click.argument("key_id")
@STATE
def revoke_key_(key_id: str, state: str) -> None:
    """Let a key end now; every worker refuses it within a second."""
    from serving.access.administration import revoke_key

    revoke_key(state, key_id)
    click.echo(f"{key_id} has ended")


@keys.command("rotate")
@click.argument("key_id")
@click.option("--keep", default="1d", show_default=True, help="For how long the old key goes on beside the new one.")
@STATE
def rotate_key_(key_id: str, keep: str, state: str) -> None:
    """Make a key in place of another, good for the same; the new one's text is the last line."""
    from serving.access.administration import rotate_key

    key = rotate_key(state, key_id, keep)
    click.echo(f"{key_id} ends in {keep}; the id of the new one is {key.stored.key_id}. Shown once:", err=True)
    click.echo(key.text)


@click.group()
def audit() -> None:
    """Who did what with people's data, and what an operator changed."""


@audit.command("list")
@click.option("--user", "user_id", help="Only what was about this user.")
@click.option("--visitor", "anonymous_id", help="Only what was about this visitor.")
@click.option("--after", default=0, show_default=True, help="Number of the entry after which to begin.")
@click.option("--limit", default=1_000, show_default=True, type=click.IntRange(1), help="Most entries to show.")
@STATE
def list_audit_(state: str, **asked: Any) -> None:
    """Entries of the audit log, oldest first, one JSON object a line."""
    from serving.access.administration import audit_entries

    for entry in audit_entries(state, **asked):
        click.echo(json.dumps(entry))
