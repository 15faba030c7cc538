"""Webhooks, mutated: nothing that differs by a bit from what the vendor signed may be taken, or be a server's error.

    python tests/faults/webhook_campaign.py --count 10000            # each scheme, by the check alone
    python tests/faults/webhook_campaign.py --count 10000 --http     # each scheme, through the whole service

Each mutation starts from a request that the vendor's own library signed, and changes the body, the headers, the time
(re-signed with another secret, or moved without signing), the scheme, or all at once.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))

from pydantic import SecretStr
from webhook_samples import HOST, SIGN, secret_of, signed

from watchtower.api.app import create_app
from watchtower.bootstrap import Tower, build
from watchtower.connectors.signatures import Arrived, authentic
from watchtower.settings import Settings
from watchtower.store import embedded

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
ODD = (b"", b"\x00", b"\xff", "é".encode(), "１".encode(), b",", b"=", b".", b"v1,", b"v1=", b"%00", b"\xed\xa0\x80")
WHOLE = (b"", b"null", b"[]", b"{}", b"0", b"\xff\xfe", b"\x00", b'{"a":' * 500, "漢字".encode(), b"v1,", b"=" * 4000)
AWAY = (timedelta(days=3650), timedelta(days=365 * 500), -timedelta(days=3650), timedelta(hours=1), -timedelta(hours=1))
STAMPED = ("hubspot", "slack", "standard", "stripe", "gong")
LETTERS = b"0123456789abcdefABCDEF+/=-_.,: \xc3\xa9"


def _letter(draw: random.Random) -> bytes:
    return bytes([draw.choice(LETTERS)])


def _bitten(value: bytes, draw: random.Random) -> bytes:
    """The value with one change: never the same, never only of spaces at its ends (HTTP drops those)."""
    if not value:
        return draw.choice(WHOLE[1:])
    for _ in range(50):
        at = draw.randrange(len(value))
        changed = draw.choice(
            (
                value[:at] + bytes([value[at] ^ (1 << draw.randrange(8))]) + value[at + 1 :],
                value[:at] + value[at + 1 :],
                value[:at] + _letter(draw) + value[at:],
                value[:at] + _letter(draw) + value[at + 1 :],
                value[:at],
                value[at:] + value[:at],
                value.swapcase(),
                value + _letter(draw),
                value[:at] + draw.choice(ODD) + value[at:],
                draw.choice(WHOLE),
                value * 2,
            )
        )
        if changed.strip() != value.strip():
            return changed
    return value + b"x"


def _body(arrived: Arrived, scheme: str, draw: random.Random, now: datetime) -> Arrived:
    body = draw.choice((*WHOLE, _bitten(arrived.body, draw), _bitten(arrived.body, draw), arrived.body + b"\n"))
    return replace(arrived, body=body if body != arrived.body else body + b" ")


def _header(arrived: Arrived, scheme: str, draw: random.Random, now: datetime) -> Arrived:
    headers = list(arrived.headers)
    at = draw.randrange(len(headers))
    headers[at] = (headers[at][0], _bitten(headers[at][1], draw))
    return replace(arrived, headers=headers)


def _dropped(arrived: Arrived, scheme: str, draw: random.Random, now: datetime) -> Arrived:
    headers = list(arrived.headers)
    at = draw.randrange(len(headers))
    return replace(arrived, headers=draw.choice((headers[:at] + headers[at + 1 :], [*headers, headers[at]], [])))


def _renamed(arrived: Arrived, scheme: str, draw: random.Random, now: datetime) -> Arrived:
    """Its headers under the names of another scheme."""
    names = [name for other in SIGN if other != scheme for name, _ in signed(other, now).headers]
    return replace(arrived, headers=[(draw.choice(names), value) for _, value in arrived.headers])


def _other_scheme(arrived: Arrived, scheme: str, draw: random.Random, now: datetime) -> Arrived:
    """The body signed as another vendor signs, with that vendor's secret."""
    other = draw.choice([name for name in SIGN if name != scheme])
    return replace(arrived, headers=signed(other, now, body=arrived.body, url=arrived.url).headers)


def _other_secret(arrived: Arrived, scheme: str, draw: random.Random, now: datetime) -> Arrived:
    if scheme == "gong":
        return _header(arrived, scheme, draw, now)
    return signed(scheme, now, body=arrived.body, secret=_wrong(scheme, draw), url=arrived.url)


def _wrong(scheme: str, draw: random.Random) -> str:
    secret = secret_of(scheme)
    at = draw.randrange(8, len(secret) - 8)
    return secret[:at] + ("A" if secret[at] != "A" else "B") + secret[at + 1 :]


def _away(arrived: Arrived, scheme: str, draw: random.Random, now: datetime) -> Arrived:
    """Rightly signed, for another time; of schemes that sign no time, wrongly signed."""
    if scheme not in STAMPED:
        return _other_secret(arrived, scheme, draw, now)
    seconds = timedelta(seconds=draw.randrange(301 if scheme != "gong" else 901, 10_000_000))
    try:
        return signed(scheme, now + draw.choice((*AWAY, seconds)), body=arrived.body, url=arrived.url)
    except (OverflowError, ValueError):
        return _header(arrived, scheme, draw, now)


def _all(arrived: Arrived, scheme: str, draw: random.Random, now: datetime) -> Arrived:
    return _body(_header(arrived, scheme, draw, now), scheme, draw, now)


KINDS = (_body, _header, _dropped, _renamed, _other_scheme, _other_secret, _away, _all)


def mutations(scheme: str, count: int, *, seed: int, now: datetime, url: str = "") -> Iterator[tuple[str, Arrived]]:
    """So many requests, none of which the vendor signed for now: (what was done to it, the request)."""
    draw = random.Random(f"{scheme} {seed}")
    good = signed(scheme, now, url=url)
    for number in range(count):
        change = KINDS[number % len(KINDS)]
        yield change.__name__.strip("_"), change(good, scheme, draw, now)


def wrongly_taken(scheme: str, mutated: Iterable[tuple[str, Arrived]], now: datetime) -> Iterator[tuple[str, Arrived]]:
    """Those that are taken all the same."""
    for kind, arrived in mutated:
        if authentic(scheme, arrived, [secret_of(scheme)], now):
            yield kind, arrived


@dataclass
class Report:
    """What came of a campaign. `answers`: how often which status; `wrong`: any that was not the one plain refusal."""

    sent: int = 0
    answers: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


REFUSED = b'{"type":"about:blank","title":"Unauthorized","status":401,"detail":"refused"}'
SYSTEMS = tuple(scheme for scheme in SIGN if scheme not in ("standard", "slack", "clickup"))
BOOK = """
name: webhooks
objects: {account: {fields: {name: {type: text}}}}
rules: [{id: unnamed, object: account, when: name is null}]
receivers:
  clickup: {kind: clickup, url: "https://api.clickup.com/api/v2/list/1/task", secret: TOKEN_X, signing: CLICKUP_SIGNING}
systems:
""" + "\n".join(
    f"  {name}: {{kind: {name}, owner: ops, objects: {{account: {{from: x, "
    f"{'master: true, ' if name == SYSTEMS[0] else ''}fields: {{}}}}}}}}"
    for name in SYSTEMS
)


@contextmanager
def service(database_url: str, folder: Path) -> Iterator[Tower]:
    """A tower under a rulebook with every system, its clock at NOW, and every secret set."""
    (folder / "book.yaml").write_text(BOOK)
    secrets = {f"WATCHTOWER_{name.upper()}_WEBHOOK_SECRET": secret_of(name) for name in SYSTEMS}
    secrets["CLICKUP_SIGNING"] = secret_of("clickup")
    before = {name: os.environ.get(name) for name in secrets}
    os.environ.update(secrets)
    settings = Settings(data=folder, database_url=SecretStr(database_url), public_url=HOST, requests_per_minute=0)
    try:
        with build(settings, rulebook=folder / "book.yaml", clock=lambda: NOW) as tower:
            yield tower
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


async def campaign(app: Any, scheme: str, mutated: Iterable[tuple[str, Arrived]]) -> Report:
    """The genuine request is taken; then each mutation is answered with the one plain refusal."""
    report = Report()
    status, _ = await post(app, f"/hooks/{scheme}", signed(scheme, NOW))
    if status != 200:
        report.wrong.append(f"{scheme}: the genuine request was answered {status}")
    for kind, arrived in mutated:
        status, body = await post(app, f"/hooks/{scheme}", arrived)
        report.sent += 1
        report.answers[status] += 1
        if status != 401 or body != REFUSED:
            report.wrong.append(f"{scheme} {kind}: {status} {body[:80]!r} {arrived.headers!r:.300}")
    return report


async def post(app: Any, path: str, arrived: Arrived) -> tuple[int, bytes]:
    """One request to the application, as its server hands it over: the status, and the body of the answer."""
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": arrived.method, "path": path,
        "raw_path": path.encode(), "query_string": b"", "scheme": "http", "root_path": "", "state": {},
        "headers": [(b"host", b"127.0.0.1"), *arrived.headers], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
    }  # fmt: skip
    said: list[dict[str, Any]] = []
    pending = [{"type": "http.request", "body": arrived.body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        return pending.pop() if pending else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    await app(scope, receive, send)
    return int(said[0]["status"]), b"".join(message.get("body", b"") for message in said[1:])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="mutations of each scheme")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--http", action="store_true", help="through the whole service, where it is a system's scheme")
    given = parser.parse_args()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(prefix="watchtower-hooks-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with embedded.start(folder / "database") if given.http else nullcontext() as server:
            opened = service(server.url, folder) if server is not None else nullcontext()
            with opened as tower:
                app = None if tower is None else create_app(tower)
                for scheme in SIGN:
                    began, mutated = time.monotonic(), mutations(scheme, given.count, seed=given.seed, now=NOW)
                    if app is not None and scheme not in ("standard", "slack"):
                        report = asyncio.run(campaign(app, scheme, mutated))
                        wrong += report.wrong
                        what = ", ".join(f"{count} answered {status}" for status, count in report.answers.items())
                    else:
                        taken = [f"{scheme} {kind}" for kind, _ in wrongly_taken(scheme, mutated, NOW)]
                        wrong += taken
                        what = f"{len(taken)} accepted by the check"
                    seconds = time.monotonic() - began
                    print(f"{scheme:10} {given.count} mutations: {what} ({seconds:.0f} s)", flush=True)
    for line in wrong[:20]:
        print(line)
    print(f"{len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
