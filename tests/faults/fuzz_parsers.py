"""Ten parsers under bytes that are grown to reach new code: each answers or refuses in its own words, and ends.

    python tests/faults/fuzz_parsers.py --runs 1000000          # for a release; --parser NAME: one of them

Whatever a parser raises that it does not promise, or a second without an answer, is a finding: the bytes are kept in
the folder of --keep, and the exit code is 1. CI makes a few thousand runs (test_fuzz.py).

Source: atheris, coverage-guided fuzzing of Python over libFuzzer.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["watchtower", "enrichment"], enable_loader_override=False):
    from enrichment.errors import CallFailed
    from enrichment.model import parsed
    from watchtower.api.cloudevents import BATCH, STRUCTURED, read_events
    from watchtower.api.cursor import place
    from watchtower.connectors import jsonl
    from watchtower.connectors.signatures import Arrived, authentic
    from watchtower.contract import parse_event
    from watchtower.errors import InputError, RulebookError
    from watchtower.rulebook.model import FieldModel, Rulebook
    from watchtower.rulebook.source import parse_yaml
    from watchtower.rules.filter import compile_filter
    from watchtower.rules.parse import parse_predicate
    from watchtower.rules.spans import parse_span
    from watchtower.rules.values import parser
    from watchtower.store.rows import AlertKey, SeqKey, TimeKey

EVERY = "every"
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
BOOK = Rulebook.model_validate({
    "timezone": "Europe/Rome",
    "calendars": {"office": {"days": ["mon"], "hours": ["09:00", "18:00"]}},
    "objects": {
        "account": {"fields": {"size": {"type": "integer"}}},
        "lead": {"fields": {
            "account": {"type": "ref", "to": "account"}, "stage": {"type": "enum", "values": ["raw", "mql"]},
            "x": {"type": "timestamp"}, "d": {"type": "date"}, "n": {"type": "number"}, "b": {"type": "boolean"},
        }},
    },
})  # fmt: skip
KINDS = ("text", "integer", "number", "money", "boolean", "timestamp", "date", "list", "domain", "email", "phone",
         "country", "url")  # fmt: skip
SCHEMES = ("hubspot", "slack", "standard", "stripe", "clickup", "attio", "outreach", "gong")
SIGNED = (
    b"stripe-signature", b"x-slack-signature", b"x-slack-request-timestamp", b"webhook-signature", b"webhook-id",
    b"webhook-timestamp", b"x-hubspot-signature-v3", b"x-hubspot-request-timestamp", b"authorization", b"x-signature",
)  # fmt: skip
SCHEMA = {"required": ["city", "n"], "properties": {"city": {"type": ["string", "null"]}, "n": {"type": "integer"}}}
MEDIA = (STRUCTURED, BATCH, "application/json", "", "application/json;charset=utf-8")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape").encode("utf-8", "replace").decode()


def _body(data: bytes) -> None:
    for event in read_events({"content-type": MEDIA[data[0] % len(MEDIA)]} if data else {}, data[1:]).events:
        parse_event(event)


def _header(data: bytes) -> None:
    read_events({"content-type": "application/json", "ce-id": data.decode("latin-1")}, b"{}")


def _line(data: bytes) -> None:
    jsonl._event(data)


def _condition(data: bytes) -> None:
    parse_predicate(_text(data), BOOK, "lead")


def _value(data: bytes) -> None:
    if data:
        parser("field", FieldModel.model_validate({"type": KINDS[data[0] % len(KINDS)]}))(_text(data[1:]))


def _cursor(data: bytes) -> None:
    for kind in (AlertKey, SeqKey, TimeKey):
        try:
            place(kind, _text(data))
        except InputError:
            continue


def _webhook(data: bytes) -> None:
    scheme = SCHEMES[data[0] % len(SCHEMES)] if data else "stripe"
    head, _, body = data[1:].partition(b"\n")
    arrived = Arrived("POST", "https://here.example/hooks/x", [(name, head) for name in SIGNED], body)
    assert not authentic(scheme, arrived, ["a secret of some length"], NOW), "a forged webhook is taken"


PARSERS: dict[str, tuple[Callable[[bytes], object], tuple[type[Exception], ...]]] = {
    "body": (_body, (InputError, ValueError)),
    "header": (_header, (InputError,)),
    "line": (_line, ()),
    "rulebook": (lambda data: parse_yaml(_text(data), "book.yaml"), (RulebookError,)),
    "condition": (_condition, (ValueError,)),
    "filter": (lambda data: compile_filter(_text(data)), (ValueError,)),
    "span": (lambda data: parse_span(_text(data)), (ValueError,)),
    "value": (_value, (ValueError,)),
    "cursor": (_cursor, ()),
    "webhook": (_webhook, ()),
    "answer": (lambda data: parsed(_text(data), SCHEMA), (CallFailed,)),
}
"""Name -> the parser, and what it may raise."""

EVENT = b'{"specversion":"1.0","id":"e","source":"s","type":"t","subject":"a/b","time":"2026-03-02T09:00:00Z",'
SEEDS: dict[str, tuple[bytes, ...]] = {
    "body": (b"\0" + EVENT + b'"data":{}}', b"\1[" + EVENT + b'"data_base64":"e30="}]'),
    "header": (b'"a \\"b\\" %C3%A8"',),
    "line": (EVENT + b'"data":{"fields":{"x":1,"y" :null}}}',),
    "rulebook": (b"name: x\nobjects:\n  lead: {fields: {a: {type: text}}}\nrules:\n  - {id: r, when: a is null}\n",),
    "condition": (
        b"stage = 'mql' and x <= now() - interval '48 hours' or account.size between 1 and 3",
        b"business_elapsed(x, 'office') >= interval '8 hours'",
        b"case when b then n > 1 else d < now() end",
    ),
    "filter": (b"kind = 'call' and value >= 3 or not (metric in ('a', 'b')) and note like 'x%'",),
    "span": (b"1 month 2 days -3.5 hours",),
    "value": (
        b"\x0chttps://example.com/a", b"\x0a+39 06 1234567", b"\x05" b"2026-03-02T09:00:00+01:00", b"\x02" b"1e3",
    ),
    "cursor": (b"WzEsMl0", b"eyJzZXEiOjF9"),
    "webhook": (b"\x03t=1772442000,v1=" + b"a" * 64 + b"\n{}", b"\x07Bearer a.b.c\n{}"),
    "answer": (b'{"city": "Turin", "n": 3}',),
}  # fmt: skip


def _every(data: bytes) -> None:
    if data:
        parse, promised = list(PARSERS.values())[data[0] % len(PARSERS)]
        with suppress(promised):
            parse(data[1:])


def fuzz(name: str, runs: int, keep: Path) -> None:
    """Never comes back: the fuzzer ends the process. `every`: all parsers in turn, by the first byte."""
    parse, promised = (_every, ()) if name == EVERY else PARSERS[name]

    def once(data: bytes) -> None:
        with suppress(promised):
            parse(data)

    seeds = keep / f"{name}.seeds"
    seeds.mkdir(parents=True, exist_ok=True)
    known = [bytes([n]) + seed for n, each in enumerate(PARSERS) for seed in SEEDS[each]]
    for number, seed in enumerate(known if name == EVERY else SEEDS[name]):
        (seeds / str(number)).write_bytes(seed)
    arguments = [f"-runs={runs}", "-seed=1", "-timeout=2", "-max_len=2000", f"-artifact_prefix={keep}/{name}.",
                 "-rss_limit_mb=4000", str(seeds)]  # fmt: skip
    atheris.Setup([sys.argv[0], *arguments], once)
    atheris.Fuzz()


def campaign(names: list[str], runs: int, keep: Path) -> dict[str, tuple[int, str]]:
    """For each parser: how many runs were made, and what was found (empty: nothing)."""
    found = {}
    for name in names:
        command = [sys.executable, __file__, "--parser", name, "--runs", str(runs), "--keep", str(keep), "--here"]
        ended = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        done = re.findall(r"^Done (\d+) (?:runs )?in", ended.stderr, re.MULTILINE)
        said = ended.stdout + ended.stderr
        fault = "" if ended.returncode == 0 and done else said[max(0, said.find("Uncaught")) :][:2000]
        found[name] = (int(done[-1]) if done else 0, fault)
    return found


def main() -> None:
    asked = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    asked.add_argument("--runs", type=int, default=1_000_000)
    asked.add_argument("--parser", choices=[*PARSERS, EVERY])
    asked.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "watchtower-fuzz")
    asked.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.here:
        fuzz(given.parser, given.runs, given.keep)
    found = campaign([given.parser] if given.parser else list(PARSERS), given.runs, given.keep)
    for name, (runs, fault) in found.items():
        print(json.dumps({"parser": name, "runs": runs, "fault": fault}))
    sys.exit(any(fault for _, fault in found.values()))


if __name__ == "__main__":
    main()
