"""The wheel, as somebody gets it: built, installed into an empty environment, and run from another folder.

    python tests/packaging/fresh_install.py [--keep FOLDER]

Needs the package index (for what the wheel depends on) and a few minutes. Ends with 1 where anything is amiss:
the demo runs, `--version` and the metadata say what they must, nothing is read from the clone.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from email import message_from_string
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
PROJECT = Path(__file__).parents[2]
OURS = ("watchtower", "enrichment", "detectors", "prompts", "evals")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, help="Work here, and leave it there.")
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = given.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="watchtower-wheel-")))
        folder.mkdir(parents=True, exist_ok=True)
        wheel = timed("built", lambda: built(folder / "dist"))
        python = timed("installed", lambda: installed(folder / "venv", wheel))
        away = folder / "elsewhere"
        away.mkdir(exist_ok=True)
        for name, value in metadata(python, away).items():
            print(f"  {name}: {value}")
        print(said(python, away, "-m", "watchtower.cli.main", "--version").strip())
        told = timed("the demo", lambda: demo(python, away))
        print("\n".join(f"  {line}" for line in told.splitlines() if line.strip()))


def built(folder: Path) -> Path:
    """The wheel of this clone, made from its source archive, in an environment of its own."""
    said(Path(sys.executable), PROJECT, "-m", "build", "--outdir", str(folder), str(PROJECT))
    [wheel] = folder.glob("*.whl")
    return wheel


def installed(folder: Path, wheel: Path) -> Path:
    """The Python of an empty environment with the wheel in it."""
    said(Path(sys.executable), folder.parent, "-m", "venv", str(folder))
    python = folder / "bin/python"
    said(python, folder.parent, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel))
    said(python, folder.parent, "-m", "pip", "check")
    return python


def metadata(python: Path, away: Path) -> dict[str, str]:
    """What pip knows of it; fails where something is missing, or an address of a registry is in it."""
    text = said(
        python, away, "-c",
        "from importlib.metadata import distribution as d; print(d('watchtower-revops').read_text('METADATA'))",
    )  # fmt: skip
    told = message_from_string(text)
    wanted = ("Name", "Version", "Summary", "Requires-Python", "License-Expression", "License-File")
    missing = [name for name in wanted if not told.get(name)]
    assert not missing, f"the metadata lack {', '.join(missing)}"
    assert "# Watchtower" in told.get_payload(), "the metadata lack the README"
    head = text[: text.index("\n\n")]
    assert "simple/" not in head and "index-url" not in head, "the metadata hold an address of a registry"
    where = said(python, away, "-c", f"import {', '.join(OURS)}; print({', '.join(f'{n}.__file__' for n in OURS)})")
    assert str(PROJECT) not in where, f"something is read from the clone: {where}"
    return {name: told[name] for name in wanted}


def demo(python: Path, away: Path) -> str:
    """What the demo says."""
    command = python.parent / "watchtower"
    return said(command, away, "demo", "--no-serve", "--no-model", "--data", str(away / "demo"))


def timed(what: str, do: Callable[[], T]) -> T:
    """Do it, and say how long it took."""
    began = time.monotonic()
    result = do()
    print(f"{what}: {time.monotonic() - began:.0f} s", flush=True)
    return result


def said(program: Path, folder: Path, *arguments: str) -> str:
    """What a program printed. Its end with another code than 0 ends this one, with its last words."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("WATCHTOWER_", "PYTHON")) and k != "DATABASE_URL"}
    ended = subprocess.run([program, *arguments], cwd=folder, env=clean, capture_output=True, text=True, check=False)
    if ended.returncode:
        sys.exit(f"{program.name} {' '.join(arguments)} ended with {ended.returncode}:\n{ended.stderr[-2000:]}")
    return ended.stdout


if __name__ == "__main__":
    main()
