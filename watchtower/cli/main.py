"""`watchtower`: the command line. One file per group of commands; this one joins them and reports errors."""

from __future__ import annotations

import sys

import click
import typer

from watchtower import __version__
from watchtower.cli import rules
from watchtower.cli.output import errors
from watchtower.errors import WatchtowerError

app = typer.Typer(
    name="watchtower",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A rulebook for revenue operations that runs: rules as statements about time, with AI below them.",
)
app.add_typer(rules.app, name="rules")


def _version(value: bool) -> None:
    if value:
        typer.echo(f"watchtower {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """A rulebook for revenue operations that runs."""


def run(arguments: list[str] | None = None) -> None:
    """The entry point: every expected error is one message on standard error and an exit code, never a traceback."""
    try:
        app(args=arguments, standalone_mode=False)
    except WatchtowerError as error:
        errors.print(f"[bold red]error:[/] {_plain(str(error))}")
        sys.exit(error.exit_code)
    except click.UsageError as error:
        error.show()
        sys.exit(2)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except (KeyboardInterrupt, click.Abort):
        errors.print("stopped")
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)


def _plain(text: str) -> str:
    return text.replace("[", "\\[")


if __name__ == "__main__":
    run()
