"""`watchtower enrich`, and beside it `enrich train` and `enrich trained`: classifiers from a customer's own labels."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table

from watchtower.bootstrap import Tower
from watchtower.cli.output import console, errors, print_json
from watchtower.cli.tower import AsJson, Data, enrich, open_tower, settings_of
from watchtower.contract import format_time
from watchtower.errors import InputError
from watchtower.workers import LabelledRow, train, trained

app = typer.Typer(invoke_without_command=True)
app.callback()(enrich)


@app.command(name="train")
def train_field(
    field: Annotated[str, typer.Argument(metavar="FIELD", help="A field of type enum: sector, or account.sector.")],
    cases: Annotated[
        Path | None,
        typer.Option(
            "--cases", help="Labelled texts instead of the tower's records: JSONL or CSV with text and label."
        ),
    ] = None,
    finer: Annotated[
        str | None,
        typer.Option("--finer", help="A finer field of the same records (industry for sector): it helps to tell."),
    ] = None,
    try_only: Annotated[bool, typer.Option("--try", help="Say how good it would be, and keep nothing.")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Learn to tell a category from texts, by the records whose category a person or a system has set.

    Says how good it is on records it has not seen: accuracy beside the commonest label's share, how many answers can
    be taken at a precision, whether its probabilities hold, which labels have too few records. The classifier is kept
    as the next version in the data folder; workers use the newest, and its hash stands with each of their proposals.

    A file gives a text and a label a line: {"text": "...", "label": "...", "finer": "..."}, or CSV with these
    columns; or cases of `watchtower eval enrichment`, of which the tuning split is read.

    Example: watchtower enrich train sector --finer industry
    """
    with open_tower(data) as tower:
        object_name, name = _field(tower, field)
        allowed = tower.rulebook.objects[object_name].fields[name].values
        if cases is not None:
            rows, learnt_from = _read(cases, name), cases.name
        else:
            if finer is not None and finer not in tower.rulebook.objects[object_name].fields:
                raise InputError(f"--finer: {object_name} has no field {finer!r}")
            rows = tower.labelled_rows(object_name, name, finer)
            learnt_from = f"the records of {object_name}"
        strange = sorted({label for _, label, _ in rows} - set(allowed))
        rows = [row for row in rows if row[1] in allowed]
        if strange:
            errors.print(f"left out, for {name} does not allow them: {', '.join(strange[:10])}", markup=False)
        settings, at = tower.settings, format_time(tower.clock())
    with console.status(f"learning {name} from {len(rows)} labelled texts") if not as_json else _silence():
        stored = train(settings, name, rows, learnt_from=learnt_from, at=at, keep=not try_only)
    if as_json:
        print_json(msgspec.to_builtins(stored))
        return
    _show(stored)
    if try_only:
        console.print("\nnothing was kept (--try)")
    else:
        console.print(f"\nkept as {stored.name}; workers use it from their next request on")


@app.command(name="trained")
def list_trained(data: Data = None, as_json: AsJson = False) -> None:
    """The trained classifiers, every version: when, from what, how good. Workers use the newest of each field.

    Example: watchtower enrich trained
    """
    found = trained(settings_of(data))
    if as_json:
        print_json([msgspec.to_builtins(one) for one in found])
        return
    table = Table("classifier", "trained", "from", "rows", "accuracy", "at .9", box=None, header_style="bold")
    for one in found:
        at = next((p.coverage for p in one.quality.at_precision if p.precision == 0.9), 0.0)
        table.add_row(
            one.name, one.trained_at[:10], one.learnt_from, str(one.quality.rows), f"{one.quality.accuracy:.3f}",
            f"{at:.0%} of records",
        )  # fmt: skip
    console.print(table if found else "none: `watchtower enrich train FIELD` makes one", markup=False)


def _silence() -> Any:
    from contextlib import nullcontext

    return nullcontext()


def _field(tower: Tower, given: str) -> tuple[str, str]:
    """The object and the field that the argument means. InputError where it is none, or no enum."""
    wanted, dot, name = given.rpartition(".")
    known = [
        (object_name, key, spec.type)
        for object_name, model in tower.rulebook.objects.items()
        for key, spec in model.fields.items()
        if key == name and (not dot or object_name == wanted)
    ]
    enums = [(object_name, key) for object_name, key, kind in known if kind == "enum"]
    if len(enums) == 1:
        return enums[0]
    if len(enums) > 1:
        remedy = "name one of " + ", ".join(f"{o}.{f}" for o, f in enums)
        raise InputError(f"{given}: several objects have that field", remedy=remedy)
    if known:
        raise InputError(
            f"{given}: is of type {known[0][2]}; a classifier tells enum fields",
            remedy="Other fields are read off the texts by patterns and the language model.",
        )
    fillable = sorted(
        f"{o}.{f}" for o, model in tower.rulebook.objects.items() for f, s in model.fields.items()
        if s.type == "enum" and s.fill == "enrichment"
    )  # fmt: skip
    raise InputError(
        f"{given}: the rulebook in force has no such field",
        remedy=f"enum fields that enrichment fills: {', '.join(fillable) or 'none'}",
    )


def _read(path: Path, field: str) -> list[LabelledRow]:
    """The labelled texts of a file. InputError names the line that is none."""
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if path.suffix.lower() == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            return [_row(row, f"{path.name}:{n}") for n, row in enumerate(csv.DictReader(file), start=2)]
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    try:
        first = json.loads(lines[0]) if lines else {}
    except ValueError:
        first = {}
    if not (isinstance(first, dict) and "text" in first and "label" in first):
        from evals.production import classifier_rows

        return [(text, label, None) for text, label in classifier_rows(path).get(field, [])]
    rows = []
    for n, line in enumerate(lines, start=1):
        try:
            rows.append(_row(json.loads(line), f"{path.name}:{n}"))
        except ValueError as fault:
            raise InputError(f"{path.name}:{n}: is no JSON ({fault})") from None
    return rows


def _row(raw: Any, place: str) -> LabelledRow:
    if not isinstance(raw, Mapping):
        raise InputError(f"{place}: is no object with text and label")
    for key in ("text", "label"):
        if not isinstance(raw.get(key), str) or not raw[key].strip():
            raise InputError(f"{place}: {key}: {raw.get(key)!r:.60} is no text", remedy="each row needs text and label")
    finer = raw.get("finer")
    return raw["text"], raw["label"], finer if isinstance(finer, str) and finer.strip() else None


def _show(stored: Any) -> None:
    q = stored.quality
    console.print(f"{stored.field}: learnt from {q.rows} labelled texts ({stored.learnt_from}), {len(q.labels)} labels")
    console.print(
        f"on texts it has not seen: {q.accuracy:.1%} right (the commonest label alone: {q.majority:.1%}); "
        f"mean probability {q.mean_probability:.1%}, off by {q.calibration_error:.1%}"
    )
    for one in q.at_precision:
        if one.threshold is None:
            console.print(f"  {one.precision:.0%} right: never reached")
        else:
            console.print(
                f"  {one.precision:.0%} right: {one.coverage:.0%} of the records, from {one.threshold:.2f} on"
            )
    table = Table("said", "were right", "records", box=None, header_style="bold")
    for b in q.reliability:
        table.add_row(f"{b.said:.2f}", f"{b.right:.2f}", str(b.rows))
    console.print(table)
    table = Table("label", "records", "found", "right when said", box=None, header_style="bold")
    for label in q.labels:
        mark = "  few records" if label.label in q.few else ""
        kept = "-" if label.kept is None else f"{label.kept:.0%}"
        table.add_row(label.label, str(label.rows), f"{label.found:.0%}", kept + mark)
    console.print(table)
    for name, n in stored.left_out.items():
        console.print(f"too few to learn: {name} ({n})", markup=False)
