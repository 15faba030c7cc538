"""The five-reps test on people that were made up: one who uses a state differently is found, none is invented."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest

from watchtower.flow.audit import reps
from watchtower.flow.audit.observe import Observed, Stay
from watchtower.rulebook import Rulebook
from watchtower.rules.spans import micros

AT = datetime(2026, 6, 1, tzinfo=UTC)
PEOPLE = ("ada", "bo", "cy", "dee", "eli")


def book(personal: bool = False) -> Rulebook:
    return Rulebook.model_validate({
        "objects": {"deal": {"fields": {
            "stage": {"type": "enum", "values": ["open", "offer", "won", "lost"]},
            "owner": {"type": "text", "personal": personal}, "scope": {"type": "text"},
        }}},
        "lifecycles": {"deal": {"object": "deal", "states": {
            "open": {"next": ["offer", "lost"]},
            "offer": {"next": ["won", "lost"], "requires": ["scope"]},
            "won": {"final": True}, "lost": {"final": True},
        }}},
    })  # fmt: skip


def year(seed: int, each: int = 40, *, odd: str = "", how: str = "") -> Observed:
    """Each person's deals through open and offer; `odd` does one thing in another way."""
    rng, stays = random.Random(seed), list[Stay]()
    for who in PEOPLE:
        for number in range(each):
            mine = how if who == odd else ""
            record, began = f"{who}-{number}", micros(AT) - int(rng.uniform(1, 300) * reps.DAY)
            for state, good in (("open", "offer"), ("offer", "won")):
                length = int(rng.expovariate(1 / (40 if mine == "dwell" and state == "offer" else 10)) * reps.DAY)
                lost = rng.random() < (0.85 if mine == "next" and state == "offer" else 0.4)
                met = None if state == "open" else rng.random() < (0.4 if mine == "entry" else 0.9)
                ends = began + length
                over = ends < micros(AT)
                target = ("lost" if lost else good) if over else None
                stays.append(Stay(record, state, began, ends if over else None, target, who, met))
                if target != good:
                    break
                began = ends
    return Observed(AT, AT, len(stays), {"deal": len(PEOPLE) * each}, stays={"deal": tuple(stays)})


def flagged(seen: Observed) -> set[tuple[str, str]]:
    return {(u.state, a.name) for u in reps.uses(book(), seen) for a in u.aspects if a.differs}


@pytest.mark.parametrize("how", ["entry", "dwell", "next"])
def test_one_who_uses_a_state_differently_is_found_and_named(how: str) -> None:
    seen = year(1, 120, odd="cy", how=how)
    assert flagged(seen) == {("offer", how)}
    (finding,) = reps.findings(book(), reps.uses(book(), seen), seen)
    assert finding.priority == "P1" and "deal.offer is used in different ways" in finding.title
    assert finding.evidence[0].startswith("cy: ")


def test_where_all_work_alike_hardly_ever_is_anybody_flagged() -> None:
    alarms = sum(bool(flagged(year(seed))) for seed in range(200))
    assert alarms <= 10, f"{alarms} of 200"


def test_with_too_few_records_nothing_is_compared_and_it_is_said_why() -> None:
    for use in reps.uses(book(), year(1, 12, odd="cy", how="entry")):
        assert not use.aspects and "fewer than two people have 20 records" in use.abstains
    assert not reps.findings(book(), reps.uses(book(), year(1, 12)), year(1, 12))


def test_a_record_that_comes_back_counts_once() -> None:
    stay = Stay("d", "offer", 0, reps.DAY, "lost", "ada", True)
    state = book().lifecycles["deal"].states["offer"]
    use = reps.compare("deal", "offer", state, "owner", [stay] * 50, micros(AT))
    assert "1 person, 1 record" in use.abstains


def test_without_a_field_for_the_owner_nobody_can_be_asked() -> None:
    content = book().content()
    del content["objects"]["deal"]["fields"]["owner"]
    nameless = Rulebook.model_validate(content)
    found = reps.uses(nameless, year(1))
    assert {use.abstains for use in found} == {"no field of deal says who works on it: declare its owner"}
    assert [finding.title for finding in reps.findings(nameless, found, year(1))] == [
        "Nobody can tell who works on a deal"
    ]
