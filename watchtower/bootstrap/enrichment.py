"""Fields that starve rules: what is asked, of whom, and what comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from time import monotonic
from typing import Any

from watchtower.bootstrap.core import Progress
from watchtower.bootstrap.events import Taking
from watchtower.contract import EnrichmentWorker, FieldRequest
from watchtower.contract.batch import ENRICHMENT
from watchtower.flow import work
from watchtower.flow.costs import Costs, costs
from watchtower.flow.counted import count_proposal
from watchtower.flow.jobs import Tally, own_queue
from watchtower.flow.pages import SOURCE as WEB
from watchtower.flow.pages import Wanted, page_event, wanted
from watchtower.flow.plan import ASK_AGAIN, Cost, Means, Plan, ask, plan
from watchtower.flow.proposing import Ruling, propose
from watchtower.flow.resting import Resting
from watchtower.store import work as stored_work
from watchtower.store.boards import accepted_of
from watchtower.store.ledger import Ledger
from watchtower.tracing import span
from watchtower.workers import (
    Bench,
    LabelledRow,
    PagesRead,
    model_status,
    open_offline,
    open_worker,
    read_pages,
    run_until_empty,
    shelf_folder,
    stamp,
)

TAKE_EVERY = 1.0
"""Seconds between two looks for answers while a worker works in this process."""


@dataclass
class Enriched:
    """What an enrichment run did."""

    requests: int = 0
    proposals: int = 0
    decided: work.Decided = field(default_factory=work.Decided)
    faults: int = 0
    """Requests over which the worker failed."""
    cost: Cost = field(default_factory=Cost)
    """What calls to models cost meanwhile, by the ledger."""


@dataclass(frozen=True)
class HandedOver:
    """What a run by way of the provider's batches did: calls taken back and handed over, batches under way."""

    run: Enriched
    taken: int
    handed: int
    waiting: int


@dataclass
class Fetched:
    """What reading pages brought. `unread`: (page, why)."""

    records: int = 0
    pages: int = 0
    unread: list[tuple[str, str]] = field(default_factory=list)


class Enriching(Taking):
    """Fields that starve rules: what is asked, of whom, and what comes back."""

    def requests(
        self,
        *,
        limit: int = 100,
        only: frozenset[str] | None = None,
        means: str = "",
        waiting: frozenset[str] = frozenset(),
        write: bool = True,
    ) -> list[FieldRequest]:
        """What enrichment is asked now: the fields that starve rules, the most starving first.

        A record is asked about once per set of documents and `means` (the model at hand, to which the trained
        classifiers are added). Without `write`, nothing is asked: this only looks.
        """
        return self.plan(limit=limit, only=only, means=means, waiting=waiting, write=write).requests

    def plan(
        self,
        *,
        limit: int = 100,
        only: frozenset[str] | None = None,
        means: str = "",
        paid: bool | None = None,
        waiting: frozenset[str] = frozenset(),
        write: bool = False,
        again: timedelta = ASK_AGAIN,
    ) -> Plan:
        """What enrichment would be asked now, in order, within the rulebook's budgets, and what it costs at most.

        `paid`: whether calls to the model cost something (None: where an endpoint is configured). With `write`, what
        is asked is journalled.
        """
        paid = self.settings.llm_base_url is not None if paid is None else paid
        spent = self._spent() if paid and means else None
        by = Means(means, paid, stamp(self.settings))
        with self._write() as conn:
            made = plan(
                conn, self._engine, self.clock(), limit=limit, only=only, means=by, waiting=waiting, spent=spent,
                again=again,
            )  # fmt: skip
            if write:
                ask(conn, made, self.clock())
            return made

    def propose(
        self, subject: str, field: str, value: Any, *, document: str, quote: str, confidence: float, by: str
    ) -> Ruling:
        """What a program outside of the workers proposes, decided on as what a worker says. InputError."""
        with self._write() as conn:
            ruling = propose(
                conn, self._engine, subject, field, value, document=document, quote=quote, confidence=confidence, by=by,
                now=self.clock(),
            )  # fmt: skip
        count_proposal(ruling.status)
        return ruling

    def wanted_pages(self, *, limit: int = 20, only: frozenset[str] | None = None) -> list[Wanted]:
        """The own pages of records that starve, the most wanted first, that were not read lately. Where a domain gave
        no page, it is left alone for a while, unless its record is named."""
        now = self.clock()
        resting = self._resting.hosts(now) if only is None else ()
        with self._write() as conn:
            return wanted(conn, self._engine, now, limit=limit, only=only, resting=resting)

    @property
    def _resting(self) -> Resting:
        return Resting(self.settings.data / "resting.json")

    def fetch(
        self,
        pages: Sequence[Wanted],
        *,
        read: Callable[[str, Sequence[str]], PagesRead] = read_pages,
        progress: Progress = lambda done, total: None,
    ) -> Fetched:
        """Read pages, outside of any transaction; each comes in through the door, as what the source `web` says. A
        domain that gives none rests: it is not asked again in this run, nor soon after."""
        done, silent = Fetched(), set[str]()
        for number, one in enumerate(pages, start=1):
            if one.domain in silent:
                done.unread += [(f"{one.domain}{path}", "its domain gave no page just now") for path in one.paths]
                progress(number, len(pages))
                continue
            found, unread = read(one.domain, one.paths)
            now = self.clock()
            self._resting.told({one.domain: bool(found)}, now)
            if not found:
                silent.add(one.domain)
            events = [page_event(one, path, url, text, now) for path, url, text in found]
            verdicts = self.take(events, source=WEB)
            taken = sum(verdict.status == "accepted" for verdict in verdicts)
            done.records, done.pages = done.records + (taken > 0), done.pages + taken
            done.unread += [(f"{one.domain}{path}", because) for path, because in unread]
            progress(number, len(pages))
        return done

    def costs(self, days: int) -> Costs:
        """What language models have cost over the last so many days, today included."""
        asking, desk = self.rulebook.enrichment, self.desk
        began = desk.now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        since = began - timedelta(days=days - 1)
        with self.database.read() as conn:
            accepted = accepted_of(conn, since)
        return costs(desk.calls_by_day(since), accepted, frozenset(asking.prices), desk.spent(began), since)

    def _spent(self) -> Cost:
        """What calls have cost today; and the rulebook's budget of the day goes down to where it is kept."""
        asking = self.rulebook.enrichment
        self.desk.allow(asking.budget.day, asking.prices, calls_per_day=self.settings.llm_calls_per_day)
        return self.desk.spent()

    def enrich(
        self,
        worker: EnrichmentWorker,
        *,
        limit: int = 100,
        only: frozenset[str] | None = None,
        progress: Progress = lambda done, total: None,
        enough: Callable[[], bool] = lambda: False,
        slots: int = 1,
        again: timedelta = ASK_AGAIN,
    ) -> Enriched:
        """Ask, let the worker answer the jobs in this process, decide on what it says while it goes on.

        `slots` requests are answered at once. It ends early once `enough` says so; what was asked and not answered is
        asked again by a later run.
        """
        self.take_up()  # what a process that died had answered
        waiting = self.desk.waiting()
        means = model_status(worker).name
        asked = self.plan(limit=limit, only=only, means=means, waiting=waiting, again=again, write=True).requests
        run, tally, took = Enriched(), Tally(), monotonic()
        if not asked:
            self.beat("enrichment")
            return run
        queue, began = own_queue(ENRICHMENT), self.desk.now()
        with span("fields.ask", requests=len(asked)):
            batches = self.desk.ask_fields(asked, self.labelled(), queue)

        def take(*, last: bool = False) -> None:
            nonlocal took
            if last or monotonic() - took > TAKE_EVERY:
                tally.add(self.desk.collect(batches))
                progress(tally.answers, len(asked))
                took = monotonic()

        try:
            bench = Bench(self.desk.database, lambda blob, read: worker, after=take, enough=enough, slots=slots)
            run_until_empty(bench, self.jobs_url, queue)
            take(last=True)
        finally:
            self.desk.abandon(batches)
        run.requests, run.proposals, run.decided = tally.answers, tally.proposals, tally.decided
        run.faults = len(tally.faults)
        run.cost = self.desk.spent(began)
        self.beat("enrichment")
        return run

    def enrich_offline(
        self,
        *,
        limit: int = 100,
        only: frozenset[str] | None = None,
        progress: Progress = lambda done, total: None,
    ) -> HandedOver:
        """Enrich by way of the provider's batches: take back what it has answered, decide on that, hand over the rest.

        Run it again until nothing waits: results are those of `enrich`. InputError, ModelError.
        """
        self._spent()
        shelf = shelf_folder(self.settings)
        with open_offline(self.settings, self.labelled(), self.desk.database, shelf=shelf) as offline:
            taken, waiting = offline.take_back()
            run = self.enrich(offline.worker, limit=limit, only=only, progress=progress, again=timedelta(0))
            handed, batches = offline.hand_over()
        return HandedOver(run, taken, handed, waiting + len(batches))

    def labelled(self) -> dict[str, list[tuple[str, str]]]:
        """For each category that enrichment fills: the texts of records whose value a person or a system set."""
        found: dict[str, list[tuple[str, str]]] = {}
        with self.database.read() as conn:
            for name, model in self.rulebook.objects.items():
                for key, spec in model.fields.items():
                    if spec.fill == "enrichment" and spec.type == "enum":
                        found.setdefault(key, []).extend(stored_work.labelled(conn, name, key))
        return found

    def labelled_rows(self, object_name: str, field: str, finer: str | None = None) -> list[LabelledRow]:
        """What a classifier of one field may learn from, with the value of a finer field."""
        with self.database.read() as conn:
            return stored_work.labelled_beside(conn, object_name, field, finer or "")

    @contextmanager
    def worker(self, *, use_model: bool = True) -> Iterator[EnrichmentWorker]:
        """The enrichment worker of these settings: its classifiers learn from this tower's own labelled records."""
        ledger = Ledger(self.desk.database)
        shelf = shelf_folder(self.settings)
        with open_worker(self.settings, self.labelled(), use_model=use_model, ledger=ledger, shelf=shelf) as worker:
            yield worker
