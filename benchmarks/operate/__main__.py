"""`python -m benchmarks.operate`: write RESULTS.md anew from results.json; the studies are modules beside this one."""

import click

from benchmarks.operate.results import HERE, write_page


@click.command()
def main() -> None:
    """Measure nothing: write the page from what was measured."""
    write_page()
    click.echo(HERE / "RESULTS.md")


if __name__ == "__main__":
    main()
