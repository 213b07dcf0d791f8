"""`tailorbird promote`, `rollback`, `serve` and `bento`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from serving.commands.options import REGISTRY, STATE

if TYPE_CHECKING:
    from serving.lifecycle.registry import Beside
    from serving.retrieval.device import Device


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@REGISTRY
@STATE
@click.option("--canary", "share", type=float, help="Let it answer this share of all people (0 to 1) in live's place.")
@click.option("--shadow", is_flag=True, help="Let it answer nobody, and compare it with the live one.")
@click.option("--force", is_flag=True, help="Also one that the gate refused; needs --why.")
@click.option("--why", default="", help="The reason, which is recorded in the registry.")
def promote(bundle: Path, registry: str, state: str, share: float | None, shadow: bool, force: bool, why: str) -> None:
    """Make a bundle the live one, the canary or the shadow; noted in the audit log of --state."""
    from serving.lifecycle import administration
    from serving.remote.place import place_of

    if shadow and share is not None:
        raise click.UsageError("a bundle has one place: give --canary or --shadow")
    place = place_of(registry)
    if shadow:
        pointer = administration.make_shadow(bundle, place, state, why=why)
    elif share is not None:
        pointer = administration.make_canary(bundle, place, state, share, force=force, why=why)
    else:
        pointer = administration.make_live(bundle, place, state, force=force, why=why)
    click.echo("\n".join(administration.told(pointer)))


@click.command()
@REGISTRY
@STATE
@click.option("--canary", "only", flag_value="canary", help="Take away the canary alone.")
@click.option("--shadow", "only", flag_value="shadow", help="Take away the shadow alone.")
def rollback(registry: str, state: str, only: "Beside | None") -> None:
    """Make the previous bundle live again, without canary and shadow; noted in the audit log of --state."""
    from serving.lifecycle import administration
    from serving.remote.place import place_of

    click.echo("\n".join(administration.told(administration.make_undone(place_of(registry), state, only))))


@click.command()
@click.option("--bundle", type=click.Path(path_type=Path), help="Path of a bundle.")
@click.option("--registry", help="Registry, a folder or an address such as s3://…, whose live bundle is served.")
@STATE
@click.option("--config", type=click.Path(path_type=Path), help="File whose `serving` section says how to serve.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=3000, show_default=True, help="Port to listen on.")
@click.option("--workers", type=click.IntRange(1, 64), help="Processes; those of --config, or 1, if not given.")
def serve(bundle: Path | None, registry: str | None, **where: Any) -> None:
    """Answer over HTTP, from --bundle or from the live one of --registry."""
    from serving.lifecycle.launch import serve as start

    if (bundle is None) == (registry is None):
        raise click.ClickException("name what to serve: either --bundle or --registry")
    start(bundle, registry, **where)


@click.command()
@click.option("--bundle", required=True, type=click.Path(path_type=Path), help="Path of a bundle.")
@click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True, help="Where it answers."
)
def bento(bundle: Path, device: "Device") -> None:
    """Build a Bento that holds a bundle; its tag is the last line."""
    from serving.lifecycle.bento import build_bento

    click.echo(build_bento(bundle, device))
