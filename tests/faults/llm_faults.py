"""Language models that fail in twelve ways: no field is written, no call outlasts its deadline or its byte cap.

    python tests/faults/llm_faults.py --count 100 --seed 1

Each mode answers `--count` records, each over real HTTP and through the whole tower: what is asked is journalled, a
worker calls the model, the tower decides on what it says. The documents state what is asked for, so a model that
behaves would fill every one of them (the control, which runs first). Prints a line for each mode; exit 1 where a
promise is broken. CI runs a few of each (test_llm_faults.py).
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import random
import resource
import socket
import struct
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import structlog
from job_scene import BOOK, Clock, prepared
from llm_stub import Handler, Stub, chief_of, completion, honest, model
from pydantic import SecretStr
from sqlalchemy import text

from enrichment import ChatModel, Endpoint, build_worker
from enrichment.model import MAX_ANSWER_BYTES
from watchtower.bootstrap import build
from watchtower.contract import FieldRequest, ModelStatus, Proposal
from watchtower.logs import configure
from watchtower.settings import Settings
from watchtower.store import embedded

SECONDS = 1.5
"""The deadline of a call in all."""
SLACK = 1.5
"""Seconds that a call may outlast its deadline: threads wait for two busy cores."""
SLOTS = 8
HUGE = 64 * 1024 * 1024
BLANKS = b" " * 65536
BUFFERS = 12 * 1024 * 1024
"""Bytes that the two sockets of a connection may hold, whether anybody reads them or not."""
MEMORY_MB = 256
"""How far above the control the process may grow: SLOTS bombs or huge answers, unpacked, would be 400 MB and more."""


@dataclass
class Mode:
    """What became of the calls of one mode."""

    name: str
    records: int
    calls: int = 0
    written: int = 0
    slowest: float = 0.0
    sent: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    peak: float = 0.0
    """The most memory that the process has had by then, in MB."""

    def broken(self) -> list[str]:
        """The promises that this mode broke."""
        found = []
        if self.written:
            found.append(f"{self.written} fields written")
        if self.slowest > SECONDS + SLACK:
            found.append(f"a call took {self.slowest:.1f} s of {SECONDS} s")
        if self.sent > MAX_ANSWER_BYTES + BUFFERS:
            found.append(f"{self.sent} bytes were taken, the cap is {MAX_ANSWER_BYTES}")
        # A call may run into its deadline before the endpoint, on two busy cores, has read it: the worker counts.
        if (made := sum(n for key, n in self.reasons.items() if key.startswith("call."))) < self.records:
            found.append(f"only {made} of {self.records} calls were made")
        return found


# ---- the twelve modes: each takes the dice, the handler and the request


def rate_limited(dice: random.Random, to: Handler, body: Mapping[str, Any]) -> None:
    after = dice.choice([{}, {"retry-after": "1"}, {"retry-after": "86400"}, {"retry-after": "soon"}])
    to.send(429, b'{"error": {"message": "slow down"}}', after)


def server_error(dice: random.Random, to: Handler, body: Mapping[str, Any]) -> None:
    status = dice.choice([500, 502, 503, 504])
    said = dice.choice([b"boom", b"", completion(honest(body)), b'{"error": {"message": "overloaded"}}'])
    to.send(status, said, dice.choice([{}, {"retry-after": "0"}]) if status == 503 else {})


def refused(dice: random.Random, to: Handler, body: Mapping[str, Any]) -> None:
    """The connection is reset, closed without a word, or the model itself will not answer."""
    kind = dice.choice(["reset", "closed", "refusal", "403"])
    if kind == "refusal":
        said = json.loads(completion(None))
        said["choices"][0]["message"]["refusal"] = "I cannot help with that."
        to.send(200, json.dumps(said).encode())
    elif kind == "403":
        to.send(403, b'{"error": {"message": "not here"}}')
    else:
        if kind == "reset":
            to.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        to.close_connection = True


def drip(dice: random.Random, to: Handler, body: Mapping[str, Any]) -> None:
    whole = completion(honest(body))
    if dice.random() < 0.5:
        to.drip(b"HTTP/1.1 200 OK\r\n" + b"X-Drip: 1\r\n" * 1000)
    else:
        to.head(200, {"content-length": str(len(whole) + 1000)})
        to.drip(b" " * 1000 + whole)


def hang(dice: random.Random, to: Handler, body: Mapping[str, Any]) -> None:
    if dice.random() < 0.5:
        to.head(200, {"content-length": "1000"})
    to.server.over.wait(SECONDS * 4)
    to.close_connection = True


def gzip_bomb(dice: random.Random, to: Handler, body: Mapping[str, Any]) -> None:
    to.send(200, *dice.choice(BOMBS))


def _bombs() -> list[tuple[bytes, dict[str, str]]]:
    """50 MB of blanks: 48 KB on the wire. The last one says that it is not compressed."""
    blanks = b" " * 50_000_000
    zipped = gzip.compress(blanks)
    return [
        (zipped, {"content-encoding": "gzip"}), (zlib.compress(blanks), {"content-encoding": "deflate"}),
        (gzip.compress(zipped), {"content-encoding": "gzip, gzip"}), (zipped, {}),
    ]  # fmt: skip


BOMBS = _bombs()


def truncated(dice: random.Random, to: Handler, body: Mapping[str, Any]) -> None:
    content = honest(body)
    if dice.random() < 0.5:
        to.send(200, completion(content[: dice.randrange(1, len(content))], finish="length"))
    else:
        whole = completion(content)
        to.head(200, {"content-length": str(len(whole))})
        to.body(whole[: dice.randrange(len(whole))])
        to.close_connection = True


def garbage(dice: random.Random, to: Handler, body: Mapping[str, Any]) -> None:
    said = dice.choice([
        b"\x00\xff<html>not json", b"[1, 2, 3]", dice.randbytes(200), completion("The chief is known, I think."),
        completion("[" * 50_000), completion('{"business": NaN, "chief_quote": NaN, "chief": NaN}'), b'{"choices": 7}',
        completion("```json\n" + honest(body) + "\n``` and more {"),
    ])  # fmt: skip
    to.send(200, said)


def wrong_schema(dice: random.Random, to: Handler, body: Mapping[str, Any]) -> None:
    good = json.loads(honest(body))
    said = dice.choice([
        {"chief": good["chief"]}, {**good, "chief": {"name": good["chief"]}}, {**good, "chief": [good["chief"]]},
        {**good, "chief_quote": 7}, {**good, "chief": True}, [good], {"answer": good},
        {key.upper(): value for key, value in good.items()},
    ])  # fmt: skip
    to.send(200, completion(json.dumps(said)))


def empty(dice: random.Random, to: Handler, body: Mapping[str, Any]) -> None:
    status, said = dice.choice([
        (200, completion("")), (200, completion(None)), (200, completion("{}")), (200, completion("   ")), (200, b""),
        (200, b'{"id": "c", "object": "chat.completion", "choices": []}'), (204, b""), (200, b"{}"),
    ])  # fmt: skip
    to.send(status, said)


def wrong_language(dice: random.Random, to: Handler, body: Mapping[str, Any]) -> None:
    """Quotes and values translated, or keys: nothing of it stands in the document."""
    _, chief = chief_of(body)
    name = chief.split()[1]
    said = dice.choice([
        {"chief_quote": f"wird geleitet von {chief}", "chief": chief},
        {"chief_quote": "公司由安领导", "chief": "安"},
        {"chief_quote": f"is led by {chief}", "chief": f"Анна {name}"},
        {"chief_quote": f"is led by \u0410nn {name}", "chief": f"\u0410nn {name}"},
        {"Leitung_Zitat": f"is led by {chief}", "Leitung": chief},
    ])  # fmt: skip
    to.send(200, completion(json.dumps({"business": "Fertigung", **said}, ensure_ascii=False)))


def huge(dice: random.Random, to: Handler, body: Mapping[str, Any]) -> None:
    """An answer that never seems to end, with and without its length, or a quote as long as the cap allows."""
    good = json.loads(honest(body))
    kind = dice.choice(["blanks", "no length", "quote"])
    if kind == "quote":
        to.send(200, completion(json.dumps({**good, "chief_quote": good["chief_quote"] + " x" * 60_000})))
        return
    if kind == "blanks":
        to.head(200, {"content-length": str(HUGE)})
    else:
        to.head(200, {"connection": "close"})
        to.close_connection = True
    to.body(BLANKS, times=HUGE // len(BLANKS))


MODES: dict[str, Callable[[random.Random, Handler, Mapping[str, Any]], None]] = {
    "429": rate_limited, "500": server_error, "refused": refused, "drip": drip, "hang": hang, "gzip bomb": gzip_bomb,
    "truncated JSON": truncated, "garbage JSON": garbage, "wrong schema": wrong_schema, "empty": empty,
    "wrong language": wrong_language, "huge": huge,
}  # fmt: skip


class Anew:
    """A worker that begins anew for each request, so that what one call met spares no other call."""

    def __init__(self, stub: Stub) -> None:
        self._endpoint = Endpoint(stub.url, "none", "stub")
        self.reasons: Counter[str] = Counter()
        self.slowest = 0.0

    def status(self) -> ModelStatus:
        return ModelStatus(ready=True, name="stub", detail="")

    def propose(self, requests: Iterable[FieldRequest]) -> Iterator[Proposal]:
        for request in requests:
            chat = ChatModel(self._endpoint, seconds=SECONDS)
            chat.load()
            worker = build_worker(model=chat, seconds=SECONDS)
            began = time.monotonic()
            said = list(worker.propose([request]))
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.reasons.update(key for key in worker.counts if not key.startswith("proposed"))
            yield from said


def campaign(core: str, folder: Path, *, count: int, seed: int, modes: Iterable[str] = tuple(MODES)) -> list[Mode]:
    """Each mode in turn, on one tower; first the control, a model that behaves."""
    (folder / "book.yaml").write_text(BOOK)
    settings = Settings(data=folder, database_url=SecretStr(core), llm_model="stub")
    done = []
    with build(settings, rulebook=folder / "book.yaml", clock=Clock()) as tower:
        names = ["control", *modes]
        prepared(tower, count * len(names))
        for number, name in enumerate(names):
            dice = random.Random(f"{seed} {name}")

            def behave(to: Handler, body: Mapping[str, Any], name: str = name, dice: random.Random = dice) -> None:
                to.count(chief_of(body)[0])
                if name == "control":
                    to.send(200, completion(honest(body)))
                else:
                    MODES[name](dice, to, body)

            with model(0, behave) as stub:
                worker = Anew(stub)
                mine = frozenset(f"account/A{n}" for n in range(number * count, (number + 1) * count))
                tower.enrich(worker, limit=count, only=mine, slots=SLOTS)
                found = Mode(name, count, stub.calls.total(), 0, worker.slowest, stub.sent, worker.reasons)
            with tower.database.read() as conn:
                ids = [subject.partition("/")[2] for subject in mine]
                ask = text("select count(*) from record where state ? 'chief' and id = any(:ids)")
                found.written = conn.execute(ask, {"ids": ids}).scalar_one()
            found.peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            done.append(found)
    return done


def quiet() -> None:
    """Only what is wrong with the tower itself is logged: what the models do wrong is counted."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--count", type=int, default=100, help="records per mode")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--mode", action="append", choices=list(MODES), help="only this mode (again for more)")
    given = options.parse_args()
    configure()
    quiet()
    with tempfile.TemporaryDirectory() as folder, embedded.start(Path(folder) / "data") as server:
        done = campaign(server.url, Path(folder), count=given.count, seed=given.seed, modes=given.mode or MODES)
    control, *faulty = done
    grown = max(mode.peak for mode in faulty) - control.peak
    print(f"control: {control.written} of {control.records} fields written by a model that behaves")
    broken = [] if control.written == control.records else ["the control did not fill every field"]
    for mode in faulty:
        broken += [f"{mode.name}: {what}" for what in mode.broken()]
        reasons = ", ".join(f"{key} {n}" for key, n in sorted(mode.reasons.items()))
        print(
            f"{mode.name}: {mode.records} records, {mode.calls} calls, {mode.written} fields written, slowest "
            f"{mode.slowest:.2f} s, at most {mode.sent} bytes taken of one answer ({reasons})"
        )
    if grown > MEMORY_MB:
        broken.append(f"the process grew by {grown:.0f} MB, at most {MEMORY_MB} are allowed")
    print(f"peak memory {grown:.0f} MB above that of the model that behaves")
    print("\n".join(broken) or "every promise held")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
