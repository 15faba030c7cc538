"""`watchtower demo`: what it says it found is what was planted, and nothing else."""

from __future__ import annotations

from pathlib import Path

from command_line import wt

from watchtower.cli.demo import beside


def test_the_demo_finds_every_planted_breach_and_invents_none(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    made = wt("demo", "--no-serve", "--no-model", "--accounts", "40", "--json", "--data", folder).json()
    breaches = made["breaches"]
    assert breaches["found"] == breaches["planted"] > 0
    assert breaches["missed"] == breaches["invented"] == []
    assert all(one["found"] + len(one["missed"]) == one["planted"] for one in made["signals"])
    assert sum(one["found"] for one in made["signals"]) > 0
    assert made["events"] > 0 and sum(made["open_by_queue"].values()) > 0
    assert sum(run["refused"] for run in made["enrichment"]) >= 0
    alerts = wt("alerts", "--data", folder, "--limit", "200", "--json").json()
    assert len(alerts) == min(sum(made["open_by_queue"].values()), 200)


def test_a_folder_that_holds_something_else_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    said = wt("demo", "--no-serve", "--data", tmp_path, code=1).err
    assert "holds something that is not a demo" in said
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_where_nothing_can_be_made_beside_the_data_a_demo_goes_into_it(tmp_path: Path) -> None:
    data = tmp_path / "not yet" / "data"
    assert beside(data) == tmp_path / "not yet" / "data-demo"
    assert beside(data, may=lambda folder: folder != tmp_path) == data / "demo"
    (tmp_path / "not yet" / "data-demo").mkdir(parents=True)
    assert beside(data, may=lambda folder: False) == tmp_path / "not yet" / "data-demo", "it was made for it"
