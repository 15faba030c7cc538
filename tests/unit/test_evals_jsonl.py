"""Cases are read as files come: with a byte-order mark, with the line ends of any system, with blank lines."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from evals.jsonl import read_lines
from watchtower.errors import InputError


class Thing(msgspec.Struct, frozen=True):
    id: str


def test_a_byte_order_mark_and_other_line_ends_are_no_fault(tmp_path: Path) -> None:
    (tmp_path / "cases.jsonl").write_bytes(b'\xef\xbb\xbf{"id":"a"}\r\n\r\n{"id":"\xc3\xbc"}')
    assert list(read_lines(tmp_path / "cases.jsonl", Thing)) == [
        ("cases.jsonl:1", Thing("a")), ("cases.jsonl:3", Thing("ü")),
    ]  # fmt: skip


def test_a_mark_within_the_file_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "cases.jsonl").write_bytes(b'{"id":"a"}\n\xef\xbb\xbf{"id":"b"}\n')
    with pytest.raises(InputError, match=r"cases\.jsonl:2: .*malformed"):
        list(read_lines(tmp_path / "cases.jsonl", Thing))
