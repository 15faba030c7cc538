"""`watchtower`: the command line. One file per group of commands; this one joins them and reports errors.

What takes long to import is imported in `run`, where Ctrl-C ends in a line and not in a traceback.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from watchtower import __version__
from watchtower.errors import WatchtowerError
from watchtower.memory import collect_seldom

if TYPE_CHECKING:
    import typer

COMMANDS = {
    "demo": "demo:run",
    "up": "service:up",
    "serve": "service:serve",
    "tick": "tower:tick",
    "worker": "service:worker",
    "deliver": "service:deliver",
    "outbox": "outbox:app",
    "rules": "rules:app",
    "import": "tower:import_file",
    "sync": "systems:sync",
    "systems": "systems:systems",
    "enrich": "training:app",
    "fetch": "fetch:fetch",
    "detect": "detect:app",
    "normalise": "normalise:normalise",
    "duplicates": "merging:app",
    "eval": "evals:app",
    "alerts": "alerts:alerts",
    "review": "review:review",
    "silence": "silence:app",
    "deadletters": "deadletters:app",
    "backup": "operations:backup",
    "restore": "operations:restore",
    "doctor": "operations:doctor",
    "erase": "operations:erase",
    "retention": "operations:retention",
    "metrics": "metrics:metrics",
    "audit": "audit:audit",
    "replay": "replay:replay",
    "models": "models:app",
    "keys": "keys:app",
    "audit-log": "audit_log:app",
    "database": "database:app",
    "config": "config:config",
    "mcp": "mcp:mcp",
    "reporting": "reporting:app",
}
"""Each command, or group of them, and where it stands, in the order of `--help`."""


def application(arguments: list[str]) -> typer.Typer:
    """The application. Where the arguments name a command, only that one is loaded: the others may be heavy."""
    import typer

    def print_version(value: bool) -> None:
        if value:
            typer.echo(f"watchtower {__version__}")
            raise typer.Exit

    shown = typer.Option(False, "--version", callback=print_version, is_eager=True, help="Print the version.")

    def main(version: bool = shown) -> None:
        """A rulebook for revenue operations that runs: rules as statements about time, with AI below them."""

    app = typer.Typer(
        name="watchtower",
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(main)
    named = [argument for argument in arguments[:1] if argument in COMMANDS]
    for name in named or COMMANDS:
        module, _, attribute = COMMANDS[name].partition(":")
        found = getattr(import_module(f"watchtower.cli.{module}"), attribute)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name=name)(found)
    return app


def run(arguments: list[str] | None = None) -> None:
    """The entry point: an expected error is one message on standard error and an exit code, never a traceback."""
    given = sys.argv[1:] if arguments is None else arguments
    if arguments is None:
        collect_seldom()
        signal.signal(signal.SIGTERM, _end)
    try:
        if given == ["--version"]:
            print(f"watchtower {__version__}")
            return
        from watchtower.logs import configure
        from watchtower.settings import tracing_wanted

        configure()
        if tracing_wanted():
            from watchtower import tracing

            tracing.begin(given[0] if given[:1] and given[0] in COMMANDS else "", __version__)
        application(given)(args=given, prog_name="watchtower")
    except WatchtowerError as error:
        _say(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
    except SystemExit as end:
        if end.code == 130 and _interrupted(end):  # typer makes an exit of Ctrl-C, and says nothing
            print("stopped", file=sys.stderr)
        raise
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _say(f"{place}{error.strerror or error}")
        sys.exit(1)
    except Exception as error:
        if os.environ.get("WATCHTOWER_TRACEBACK"):
            raise
        _say(_fault_of_ours(error))
        sys.exit(70)


def _end(number: int, _: object) -> None:
    """SIGTERM ends a command as Ctrl-C does: what is open is closed, the embedded database is stopped."""
    raise SystemExit(128 + number)


def _fault_of_ours(error: Exception) -> str:
    """What to report: the fault, and the innermost place in our code."""
    where = [frame for frame in traceback.extract_tb(error.__traceback__) if "site-packages" not in frame.filename]
    place = f" ({Path(where[-1].filename).name}:{where[-1].lineno})" if where else ""
    first = next(iter(str(error).splitlines()), "")
    return (
        f"a fault in watchtower itself: {type(error).__name__}: {first:.300}{place}\n"
        "  Nothing acknowledged is lost. Please report it; WATCHTOWER_TRACEBACK=1 shows where it comes from."
    )


def _interrupted(end: BaseException | None) -> bool:
    """Whether this exit comes of Ctrl-C."""
    while end is not None and not isinstance(end, KeyboardInterrupt):
        end = end.__cause__ or end.__context__
    return end is not None


def _say(text: str) -> None:
    from watchtower.cli.output import errors

    errors.print("[bold red]error:[/] " + text.replace("[", "\\["))


if __name__ == "__main__":
    run()
