"""The composition root: it knows every part, and puts them together. Tests and evals call it too.

`build` gives a `Tower`. What the tower does stands in one file per subject beside this one.
"""

from __future__ import annotations

from pathlib import Path

from watchtower.bootstrap.core import Clock, engine_of, system_clock
from watchtower.bootstrap.detection import Detected, Detecting
from watchtower.bootstrap.enrichment import Enriched, Enriching, Fetched, HandedOver
from watchtower.bootstrap.people import Hearing
from watchtower.bootstrap.rules import Ruling
from watchtower.contract.batch import DETECTION, ENRICHMENT
from watchtower.flow.activation import activate
from watchtower.flow.apply import Engine
from watchtower.rulebook import DEFAULT, load
from watchtower.rules.compile import compile_rulebook
from watchtower.settings import Settings, read_settings
from watchtower.store import rulebooks
from watchtower.store.database import connect, migrate
from watchtower.tracing import span


class Tower(Enriching, Detecting, Hearing, Ruling):
    """The tower: the one object that commands, the API and the pages speak to."""

    def hand_down(
        self, *, fields: bool = True, detections: bool = True, limit: int = 100, parts: int | None = None
    ) -> int:
        """Ask worker processes what is due: at most `limit` records at a time, and each detector once at a time.

        `parts`: the jobs that one look is parted into, for as many workers; None: by the size of the snapshot.
        """
        waiting = self.desk.waiting()
        handed = 0
        if detections:
            looking = {id_.partition(".")[0] for id_ in waiting}
            due = [one for one in self._detections(None) if f"dq_{one.signal}" not in looking]
            self._ask_detections(due, DETECTION, parts=parts)
            handed += len(due)
        room = limit - sum(id_.startswith("rq_") for id_ in waiting) if fields else 0
        if room > 0:
            means = self.settings.llm_model or ""
            asked = self.plan(limit=room, means=means, paid=bool(means), waiting=waiting, write=True).requests
            if asked:
                with span("fields.ask", requests=len(asked)):
                    self.desk.ask_fields(asked, self.labelled(), ENRICHMENT)
            elif room == limit:
                self.beat("enrichment")  # nothing is asked, and nothing waits for an answer
            handed += len(asked)
        return handed


def build(
    settings: Settings | None = None,
    *,
    rulebook: Path | None = None,
    clock: Clock = system_clock,
    by: str = "command line",
    personal: bool = True,
) -> Tower:
    """A tower over the database of these settings. The rulebook in force is read from the database; where none
    is, or where `rulebook` names another, that one (else the default) comes into force. Without `personal` the tower
    has no key of personal data, and reads none."""
    settings = settings or read_settings()
    database = connect(settings, personal=personal)
    try:
        migrate(database)
        with database.read() as conn:
            content = rulebooks.active(conn)
        if content is not None:
            tower = Tower(settings, database, engine_of(content), clock)
            if rulebook is not None:
                tower.activate(load(rulebook), by=by)
            return tower
        engine = Engine.of(compile_rulebook(load(rulebook or DEFAULT)))
        activate(database, engine, by=by, now=clock())
        return Tower(settings, database, engine, clock)
    except BaseException:
        database.close()
        raise


__all__ = ["Clock", "Detected", "Enriched", "Fetched", "HandedOver", "Tower", "build", "system_clock"]
