"""The command within this process, and the one sentence of a refusal."""

from pathlib import Path

from click.testing import CliRunner, Result

import tailorbird


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(tailorbird.main, [str(argument) for argument in arguments])


def told(result: Result) -> str:
    """The one sentence of a command that was refused; a stack trace would be another exception."""
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    return result.stderr.strip().splitlines()[-1].removeprefix("Error: ")
