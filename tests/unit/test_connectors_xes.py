"""XES logs: plain, gzipped, hostile and broken."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest

from watchtower.connectors import Batch, load_mapping, open_source
from watchtower.errors import InputError

MAPPING = """
source: bank
events:
  - subject: "case/{case:concept:name}"
    time: time:timestamp
    type: {from: concept:name, prefix: {A_: state, W_: work}}
    data: {who: "org:resource", cost: cost, urgent: urgent, amount: "case:amount", nested: inner}
"""

LOG = """<?xml version="1.0" encoding="UTF-8"?>
<log xes.version="1.0" xmlns="http://www.xes-standard.org/">
  <extension name="Concept" prefix="concept" uri="http://www.xes-standard.org/concept.xesext"/>
  <global scope="event"><string key="concept:name" value="UNKNOWN"/></global>
  <classifier name="Activity" keys="concept:name"/>
  <string key="concept:name" value="the log"/>
  <trace>
    <string key="concept:name" value="173688"/>
    <int key="amount" value="20000"/>
    <event>
      <string key="concept:name" value="A_SUBMITTED"/>
      <date key="time:timestamp" value="2011-10-01T00:38:44.546+02:00"/>
      <string key="org:resource" value="Müller &amp; Söhne"><string key="inner" value="passed over"/></string>
      <float key="cost" value="1.5"/>
      <boolean key="urgent" value="true"/>
    </event>
    <event>
      <string key="concept:name" value="W_Call"/>
      <date key="time:timestamp" value="2011-10-01T11:36:46.437+02:00"/>
    </event>
  </trace>
  <trace>
    <string key="concept:name" value="2"/>
    <event>
      <string key="concept:name" value="A_SUBMITTED"/>
      <date key="time:timestamp" value="soon"/>
    </event>
    <event>
      <string key="concept:name" value="A_SUBMITTED"/>
      <date key="time:timestamp" value="2011-10-02T00:00:00Z"/>
    </event>
  </trace>
</log>
"""


def _read(folder: Path, content: str | bytes, name: str = "log.xes", size: int = 5000) -> Batch:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    (folder / "mapping.yaml").write_text(MAPPING)
    batches = list(open_source(folder / name, load_mapping(folder / "mapping.yaml")).batches(size))
    assert batches[-1].done == 1.0
    return Batch([e for b in batches for e in b.events], [r for b in batches for r in b.refused], 1.0)


@pytest.mark.parametrize("size", [1, 2, 5000])
@pytest.mark.parametrize("name", ["log.xes", "log.xes.gz"])
def test_a_log_gives_its_events_with_their_traces_attributes(tmp_path: Path, name: str, size: int) -> None:
    content = gzip.compress(LOG.encode()) if name.endswith("gz") else LOG
    read = _read(tmp_path, content, name, size)
    assert [(event.subject, event.type, event.data) for event in read.events] == [
        (
            "case/173688",
            "state",
            {"who": "Müller & Söhne", "cost": 1.5, "urgent": True, "amount": 20000},
        ),
        ("case/173688", "work", {"amount": 20000}),
        ("case/2", "state", {}),
    ]
    assert read.events[0].time == datetime(2011, 9, 30, 22, 38, 44, 546000, tzinfo=UTC)
    assert len({event.id for event in read.events}) == 3
    (refused,) = read.refused
    assert refused.place == f"{name} event 3"
    assert "'soon' is not an ISO 8601 time" in refused.reason


BILLION_LAUGHS = """<?xml version="1.0"?>
<!DOCTYPE log [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>
<log><trace><string key="concept:name" value="&c;"/></trace></log>"""
EXTERNAL_ENTITY = """<?xml version="1.0"?>
<!DOCTYPE log [<!ENTITY x SYSTEM "file:///etc/hostname">]>
<log><trace><string key="concept:name" value="1"/>&x;</trace></log>"""
EXTERNAL_DTD = '<!DOCTYPE log SYSTEM "http://127.0.0.1:9/log.dtd"><log/>'


@pytest.mark.parametrize("content", [BILLION_LAUGHS, EXTERNAL_ENTITY, EXTERNAL_DTD])
def test_a_document_type_declaration_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(InputError, match=r"log\.xes:\d+: has a document type declaration"):
        _read(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (LOG[: len(LOG) // 2], "is not well-formed XML"),
        ("id,at\n1,2\n", r"log\.xes:1:1: is not well-formed XML"),
        ("<html><body/></html>", "an XES log begins with <log>"),
        ("<log/>", "has no event"),
        (b"\xff\xfe\x00", "is not well-formed XML"),
        (gzip.compress(LOG.encode())[:-30], "is not complete gzip"),
        (gzip.compress(b"<log>" + b" " * 40_000_000), "bytes without an event"),
    ],
    ids=["cut", "csv", "html", "no-events", "bytes", "cut-gzip", "gzip-bomb"],
)
def test_what_is_no_whole_log_is_an_input_error(tmp_path: Path, content: str | bytes, says: str) -> None:
    with pytest.raises(InputError, match=says):
        _read(tmp_path, content)
