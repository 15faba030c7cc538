"""What docs/signals.md shows loads, and every detector that it names is there."""

from __future__ import annotations

import re
from pathlib import Path

from detectors import ROSTER
from watchtower.rulebook import load


def test_the_rulebook_of_the_page_loads_and_its_detectors_are_there(project: Path, tmp_path: Path) -> None:
    page = (project / "docs/signals.md").read_text(encoding="utf-8")
    [shown] = re.findall(r"```yaml\n(.*?)```", page, flags=re.S)
    (tmp_path / "book.yaml").write_text(shown)
    book = load(tmp_path / "book.yaml").rulebook
    asked = {signal.detector for signal in book.signals.values()}
    assert asked <= set(ROSTER)
    table = set(re.findall(r"^\| (`.*?`) \|", page, flags=re.M))
    assert asked <= {name for cell in table for name in re.findall(r"`(\w+)`", cell)}
