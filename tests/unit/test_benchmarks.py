"""Every benchmark is a line of the table, says its figures for machines, and its page says what was reached."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmarks import run
from benchmarks.figures import Figure
from benchmarks.page import dots, gain, held_against_aim, number, row
from benchmarks.table import BENCHMARKS, Benchmark


def test_every_program_among_the_benchmarks_is_in_the_table_and_says_its_figures(project: Path) -> None:
    programs = {
        path.stem: path.read_text(encoding="utf-8")
        for path in (project / "benchmarks").glob("*.py")
        if path.stem != "run" and '__name__ == "__main__"' in path.read_text(encoding="utf-8")
    }
    assert set(programs) == {one.name for one in BENCHMARKS}
    assert [name for name, text in programs.items() if "figure(" not in text or "arguments(__doc__)" not in text] == []


def test_a_benchmark_prints_its_figures_as_json_alone(project: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.normalisers", "--count", "50", "--kind", "domain", "--json"]
    ended = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True)
    [said] = json.loads(ended.stdout)["figures"]
    assert said["what"] == "normaliser of domain" and said["value"] > 0 and said["aim"] == 10_000
    assert "values/s" in ended.stderr


def test_a_figure_is_held_against_its_aim_and_its_peer_in_its_own_direction() -> None:
    speed = Figure("speed", 5, aim=10, peer="another", of_peer=2)
    wait = Figure("wait", 5, better="lower", aim=10, peer="another", of_peer=2)
    assert (speed.reached, held_against_aim(speed), gain(speed)) == (False, 0.5, 2)
    assert (wait.reached, held_against_aim(wait), gain(wait)) == (True, 2, 0.5)
    assert Figure("bare", 5).reached is None and held_against_aim(Figure("bare", 5)) is None
    assert row(speed) == "| speed | 5 | at least 10, not reached | another | 2 |"
    assert "at least 10, not at this size" in row(speed, small=True)
    assert [number(value) for value in (12345.6, 0.1234, 0, 0.00001)] == ["12,346", "0.123", "0", "1.0e-05"]


def test_a_run_that_was_stopped_goes_on_and_the_page_says_what_was_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured: list[str] = []

    def measure(one: Benchmark, size: str) -> dict[str, object]:
        measured.append(one.name)
        if one.name == "live":
            return {"fault": "exit code 1: no room", "seconds": 1.0}
        figures = [{"what": f"a < b of {one.name}", "value": 2.0, "unit": "s", "better": "lower", "aim": 4.0,
                    "peer": "x", "of_peer": 0.5}]  # fmt: skip
        return {
            "name": one.name, "size": size, "arguments": run.arguments_of(one, size), "figures": figures,
            "seconds": 1.0, "load": [0.1, 0.2], "date": "2026-03-02", "machine": "2 cores",
        }  # fmt: skip

    monkeypatch.setattr(run, "measure", measure)
    base = ["run", "--quick", "--results", str(tmp_path / "results"), "--docs", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", [*base, "--only", "normalisers"])
    run.main()
    monkeypatch.setattr(sys, "argv", [*base, "--only", "normalisers,posting,live"])
    with pytest.raises(SystemExit, match="failed: live"):
        run.main()
    assert measured == ["normalisers", "posting", "live"]
    assert "no room" in capsys.readouterr().out
    page = (tmp_path / "benchmarks.md").read_text()
    assert "2 of" in page and "**2 of them were run at small sizes**" in page
    assert "| a &lt; b of posting | 2 s | at most 4 | x | 0.5 |" in page
    for name in ("aims", "peers"):
        ET.parse(tmp_path / f"benchmarks/{name}.svg")


def test_a_picture_is_sound_also_where_nothing_was_measured() -> None:
    ET.fromstring(dots([], "worse", "better"))
    shown = dots([(Figure("a & b", 1), 0.001), (Figure("c", 1), 30.0)], "worse", "better")
    assert "a & b" in "".join(ET.fromstring(shown).itertext())
