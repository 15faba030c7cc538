"""A tower under a test's own rulebook and clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from watchtower.bootstrap import Tower, build
from watchtower.contract import Evidence, FieldRequest, Proposal, format_time
from watchtower.settings import Settings


class Clock:
    """It shows `now` until somebody sets it."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


@contextmanager
def tower_under(book: str, url: str, folder: Path, clock: Clock) -> Iterator[Tower]:
    (folder / "rules.yaml").write_text(book)
    settings = Settings(data=folder, database_url=SecretStr(url))
    with build(settings, rulebook=folder / "rules.yaml", clock=clock) as built:
        yield built


_numbers = count()


def say(tower: Tower, subject: str, at: datetime, type: str = "record.updated", **data: Any) -> None:
    """What the CRM says of a record: its fields, or the data of an event of another type. It is taken."""
    event = {
        "id": f"said{next(_numbers)}", "source": "crm", "type": type, "subject": subject, "time": format_time(at),
        "data": {"fields": data} if type == "record.updated" else data,
    }  # fmt: skip
    assert tower.take([event])[0].status == "accepted"


class Quotes:
    """A worker that finds one word in the first document of a record, and proposes it for a field, so sure."""

    def __init__(self, field: str, word: str, confidence: float) -> None:
        self.field, self.word, self.confidence = field, word, confidence

    def propose(self, requests: Sequence[FieldRequest]) -> list[Proposal]:
        found = []
        for request in requests:
            document = request.documents[0]
            at = document.text.index(self.word)
            quote = Evidence(document=document.id, quote=self.word, start=at, end=at + len(self.word))
            found.append(
                Proposal(
                    request=request.id, field=self.field, value=self.word, confidence=self.confidence,
                    evidence=(quote,), method="m",
                )
            )  # fmt: skip
        return found
