"""`tailorbird promote`, `rollback`, `serve` and `bento`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from serving.commands.options import REGISTRY, STATE

if TYPE_CHECKING:
    from serving.retrieval.device import Device


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@REGISTRY
@STATE
@click.option("--force", is_flag=True, help="Also one that the gate refused; needs --why.")
@click.option("--why", default="", help="The reason, which is recorded in the registry.")
def promote(bundle: Path, registry: Path, state: str, force: bool, why: str) -> None:
    """Make a bundle the live one; noted in the audit log of --state."""
    from serving.access.administration import note
    from serving.lifecycle.registry import promote as make_live

    note(state, "promote", bundle=str(bundle.resolve()), registry=str(registry.resolve()), why=why)
    click.echo(f"live: {make_live(bundle, registry, force=force, why=why).live}")


@click.command()
@REGISTRY
@STATE
def rollback(registry: Path, state: str) -> None:
    """Make the previous bundle live again; noted in the audit log of --state."""
    from serving.access.administration import note
    from serving.lifecycle.registry import rollback as return_to_previous

    note(state, "rollback", registry=str(registry.resolve()))
    click.echo(f"live: {return_to_previous(registry).live}")


@click.command()
@click.option("--bundle", type=click.Path(path_type=Path), help="Path of a bundle.")
@click.option("--registry", type=click.Path(path_type=Path), help="Registry folder, whose live bundle is served.")
@STATE
@click.option("--config", type=click.Path(path_type=Path), help="File whose `serving` section says how to serve.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=3000, show_default=True, help="Port to listen on.")
@click.option("--workers", type=click.IntRange(1, 64), help="Processes; those of --config, or 1, if not given.")
def serve(bundle: Path | None, registry: Path | None, **where: Any) -> None:
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
