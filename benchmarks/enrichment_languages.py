"""What enrichment reads on company pages in German, French, Italian, Spanish, Dutch and Portuguese, without a model.

    python -m benchmarks.enrichment_languages [--half held-out] [--pages 60] [--show]

The pages are drawn by benchmarks.company_pages: planted truth, planted absence, and lures (a founder's birth, the
cities of customers and branches, certificates, takeovers). The two halves share no sentence that states something;
patterns may be mended on the half `tune` only, and --show, which prints what went wrong there, refuses the other.

precision: right among the answers on pages that state the field. coverage: answers among those pages. filled although
absent: answers on pages that do not state it. Every answer in these languages is put to a person (.8 sure, below what
the acceptance rules take): the pages were made, not found. Intervals are Wilson's, 95 percent.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

import structlog

from benchmarks.company_pages import TONGUES, Page, pages
from benchmarks.figures import arguments, figure
from benchmarks.firmographics import FIELDS, settled, share
from enrichment import build_worker
from enrichment.worker import Worker
from watchtower.contract import Document, FieldRequest, Proposal, RecordSnapshot

Marks = Counter[str]


def marked(page: Page, said: Proposal | None, field: str) -> str:
    """`right`, `wrong`, `missed`, `invented` or `quiet`; `implied` is the unstated country of a stated city."""
    truth = getattr(page, field)
    given = None if said is None else said.value
    if truth is None:
        if given is None:
            return "quiet"
        return "implied" if field == "country" and given == page.implied else "invented"
    if given is None:
        return "missed"
    return "right" if settled(field, given) == settled(field, truth) else "wrong"


def told(title: str, marks: Marks) -> None:
    answered = marks["right"] + marks["wrong"]
    print(
        f"    {title:14} precision {share(marks['right'], answered):34} "
        f"coverage {share(answered, answered + marks['missed']):34} "
        f"filled although absent {share(marks['invented'], marks['invented'] + marks['quiet'] + marks['implied'])}"
    )


def shown(page: Page, said: Proposal | None, field: str, mark: str) -> None:
    if mark in ("wrong", "missed", "invented"):
        given = "nothing" if said is None else f"{said.value!r} at {said.confidence:.2f}"
        print(f"      {mark} {field}: said {given}, key {getattr(page, field)!r}\n        {page.text!r}")


def answers(worker: Worker, drawn: Sequence[Page]) -> list[dict[str, Proposal]]:
    """Per page, what is proposed for each field. The record knows the company's name, as a customer's does."""
    asked = [
        FieldRequest(
            id=str(place),
            record=RecordSnapshot(object="account", id=str(place), fields={"name": page.name}),
            fields=FIELDS,
            documents=(Document(id="d", kind="web_page", text=page.text),),
        )
        for place, page in enumerate(drawn)
    ]
    found: list[dict[str, Proposal]] = [{} for _ in drawn]
    for one in worker.propose(asked):
        found[int(one.request)][one.field] = one
    return found


def measure(half: str, count: int, show: bool) -> None:
    worker = build_worker()
    every: dict[str, Marks] = {spec.name: Counter() for spec in FIELDS}
    for tongue in TONGUES:
        drawn: Sequence[Page] = list(pages(tongue, "tune" if half == "tune" else "held-out", count))
        found = answers(worker, drawn)
        print(f"\n{tongue.code}: {len(drawn)} pages, {half}")
        for spec in FIELDS:
            marks: Marks = Counter()
            for page, one in zip(drawn, found, strict=True):
                mark = marked(page, one.get(spec.name), spec.name)
                marks[mark] += 1
                if show:
                    shown(page, one.get(spec.name), spec.name, mark)
            told(spec.name, marks)
            every[spec.name] += marks
    print("\nall six")
    for field, marks in every.items():
        told(field, marks)
        answered = marks["right"] + marks["wrong"]
        silent = marks["invented"] + marks["quiet"] + marks["implied"]
        figure(f"pages in six languages, {field}: precision", marks["right"] / max(1, answered))
        figure(f"pages in six languages, {field}: coverage", answered / max(1, answered + marks["missed"]))
        figure(f"pages in six languages, {field}: filled although absent", marks["invented"] / max(1, silent),
               better="lower")  # fmt: skip


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--half", choices=("tune", "held-out"), default="held-out")
    parser.add_argument("--pages", type=int, default=60, help="of each language")
    parser.add_argument("--show", action="store_true", help="print each mistake; of the half `tune` only")
    given = parser.parse_args()
    if given.show and given.half != "tune":
        parser.error("--show: the pages held out are not to be read; say --half tune")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    measure(given.half, given.pages, given.show)


if __name__ == "__main__":
    main()
