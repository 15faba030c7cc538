"""How often Python looks for garbage in cycles: seldom, for what goes in and out here is freed without it.

A batch of events makes some hundred thousand small objects, and no cycle among them. By its defaults the collector
walks through them, and through all that was there before, again and again: 40 percent of the time of a batch.
"""

from __future__ import annotations

import gc


def collect_seldom() -> None:
    """For a process of ours, at its start: memory in cycles is freed after 50,000 new objects, not after 700."""
    gc.set_threshold(50_000, 20, 50)
