"""Rulebooks written to harm are refused, or do none. `hostile_rulebooks.py --count 1000` draws many more."""

from __future__ import annotations

import random
from pathlib import Path

from faults.hostile_rulebooks import book, draw, try_one


def test_hostile_rulebooks_are_refused_with_a_place_or_do_no_harm(tmp_path: Path) -> None:
    assert try_one(book("n > 1").encode(), tmp_path)[0] == "harmless"
    rng = random.Random(2026)
    ends = [try_one(draw(rng), tmp_path)[0] for _ in range(200)]
    assert ends.count("refused") > 100 and ends.count("harmless") > 10
