"""A month of a company through each CRM's fake, faults and all: the records end as the vendor has them, and the alerts
do not tell which CRM it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from systems.crms import CRMS
from systems.scene import OBJECTS, START, Company, alerts, events, live, state, sync
from systems.vendor import Faults, Vendor
from tower_scene import Clock, tower_under


def without_personal(records: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {id_: {k: v for k, v in fields.items() if k != "email"} for id_, fields in records.items()}


@pytest.mark.parametrize("kind", CRMS)
def test_a_month_with_faults_ends_with_the_vendors_state(kind: str, database_url: str, tmp_path: Path) -> None:
    part, serve = CRMS[kind]
    vendor, clock = Vendor(START), Clock(START)
    with serve(vendor) as crm, tower_under(OBJECTS + part, database_url, tmp_path, clock) as tower:
        vendor.faults = Faults(limited=0.1, broken=0.05, delayed=0.05, twice=0.2, behind=0.1)
        live(Company(vendor, crm.words, seed=4), tower, clock, 31, crm.open, step=12)
        vendor.faults = Faults()
        sync(tower, crm.open)
        for name in ("account", "contact", "opportunity"):
            assert without_personal(state(tower, name)) == crm.words.holds(name), name
            assert len(crm.words.holds(name)) > 3
        assert len(events(tower, "activity.logged")) == len(vendor.of(crm.notes)) > 5
        # Attio does not say into which record one was merged: it is no longer there.
        merged = set() if kind == "attio" else {"record.merged"}
        assert {row[1] for row in events(tower)} == merged | {
            "record.updated", "record.deleted", "activity.logged", "document.added",
        }  # fmt: skip
        # All of it read again says nothing new, and ends nothing.
        again = sync(tower, crm.open, full=True)
        assert (again.took.events, again.gone) == (0, 0) and again.took.said > 50
        with tower.database.read() as conn:
            assert conn.exec_driver_sql("select count(*) from deadletter").scalar_one() == 0


def test_the_same_story_through_two_crms_gives_the_same_alerts(
    database_url: str, module_database_url: str, tmp_path: Path
) -> None:
    told = {}
    for kind, url in (("hubspot", database_url), ("salesforce", module_database_url)):
        part, serve = CRMS[kind]
        vendor, clock = Vendor(START), Clock(START)
        folder = tmp_path / kind
        folder.mkdir()
        with serve(vendor) as crm, tower_under(OBJECTS + part, url, folder, clock) as tower:
            live(Company(vendor, crm.words, seed=11), tower, clock, 14, crm.open, step=8, changes=1)
            told[kind] = alerts(tower)
    assert told["hubspot"] == told["salesforce"]
    assert {row[0] for row in told["hubspot"]} == {"proposal_quiet", "big_unnamed", "overdue"}
    assert {row[-1] for row in told["hubspot"]} == {"open", "resolved"}
