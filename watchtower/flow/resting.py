"""Hosts that gave no page are left alone for a while: an hour after the first failure, twice as long after each next.

What is known of them is a small file in the data folder. It holds no truth: without it, hosts are asked once more.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import structlog

from watchtower.contract import format_time

log = structlog.get_logger(__name__)

FIRST = timedelta(hours=1)
LONGEST = timedelta(days=7)
MOST = 10_000
"""Hosts that are remembered; beyond, those whose rest ends first are forgotten."""


class Rest(msgspec.Struct, frozen=True):
    """How often a host failed one after the other, and until when it is left alone."""

    failed: int
    until: datetime


class Resting:
    """The hosts that rest, in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def hosts(self, now: datetime) -> dict[str, Rest]:
        """Those that are left alone at `now`."""
        return {host: rest for host, rest in self._known().items() if rest.until > now}

    def told(self, outcomes: dict[str, bool], now: datetime) -> None:
        """Which hosts gave a page (their failures are forgotten), and which gave none."""
        known = self._known()
        if all(outcomes.values()) and not any(host in known for host in outcomes):
            return
        for host, gave in outcomes.items():
            before = known.pop(host, None)
            if not gave:
                failed = 1 if before is None else before.failed + 1
                known[host] = Rest(failed, now + min(FIRST * 2 ** min(failed - 1, 20), LONGEST))
        kept = sorted(known.items(), key=lambda one: (one[1].until, one[0]))[-MOST:]
        rows = {host: {"failed": rest.failed, "until": format_time(rest.until)} for host, rest in sorted(kept)}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        partial.write_bytes(msgspec.json.encode(rows))
        os.replace(partial, self.path)

    def _known(self) -> dict[str, Rest]:
        if not self.path.exists():
            return {}
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=dict[str, Rest])
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            log.warning("forgotten", file=str(self.path), because=str(error))
            return {}
