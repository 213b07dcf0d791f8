"""Options that several commands share."""

from pathlib import Path

import click

FOLDER = "Folder to write to."
CONFIG = click.option("--config", required=True, type=click.Path(path_type=Path), help="Configuration file (YAML).")
STATE = click.option(
    "--state", default="sqlite:///var/state.db", show_default=True, envvar="TAILORBIRD_STATE", help="URL of the state."
)
REGISTRY = click.option(
    "--registry", default="registry", show_default=True, help="Registry: a folder, or an address such as s3://…"
)
