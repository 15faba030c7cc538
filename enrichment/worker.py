"""The enrichment worker: requests in, grounded proposals out.

For each field the first sufficient answer counts: patterns and gazetteer, then (for categories) the
classifier, then the language model, if one is at hand. Whatever answered, code checks that the words stand
in the document and that the value follows from them; else the worker abstains. Where documents say different
things about a field, each is proposed with the words that speak against it, for a person to decide.

A worker holds no handle to anything, and no request makes it fail: a model that is down, wrong or hostile
costs proposals, which `counts` shows by reason.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import structlog

from enrichment.calls import Called, Caller, Lane
from enrichment.classify import Classifier, Verdict
from enrichment.errors import CallFailed, ModelError
from enrichment.extractors import Extractor, extractor
from enrichment.grounding import Grounded, Refused, canonical, cited, follows, ground, intact, same
from enrichment.learning import from_descriptions
from enrichment.ledger import CallLedger
from enrichment.model import ExtractionModel
from enrichment.priors import model_confidence
from enrichment.schema import askable, asked_for
from enrichment.text import Readable, visible
from prompts import Prompt
from watchtower.contract import (
    Document,
    Evidence,
    FieldRequest,
    FieldSpec,
    MayLeave,
    ModelStatus,
    Proposal,
    RecordSnapshot,
)

log = structlog.get_logger(__name__)

MAX_TEXT = 200_000
"""Characters of a document that patterns read."""
MAX_ASKED = 3
"""Documents of a request that the model is asked about, at most."""
MAX_EVIDENCE = 3
"""Quotes per proposal, at most: one per document that says the same."""
DISPUTED = 0.5
"""How sure an answer is that another document contradicts: one of two, at the best."""
UNLABELLED_CEILING = 0.7
"""A category told from descriptions alone is for a person to look at, however sure it is."""
CLASSIFIER_FLOOR = 0.3
"""Below this probability a category is not proposed at all."""

NAME_FIELDS = ("name", "legal_name", "trade_name", "company", "company_name")
"""Fields of a record that say what it is called."""


def called(record: RecordSnapshot) -> tuple[str, ...]:
    """What the record is called: its names, as far as it has fields so named."""
    return tuple(str(record.fields[field]) for field in NAME_FIELDS if record.fields.get(field))


def may_read(leave: MayLeave | None, kind: str, lane: Lane) -> bool:
    """Whether a model may be told a document of this kind: one on this machine may read all."""
    if leave is None or lane.provider == "local":
        return True
    return (
        (leave.documents is None or kind in leave.documents)
        and (not leave.providers or lane.provider in leave.providers)
        and (not leave.regions or lane.region in leave.regions)
    )


class Worker:
    """Implements `watchtower.contract.EnrichmentWorker`.

    `classifiers` by field name. `parallel` requests are worked on at once (calls to a remote model wait for
    the network; a local one gains nothing). `ledger` records intents before calls (see enrichment.ledger).
    """

    def __init__(
        self,
        model: ExtractionModel | Caller | None,
        classifiers: Mapping[str, Classifier],
        prompt: Prompt,
        *,
        parallel: int = 1,
        ledger: CallLedger | None = None,
    ) -> None:
        caller = model if model is None or isinstance(model, Caller) else Caller([Lane(model)], ledger=ledger)
        self._model: Caller | None = caller
        self._classifiers, self._prompt = dict(classifiers), prompt
        self._parallel = max(1, parallel)
        self.postponed: set[str] = set()
        """Requests over which a model could not be asked, at no cost: they may be asked again."""
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        """`proposed.METHOD`, `refused.BECAUSE`, `call.REASON`, `call.answered`, `call.known`, `disputed`."""
        self._described: dict[tuple[str, ...], Classifier | None] = {}
        self.fault: ModelError | None = None
        """Why the model cannot be had at all, as long as that is so; the run goes on without it."""

    def status(self) -> ModelStatus:
        """Whether a model is at hand, and what this worker goes without."""
        if self.fault is not None:
            return ModelStatus(ready=False, name=self._name(), detail=str(self.fault))
        if self._model is None:
            detail = (
                "No language model: fields that no pattern, gazetteer or classifier answers stay empty. "
                "Run `watchtower models pull [--small]`, or set WATCHTOWER_GGUF to a model file of your own, "
                "or WATCHTOWER_LLM_BASE_URL to an endpoint."
            )
            return ModelStatus(ready=False, name="", detail=detail)
        return ModelStatus(ready=True, name=self._name(), detail=f"prompt {self._prompt.label}")

    def _name(self) -> str:
        return self._model.name if self._model else ""

    def propose(self, requests: Iterable[FieldRequest]) -> Iterator[Proposal]:
        """Proposals grouped by request, in the order of the requests; fields in the order of the request."""
        if self._parallel == 1:
            for request in requests:
                yield from self._answer(request)
            return
        waiting = iter(requests)
        with ThreadPoolExecutor(self._parallel, thread_name_prefix="enrichment") as pool:
            while batch := list(islice(waiting, self._parallel * 4)):
                for answers in pool.map(self._answer, batch):
                    yield from answers

    def _answer(self, request: FieldRequest) -> list[Proposal]:
        texts = [(document, visible(document.text[:MAX_TEXT])) for document in request.documents]
        texts = [(document, readable) for document, readable in texts if readable.text.strip()]
        found: dict[str, list[Proposal]] = {}
        left: list[FieldSpec] = []
        for spec in request.fields:
            answers = self._without_model(request, spec, texts)
            if answers is None:
                left.append(spec)
            else:
                found[spec.name] = answers
        asked = [spec for spec in left if askable(spec)]
        if asked and texts and self._model is not None:
            found.update({name: [answer] for name, answer in self._with_model(request, asked, texts).items()})
        proposals = [answer for spec in request.fields for answer in found.get(spec.name, ())]
        for proposal in proposals:
            self._count(f"proposed.{proposal.method}")
        return proposals

    def _without_model(
        self, request: FieldRequest, spec: FieldSpec, texts: Sequence[tuple[Document, Readable]]
    ) -> list[Proposal] | None:
        """What is proposed, several values where documents disagree; None: the question is the model's."""
        line = extractor(spec)
        if line is not None:
            return self._extracted(request, spec, line, texts) or None
        classifier = self._classifier(spec) if spec.type == "enum" else None
        if classifier is not None:
            answer = self._classified(request, spec, classifier, texts)
            return [] if answer is None else [answer]
        return None

    def _classifier(self, spec: FieldSpec) -> Classifier | None:
        """What has learnt the field; else what knows the descriptions of its values, where some ship."""
        return self._classifiers[spec.name] if spec.name in self._classifiers else self._descriptions(spec)

    def _descriptions(self, spec: FieldSpec) -> Classifier | None:
        with self._lock:
            if spec.values not in self._described:
                self._described[spec.values] = from_descriptions(spec.values)
            return self._described[spec.values]

    def _extracted(
        self,
        request: FieldRequest,
        spec: FieldSpec,
        line: Extractor,
        texts: Sequence[tuple[Document, Readable]],
    ) -> list[Proposal]:
        """What the documents say; a stated seat outranks a country that is merely named."""
        answers: list[tuple[float, str, Any, Evidence]] = []
        names = called(request.record)
        for document, readable in texts:
            finding = line.find(readable.text, spec, names)
            if finding is None:
                continue
            value = canonical(spec, finding.value)
            evidence = cited(document, *readable.span(finding.start, finding.end))
            if value is None or not intact(evidence, document) or not follows(spec, value, evidence.quote):
                self._refuse(request, spec, "value_not_in_quote" if value is not None else "value_not_allowed")
                continue
            answers.append((finding.confidence, finding.method, value, evidence))
        if not answers:
            return []
        if line.latest:
            answers = answers[-1:]  # documents come in the order in which they arrived
        best = max(confidence for confidence, _, _, _ in answers)
        answers = [answer for answer in answers if answer[0] == best]
        told: list[tuple[Any, list[Evidence]]] = []
        for _, _, value, evidence in answers:
            agreeing = next((words for known, words in told if same(known, value)), None)
            if agreeing is None:
                told.append((value, [evidence]))
            else:
                agreeing.append(evidence)
        if len(told) == 1:
            value, words = told[0]
            return [self._proposal(request, spec, value, best, tuple(words[:MAX_EVIDENCE]), answers[0][1])]
        self._count("disputed")
        log.info("disputed", request=request.id, field=spec.name, values=len(told))
        return [
            self._proposal(
                request, spec, value, DISPUTED, tuple(words[:MAX_EVIDENCE]), answers[0][1],
                against=tuple(other[0] for known, other in told if known is not value)[:MAX_EVIDENCE],
            )
            for value, words in told[:MAX_EVIDENCE]
        ]  # fmt: skip

    def _classified(
        self,
        request: FieldRequest,
        spec: FieldSpec,
        classifier: Classifier,
        texts: Sequence[tuple[Document, Readable]],
    ) -> Proposal | None:
        """The likeliest category over all documents; its evidence is the sentence that says most for it."""
        verdicts = [
            (verdict, document, readable)
            for document, readable in texts
            if (verdict := classifier.predict(readable.text, spec.values)) is not None
        ]
        if not verdicts:
            return None
        verdict, document, readable = max(verdicts, key=lambda v: v[0].probability)
        if verdict.probability < CLASSIFIER_FLOOR:
            self._refuse(request, spec, "classifier_unsure")
            return None
        if (other := self._never_seen(spec, classifier, readable.text)) is not None:
            classifier, verdict = other
        evidence = cited(document, *readable.span(verdict.start, verdict.end))
        sure = verdict.probability if classifier.rows else min(verdict.probability, UNLABELLED_CEILING)
        return self._proposal(request, spec, verdict.label, sure, (evidence,), "classifier", classifier.name)

    def _never_seen(self, spec: FieldSpec, classifier: Classifier, text: str) -> tuple[Classifier, Verdict] | None:
        """What the descriptions say, where it is a value of which there were too few labelled rows to learn: the
        classifier cannot answer with it, and would be as sure of its nearest neighbour."""
        if not classifier.rows or set(spec.values) <= set(classifier.labels):
            return None
        described = self._descriptions(spec)
        verdict = described.predict(text, spec.values) if described is not None else None
        if described is None or verdict is None or verdict.label in classifier.labels:
            return None
        return described, verdict

    def _with_model(
        self, request: FieldRequest, fields: Sequence[FieldSpec], texts: Sequence[tuple[Document, Readable]]
    ) -> dict[str, Proposal]:
        """The model's grounded answers; document after document, until each field has one."""
        found: dict[str, Proposal] = {}
        for document, readable in texts[:MAX_ASKED]:
            open_fields = [spec for spec in fields if spec.name not in found]
            if not open_fields:
                break
            called = self._ask(request, open_fields, document)
            if called is None:
                continue
            for spec in open_fields:
                value, quote = called.said[spec.name], called.said[f"{spec.name}_quote"]
                if value is None:
                    continue
                checked = ground(spec, value, quote, document, readable)
                if isinstance(checked, Refused):
                    self._refuse(request, spec, checked.because)
                    continue
                found[spec.name] = self._from_model(request, spec, checked, called.model)
        return found

    def _ask(self, request: FieldRequest, fields: Sequence[FieldSpec], document: Document) -> Called | None:
        """What a model says, or None with the reason counted and logged."""
        assert self._model is not None
        question, schema = asked_for(fields)
        try:
            called = self._model.ask(
                self._prompt, question, document.text, schema,
                allowed=lambda lane: may_read(request.may_leave, document.kind, lane),
            )  # fmt: skip
        except CallFailed as failure:
            self._count(f"call.{failure.reason}")
            if failure.free:
                self.postponed.add(request.id)
            log.warning("abstained", request=request.id, document=document.id, because=str(failure))
            return None
        except ModelError as fault:
            with self._lock:
                told, self.fault = self.fault is not None, fault
            self.postponed.add(request.id)
            self._count("call.no_model")
            if not told:
                log.error("no model", because=fault.message, remedy=fault.remedy)
            return None
        self.fault = None
        self._count("call.known" if called.known else "call.answered")
        return called

    def _from_model(self, request: FieldRequest, spec: FieldSpec, checked: Grounded, model: str) -> Proposal:
        sure = model_confidence(model, spec)
        evidence = (checked.evidence,)
        return self._proposal(request, spec, checked.value, sure, evidence, "model", model, self._prompt.label)

    def _proposal(
        self,
        request: FieldRequest,
        spec: FieldSpec,
        value: Any,
        confidence: float,
        evidence: tuple[Evidence, ...],
        method: str,
        model: str = "",
        prompt: str = "",
        against: tuple[Evidence, ...] = (),
    ) -> Proposal:
        return Proposal(
            request=request.id,
            field=spec.name,
            value=value,
            confidence=round(confidence, 4),
            evidence=evidence,
            method=method,
            model=model,
            prompt=prompt,
            against=against,
        )

    def _refuse(self, request: FieldRequest, spec: FieldSpec, because: str) -> None:
        self._count(f"refused.{because}")
        log.info("refused", request=request.id, field=spec.name, because=because)

    def _count(self, name: str) -> None:
        with self._lock:
            self.counts[name] += 1
