"""The figures of a benchmark: beside the table that it prints for people, `--json` prints them for a machine.

    options = arguments(__doc__)           an argument parser that knows --json
    figure("events a second", 9700, aim=5000, peer="COPY", of_peer=.24)

With `--json` the table goes to standard error, and standard output has one JSON object: {"figures": [...]}.
"""

from __future__ import annotations

import argparse
import atexit
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Better = Literal["higher", "lower"]


@dataclass(frozen=True)
class Figure:
    """A number with what it is held against. `of_peer` is this figure over the peer's, in the same run.

    `bound`: the peer is no rival but a bound (an oracle that knows the truth, reading a file and no more): nothing can
    be better, and how near one comes is what counts.
    """

    what: str
    value: float
    unit: str = ""
    better: Better = "higher"
    aim: float | None = None
    peer: str = ""
    of_peer: float | None = None
    bound: bool = False

    @property
    def reached(self) -> bool | None:
        """Whether it is as good as its aim; None where it has none."""
        if self.aim is None:
            return None
        return self.value >= self.aim if self.better == "higher" else self.value <= self.aim


_said: list[Figure] = []


def figure(
    what: str,
    value: float,
    unit: str = "",
    *,
    better: Better = "higher",
    aim: float | None = None,
    peer: str = "",
    of_peer: float | None = None,
    bound: bool = False,
) -> None:
    """Say a figure. It is printed at the end, where --json asks for it."""
    said = None if of_peer is None else float(of_peer)
    _said.append(Figure(what, float(value), unit, better, None if aim is None else float(aim), peer, said, bound))


class _Parser(argparse.ArgumentParser):
    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:
        given = super().parse_args(args, namespace)
        if given.json:
            wanted, sys.stdout = sys.stdout, sys.stderr
            atexit.register(
                lambda: print(json.dumps({"figures": [asdict(one) for one in _said]}), file=wanted, flush=True)
            )
        return given


def arguments(words: str | None) -> argparse.ArgumentParser:
    """The parser of a benchmark, with its words as they are laid out, and --json."""
    parser = _Parser(description=words, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="The figures as one JSON object, the table on stderr.")
    return parser
