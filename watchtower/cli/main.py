"""`watchtower`: the command line. One file per group of commands; this one joins them and reports errors."""

from __future__ import annotations

import sys

import typer

from watchtower import __version__
from watchtower.cli import demo, evals, models, rules, service, tower
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
app.command(name="demo")(demo.run)
app.command(name="up")(service.up)
app.command(name="serve")(service.serve)
app.command(name="tick")(tower.tick)
app.command(name="worker")(service.worker)
app.add_typer(rules.app, name="rules")
app.command(name="import")(tower.import_file)
app.command(name="enrich")(tower.enrich)
app.command(name="detect")(tower.detect)
app.command(name="alerts")(tower.alerts)
app.add_typer(evals.app, name="eval")
app.add_typer(models.app, name="models")


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
    """The entry point: an expected error is one message on standard error and an exit code, never a traceback."""
    try:
        app(args=arguments)
    except WatchtowerError as error:
        errors.print(f"[bold red]error:[/] {_plain(str(error))}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        errors.print("stopped")
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)


def _plain(text: str) -> str:
    return text.replace("[", "\\[")


if __name__ == "__main__":
    run()
