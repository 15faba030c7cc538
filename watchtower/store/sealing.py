"""Personal data, sealed: one key for each person, and nothing readable without it.

A sealed value is a text, `sealed:1:KEY:CIPHER`. The cipher is AES-SIV (RFC 5297) under the subject's own key, which
gives the same text for the same value of the same field of the same subject: so a repeated event is still a repeat,
`changed_at` still tells a change, and the journal's hash, and a replay, are over what stands there. Who holds the
table without the keys learns which values of one person are equal, and how long they are, and no more.

The subject's key is wrapped (AES-GCM) by the master key: WATCHTOWER_MASTER_KEY, or the file master.key in the data
folder. Destroying the subject's key makes every copy of what it sealed unreadable, wherever that copy is.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV
from sqlalchemy import Connection, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from watchtower.errors import InputError, StoreError

PREFIX = "sealed:1:"
ERASED = "(erased)"
"""What a value reads as whose key was destroyed."""
UNREADABLE = "(sealed)"
"""What it reads as where no master key is at hand."""
OPTION = "watchtower_keys"
"""The option of the engine under which a connection finds the keyring."""
_KEY_BYTES, _MASTER_BYTES, _NONCE = 64, 32, 12

_OF = text("select record, id, wrapped from subject_key where object = :object and record = any(:records)").bindparams(
    bindparam("records", type_=ARRAY(Text))
)
_BY_ID = text("select id, object, record, wrapped from subject_key where id = any(:ids)").bindparams(
    bindparam("ids", type_=ARRAY(Text))
)
_ADD = text(
    "insert into subject_key (id, object, record, wrapped, made_at, erased_at) "
    "values (:id, :object, :record, :wrapped, :now, :erased) on conflict (object, record) do nothing"
)
_ANY = text(
    "select exists (select 1 from subject_key where wrapped is not null) "
    "or exists (select 1 from system_token where sealed is not null)"
)
_DESTROY = text(
    "update subject_key set wrapped = null, erased_at = :now where object = :object and record = :record returning id"
)
_DESTROY_THESE = text(
    "update subject_key set wrapped = null, erased_at = coalesce(erased_at, :now) where id = any(:ids) returning id"
).bindparams(bindparam("ids", type_=ARRAY(Text)))


@dataclass(frozen=True)
class Keyring:
    """Where the master key is. It is read when it is needed, and made in its file when it is first needed."""

    given: str | None
    file: Path

    def wrap(self, key: bytes, subject: str, *, create: bool) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + AESGCM(self._master(create)).encrypt(nonce, key, subject.encode())

    def unwrap(self, wrapped: bytes, subject: str) -> bytes:
        try:
            return AESGCM(self._master(False)).decrypt(wrapped[:_NONCE], wrapped[_NONCE:], subject.encode())
        except InvalidTag:
            raise StoreError(
                f"{self._place()}: is not the master key that this database was sealed with",
                remedy="Bring back the key that belongs to this database.",
            ) from None

    def at_hand(self) -> bool:
        return self.given is not None or self.file.exists()

    def _place(self) -> str:
        return "WATCHTOWER_MASTER_KEY" if self.given is not None else str(self.file)

    def _master(self, create: bool) -> bytes:
        if self.given is None and create and not self.file.exists():
            self._make()
        try:
            encoded = self.given if self.given is not None else self.file.read_text()
        except FileNotFoundError:
            raise StoreError(
                f"{self.file}: is missing, and what is secret in this database is sealed with it",
                remedy="Bring the file back, or set WATCHTOWER_MASTER_KEY to what it held.",
            ) from None
        try:
            key = base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != _MASTER_BYTES:
            raise InputError(
                f"{self._place()}: is no key; accepted are {_MASTER_BYTES} random bytes in base64",
                remedy="head -c 32 /dev/urandom | base64",
            )
        return key

    def _make(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Whole under another name first: another process must never read half a key.
        draft = self.file.with_name(f".{self.file.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(os.urandom(_MASTER_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, self.file)
        except FileExistsError:
            pass  # another process was first: its key counts
        finally:
            draft.unlink()


@dataclass(frozen=True)
class SubjectKey:
    """A subject's key. `secret` is None where it was destroyed."""

    id: str
    secret: bytes | None

    def seal(self, field: str, value: Any) -> str:
        """The sealed form of a JSON value of a field."""
        assert self.secret is not None
        cipher = AESSIV(self.secret).encrypt(msgspec.json.encode((field, value)), None)
        return f"{PREFIX}{self.id}:{base64.urlsafe_b64encode(cipher).decode()}"


def keyring(conn: Connection) -> Keyring | None:
    """The keyring of this connection's database; None where it was opened without settings."""
    found: Keyring | None = conn.get_execution_options().get(OPTION)
    return found


def keys_for(conn: Connection, object_name: str, records: Sequence[str], now: datetime) -> dict[str, SubjectKey]:
    """The key of each of these subjects; made where there is none yet."""
    known = {row.record: row for row in conn.execute(_OF, {"object": object_name, "records": list(records)})}
    ring = _need(conn)
    missing = [record for record in records if record not in known]
    if missing:
        # Where keys are in use already, their master key must be there: a new one would split the data.
        create = not conn.execute(_ANY).scalar_one()
        rows = []
        for record in missing:
            secret = ring.wrap(os.urandom(_KEY_BYTES), f"{object_name}/{record}", create=create)
            rows.append({"id": os.urandom(8).hex(), "object": object_name, "record": record, "wrapped": secret,
                         "now": now, "erased": None})  # fmt: skip
        conn.execute(_ADD, rows)
        known |= {row.record: row for row in conn.execute(_OF, {"object": object_name, "records": missing})}
    return {
        record: SubjectKey(row.id, None if row.wrapped is None else ring.unwrap(row.wrapped, f"{object_name}/{record}"))
        for record, row in known.items()
    }


def seal_secret(conn: Connection, secret: bytes, name: str) -> bytes:
    """A secret of the tower's own, under the master key; `name` tells it from others. StoreError."""
    return _need(conn).wrap(secret, name, create=not conn.execute(_ANY).scalar_one())


def open_secret(conn: Connection, sealed: bytes, name: str) -> bytes:
    """What was sealed under this name. StoreError where the master key is another one, or not at hand."""
    return _need(conn).unwrap(sealed, name)


def destroy(conn: Connection, object_name: str, record: str, now: datetime) -> str:
    """Destroy a subject's key, and keep that it was; the key's id."""
    given = {"object": object_name, "record": record, "now": now}
    conn.execute(_ADD, given | {"id": os.urandom(8).hex(), "wrapped": None, "erased": now})
    found: str = conn.execute(_DESTROY, given).scalar_one()
    return found


def destroy_again(conn: Connection, ids: Sequence[str], now: datetime) -> int:
    """Destroy keys by their ids: a backup has brought them back. How many were there."""
    return len(conn.execute(_DESTROY_THESE, {"ids": list(ids), "now": now}).all())


def open_all(conn: Connection, values: Sequence[Any]) -> list[Any]:
    """JSON values with every sealed text in them opened; `(erased)` where its key was destroyed."""
    tokens: set[str] = set()
    for value in values:
        _collect(value, tokens)
    if not tokens:
        return list(values)
    plain = _open(conn, tokens)
    return [_replaced(value, plain) for value in values]


def is_sealed(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(PREFIX)


def _need(conn: Connection) -> Keyring:
    ring = keyring(conn)
    if ring is None:
        raise StoreError("this database was opened without a keyring, and personal data are to be sealed")
    return ring


def _open(conn: Connection, tokens: Iterable[str]) -> Mapping[str, Any]:
    ring = keyring(conn)
    if ring is None or not ring.at_hand():
        return dict.fromkeys(tokens, UNREADABLE)
    ids = {token: token[len(PREFIX) :].partition(":")[0] for token in tokens}
    # Never kept beyond this statement: a key that is destroyed must be gone at once, in every process.
    secrets = {
        row.id: None if row.wrapped is None else ring.unwrap(row.wrapped, f"{row.object}/{row.record}")
        for row in conn.execute(_BY_ID, {"ids": sorted(set(ids.values()))})
    }
    return {token: _opened(token, secrets.get(ids[token])) for token in tokens}


def _opened(token: str, secret: bytes | None) -> Any:
    if secret is None:
        return ERASED
    try:
        cipher = base64.urlsafe_b64decode(token.rpartition(":")[2])
        return msgspec.json.decode(AESSIV(secret).decrypt(cipher, None))[1]
    except (InvalidTag, ValueError):
        return UNREADABLE


def _collect(value: Any, into: set[str]) -> None:
    if isinstance(value, str):
        if value.startswith(PREFIX):
            into.add(value)
    elif isinstance(value, dict):
        for item in value.values():
            _collect(item, into)
    elif isinstance(value, list):
        for item in value:
            _collect(item, into)


def _replaced(value: Any, plain: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        return plain.get(value, value)
    if isinstance(value, dict):
        return {key: _replaced(item, plain) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, plain) for item in value]
    return value
