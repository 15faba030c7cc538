"""The jobs database: a second one, beside the core's, and the only one that workers reach.

The tower writes batches and reads answers; a worker reads batches and answers through functions (jobs.sql).
Nothing of the core waits for this database inside a transaction of its own: what a worker locks, it locks here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from sqlalchemy import Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import make_url

from watchtower.errors import InputError, StoreError
from watchtower.store import ledger
from watchtower.store.database import Connection, Database, open_database

DDL = (Path(__file__).parent / "jobs.sql").read_text(encoding="utf-8")
VARIABLE = "WATCHTOWER_JOBS_URL"
MAX_BODY = 8 * 1024 * 1024
"""Bytes of one batch's requests, as jobs.sql has it."""
MAX_BLOB = 256 * 1024 * 1024
MAX_PART = 256 * 1024
"""Bytes of one part of an answer."""
MAX_PARTS = 100
DEATHS = 3
"""Workers that may die over one request, one after the other; then it is given up."""
STALLED = 30.0
"""Seconds without a heartbeat after which a worker counts as dead; it beats every 10."""
_SETUP = 0x6A6F6273_00000000
"""The key of the advisory lock of the setup: "jobs" in ASCII."""


class NewBatch(msgspec.Struct, frozen=True, kw_only=True):
    """`requests`: (id, parts that its answer may have), in the order in which they are to be answered."""

    id: str
    queue: str
    body: str
    blob: str | None
    requests: Sequence[tuple[str, int]]


class Arrived(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that has come up. `bodies`: its parts, in order."""

    batch: str
    request: str
    bodies: list[str]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A batch whose job has ended, and the requests that it leaves, in order."""

    id: str
    status: str
    attempts: int
    left: list[str]


def beside(core: str) -> str:
    """The default address: the core database's, with `_jobs` after its name."""
    address = make_url(core)
    return address.set(database=f"{address.database}_jobs").render_as_string(hide_password=False)


def name_of(url: str) -> str:
    """The database's name."""
    return make_url(url).database or ""


def plain(url: str) -> str:
    """The address as libpq reads it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def open_jobs(url: str, *, core: Database | None, calls_per_day: int) -> Database:
    """The jobs database with its tables, as the tower opens it. Made through `core` where it is not there yet.

    `calls_per_day` bounds the calls to language models of all workers together. StoreError where it cannot be had.
    """
    if core is not None:
        _make(core, make_url(url).database or "")
    database = _open(url)
    try:
        with database.begin() as conn:
            _set_up(conn)
            ledger.allow(conn, {"calls_per_day": calls_per_day})
    except BaseException:
        database.close()
        raise
    return database


class NotYet(StoreError):
    """The tower has not made the jobs database yet."""


def open_as_worker(url: str) -> Database:
    """The jobs database as a worker opens it: it makes nothing. NotYet where the tower has not set it up."""
    remedy = "Start the tower (watchtower up --no-worker): it makes the jobs database and its tables."
    try:
        database = _open(url)
    except StoreError as error:
        if re.search(r'database "[^"]*" does not exist', error.message):
            raise NotYet(error.message, remedy=remedy) from error
        raise
    try:
        with database.begin() as conn:
            if conn.execute(text("select to_regclass('public.batch')")).scalar() is None:
                raise NotYet(f"{database.address}: is not a jobs database yet", remedy=remedy)
    except BaseException:
        database.close()
        raise
    return database


def _open(url: str) -> Database:
    """The database at this address; what is wrong with it is told under the right variable's name."""
    try:
        return open_database(url)
    except (StoreError, InputError) as error:
        message, remedy = (said.replace("DATABASE_URL", VARIABLE) for said in (error.message, error.remedy))
        raise type(error)(message, remedy=remedy) from error


def _make(core: Database, name: str) -> None:
    with core.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        if conn.execute(text("select 1 from pg_database where datname = :name"), {"name": name}).scalar():
            return
        quoted = conn.dialect.identifier_preparer.quote(name)
        try:
            conn.execute(text(f"create database {quoted} encoding 'UTF8' template template0"))
        except Exception as error:
            cause = getattr(error, "orig", None)
            if isinstance(cause, psycopg.errors.DuplicateDatabase | psycopg.errors.UniqueViolation):
                return  # another process was quicker
            if isinstance(cause, psycopg.errors.InsufficientPrivilege):
                raise StoreError(
                    f"the jobs database {name!r} is not there, and this user may not create it",
                    remedy=f"Run `createdb {name}` as an administrator, or name another by WATCHTOWER_JOBS_URL.",
                ) from error
            raise


def _set_up(conn: Connection) -> None:
    from importlib.metadata import version

    wanted = {"schema": hashlib.sha256(DDL.encode()).hexdigest(), "procrastinate": version("procrastinate")}
    if _about(conn) == wanted:
        return
    conn.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _SETUP})
    raw = conn.connection.driver_connection
    assert raw is not None
    for script in _scripts(_about(conn).get("procrastinate")):
        raw.execute(script)
    raw.execute(DDL)
    for name, value in wanted.items():
        conn.execute(_ABOUT, {"name": name, "value": value})


def _about(conn: Connection) -> dict[str, str]:
    """What the tables are of; empty where there are none."""
    # to_regclass alone may answer from a cache that is older than the lock we waited for; reading pg_class renews it.
    if not conn.execute(text("select count(*) from pg_class where oid = to_regclass('public.about')")).scalar():
        return {}
    return {row.name: row.value for row in conn.execute(text("select name, value from about"))}


def _scripts(before: str | None) -> list[str]:
    """What brings Procrastinate's tables up to the version that is installed."""
    from procrastinate.schema import SchemaManager

    if before is None:
        return [SchemaManager.get_schema()]
    had = _numbers(before)
    files = sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"))
    return [file.read_text(encoding="utf-8") for file in files if _numbers(file.name.partition("_")[0]) > had]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())


_ABOUT = text(
    "insert into about (name, value) values (:name, :value) on conflict (name) do update set value = excluded.value"
)
_BLOB = text("insert into blob (id, body) values (:id, :body) on conflict (id) do update set made_at = now()")
_BATCH = text("insert into batch (id, queue, body, blob) values (:id, :queue, :body, :blob)")
_ASKED = text(
    """
    insert into asked (batch, request, place, parts)
    select :batch, given.request, given.place, given.parts
    from unnest(cast(:requests as text[]), cast(:parts as int[])) with ordinality as given(request, parts, place)
    """
)
_JOB = text("update batch set job = :job where id = :id")
_WAITING = text("select a.request from asked a join batch b on b.id = a.batch where b.queue = any(:queues)").bindparams(
    bindparam("queues", type_=ARRAY(Text))
)
_ARRIVED = text(
    """
    select r.batch, r.request, array_agg(r.body order by r.part) as bodies
    from (
      select a.batch, a.request, a.place, b.made_at from asked a join batch b on b.id = a.batch
      where a.answered_at is not null
        and (cast(:batches as text[]) is null or a.batch = any(:batches))
        and (cast(:queues as text[]) is null or b.queue = any(:queues) or b.made_at < :stale)
        and not exists (
          select 1 from asked o where o.request = a.request and a.request like 'dq\\_%' and o.answered_at is null)
      order by b.made_at, a.batch, a.place limit :limit
    ) first
    join result r on r.batch = first.batch and r.request = first.request
    group by r.batch, r.request, first.made_at, first.place
    order by first.made_at, r.batch, first.place
    """
).bindparams(bindparam("batches", type_=ARRAY(Text)), bindparam("queues", type_=ARRAY(Text)))
_PARTS = text(
    """
    select r.batch, r.request, array_agg(r.body order by r.part) as bodies
    from asked a join result r on r.batch = a.batch and r.request = a.request join batch b on b.id = a.batch
    where a.request = any(:requests) and a.answered_at is not null
    group by r.batch, r.request, b.body order by r.request, coalesce((b.body::jsonb ->> 'part')::int, 0), r.batch
    """
).bindparams(bindparam("requests", type_=ARRAY(Text)))
_LATER = text("set local synchronous_commit = off")
_TAKEN = text(
    "delete from asked using unnest(cast(:batches as text[]), cast(:requests as text[])) as taken(batch, request) "
    "where asked.batch = taken.batch and asked.request = taken.request"
)
_ENDED = text(
    """
    select b.id, coalesce(j.status::text, 'gone') as status, coalesce(j.attempts, 0) as attempts,
      coalesce(array_agg(a.request order by a.place) filter (where a.request is not null), '{}') as left
    from batch b left join procrastinate_jobs j on j.id = b.job left join asked a on a.batch = b.id
    where (j.id is null or j.status not in ('todo', 'doing')
        or (b.made_at < :stale and not b.queue = any(:queues) and not exists (
          select 1 from procrastinate_jobs o join procrastinate_workers w on w.id = o.worker_id
          where o.queue_name = b.queue and o.status = 'doing' and w.last_heartbeat > now() - interval '30 seconds')))
      and (cast(:batches as text[]) is null or b.id = any(:batches))
    group by b.id, j.status, j.attempts
    having count(a.answered_at) = 0
    order by b.made_at
    """
).bindparams(bindparam("batches", type_=ARRAY(Text)), bindparam("queues", type_=ARRAY(Text)))
_FORGET_JOB = text(
    "delete from procrastinate_jobs where id in (select job from batch where id = any(:ids))"
).bindparams(bindparam("ids", type_=ARRAY(Text)))
_FORGET = text("delete from batch where id = any(:ids)").bindparams(bindparam("ids", type_=ARRAY(Text)))
_SWEEP = text(
    "delete from blob where made_at < now() - interval '1 hour' and not exists "
    "(select 1 from batch where batch.blob = blob.id)"
)
_DEAD = text(
    """
    with dead as (
      select j.id, b.id as batch, coalesce(
          (select a.request from asked a where a.batch = b.id and a.answered_at is null order by place limit 1), '')
        as request
      from procrastinate_jobs j join batch b on b.job = j.id left join procrastinate_workers w on w.id = j.worker_id
      where j.status = 'doing' and (w.id is null or w.last_heartbeat < now() - make_interval(secs => :seconds))
      for update of j skip locked
    )
    update batch set died_at = dead.request,
      deaths = case when batch.died_at = dead.request then batch.deaths + 1 else 1 end
    from dead where batch.id = dead.batch returning dead.id, batch.id as batch, batch.deaths
    """
)
_AGAIN = text("select procrastinate_retry_job_v2(:id, now(), null, null, null)")
_GIVE_UP = text("select procrastinate_finish_job_v1(:id, 'failed', false)")
_COUNTS = text(
    "select queue_name, status::text as status, count(*) as n from procrastinate_jobs where queue_name = any(:queues) "
    "group by queue_name, status"
).bindparams(bindparam("queues", type_=ARRAY(Text)))


# ---- the tower's side


def keep_blob(conn: Connection, body: bytes) -> str:
    """Keep what several batches share; its id. StoreError where it is too large."""
    if len(body) > MAX_BLOB:
        raise StoreError(
            f"{len(body)} bytes are too many to hand to a worker; at most {MAX_BLOB} travel in one piece",
            remedy="Archive records that are long over, or split the object.",
        )
    key = hashlib.sha256(body).hexdigest()
    conn.execute(_BLOB, {"id": key, "body": body})
    return key


def hand_down(conn: Connection, task: str, batch: NewBatch) -> None:
    """A batch and its job, in one transaction."""
    from procrastinate import App, SyncPsycopgConnector

    conn.execute(_BATCH, {"id": batch.id, "queue": batch.queue, "body": batch.body, "blob": batch.blob})
    ids, parts = [request for request, _ in batch.requests], [parts for _, parts in batch.requests]
    conn.execute(_ASKED, {"batch": batch.id, "requests": ids, "parts": parts})
    app = App(connector=SyncPsycopgConnector())  # it stays closed: the job is written on our connection
    deferrer = app.configure_task(task, queue=batch.queue, connection=conn.connection.driver_connection)
    conn.execute(_JOB, {"id": batch.id, "job": deferrer.defer(batch=batch.id)})


def waiting(conn: Connection, queues: Collection[str]) -> frozenset[str]:
    """The requests that stand in a batch of these queues."""
    return frozenset(conn.execute(_WAITING, {"queues": list(queues)}).scalars())


def time(conn: Connection) -> datetime:
    """The time by the clock of the jobs database, which stamps its rows."""
    now: datetime = conn.execute(text("select now()")).scalar_one()
    return now


def wait_briefly(conn: Connection) -> None:
    """From here to the end of the transaction, a lock that another holds is waited for two seconds at most."""
    conn.execute(text("set local lock_timeout = '2s'"))


def arrived(
    conn: Connection, *, queues: Collection[str], stale: datetime, batches: Collection[str] | None = None, limit: int
) -> list[Arrived]:
    """Answers that have come up and are not taken yet, the oldest batch first, in the order in which they were asked.

    Those of these batches, or, where none are named, of these queues and of batches older than `stale`. A request of
    detection (`dq_`) that was handed down in parts arrives when all its parts have; see `parts_of`.
    """
    rows = conn.execute(
        _ARRIVED,
        {
            "batches": None if batches is None else list(batches),
            "queues": list(queues) if batches is None else None,
            "stale": stale,
            "limit": limit,
        },
    )
    return [Arrived(batch=row.batch, request=row.request, bodies=row.bodies) for row in rows]


def parts_of(conn: Connection, requests: Sequence[str]) -> list[Arrived]:
    """All answers that have come to these requests, from whatever batch; by request, then in the order of the parts."""
    rows = conn.execute(_PARTS, {"requests": list(requests)})
    return [Arrived(batch=row.batch, request=row.request, bodies=row.bodies) for row in rows]


def taken(conn: Connection, answers: Sequence[tuple[str, str]]) -> None:
    """These (batch, request) are decided on: the answers go, and none can come any more.

    Where a crash brings them back, they are passed over: their requests have their answers. So nobody waits for the
    disk.
    """
    conn.execute(_LATER)
    conn.execute(_TAKEN, {"batches": [batch for batch, _ in answers], "requests": [request for _, request in answers]})


def ended(
    conn: Connection, *, queues: Collection[str], stale: datetime, batches: Collection[str] | None = None
) -> list[Standing]:
    """Batches without a job any more, and without an answer that waits to be taken.

    A batch of another queue that is older than `stale` counts as ended too, where nobody works on that queue.
    """
    rows = conn.execute(
        _ENDED, {"queues": list(queues), "stale": stale, "batches": None if batches is None else list(batches)}
    )
    return [Standing(id=row.id, status=row.status, attempts=row.attempts, left=row.left) for row in rows]


def forget(conn: Connection, batches: Collection[str]) -> None:
    """Batches, their jobs, and what they left."""
    ids = list(batches)
    conn.execute(_FORGET_JOB, {"ids": ids})
    conn.execute(_FORGET, {"ids": ids})
    conn.execute(_SWEEP)


def requeue(conn: Connection, *, seconds: float = STALLED) -> tuple[int, list[str]]:
    """Jobs whose worker has died: (how many are begun again, the batches of those given up)."""
    again, given_up = 0, []
    for row in conn.execute(_DEAD, {"seconds": seconds}).all():
        if row.deaths < DEATHS:
            conn.execute(_AGAIN, {"id": row.id})
            again += 1
        else:
            conn.execute(_GIVE_UP, {"id": row.id})
            given_up.append(row.batch)
    return again, given_up


def counts(conn: Connection, queues: Collection[str]) -> dict[tuple[str, str], int]:
    """(queue, status) -> jobs."""
    return {(row.queue_name, row.status): row.n for row in conn.execute(_COUNTS, {"queues": list(queues)})}


# ---- the worker's side

_READ_BATCH = text("select body, blob from batch where id = :id")
_READ_BLOB = text("select body from blob where id = :id")
_OPEN = text("select request from asked where batch = :id and answered_at is null order by place")
_ANSWER = text("select answer(:batch, :request, cast(:bodies as text[]))")

_ANSWERS = text(
    "select done from unnest(cast(:batch as text[]), cast(:request as text[]), cast(:body as text[])) "
    "with ordinality as one(batch, request, body, n) "
    "cross join lateral answer(one.batch, one.request, array[one.body]) as done order by one.n"
)


def batch(conn: Connection, batch_id: str) -> tuple[str, str | None] | None:
    """(body, blob) of a batch; None where the tower has forgotten it."""
    row = conn.execute(_READ_BATCH, {"id": batch_id}).one_or_none()
    return None if row is None else (row.body, row.blob)


def blob(conn: Connection, blob_id: str) -> bytes:
    """What several batches share."""
    return bytes(conn.execute(_READ_BLOB, {"id": blob_id}).scalar_one())


def unanswered(conn: Connection, batch_id: str) -> list[str]:
    """The requests of a batch that wait for an answer, in order."""
    return list(conn.execute(_OPEN, {"id": batch_id}).scalars())


class Given(msgspec.Struct, frozen=True):
    """What a worker says to one request of a batch."""

    batch: str
    request: str
    bodies: Sequence[str]


def answer_all(conn: Connection, given: Sequence[Given]) -> list[bool]:
    """Answer requests, each once; see `answer`. Those of one part, as most are, go in one statement."""
    said = [answer(conn, one.batch, one.request, one.bodies) if len(one.bodies) != 1 else False for one in given]
    places = [place for place, one in enumerate(given) if len(one.bodies) == 1]
    if places:
        # In one order, whoever answers: two workers over the same batch (one counted as dead) never block each other.
        places.sort(key=lambda place: (given[place].batch, given[place].request))
        of = [given[place] for place in places]
        columns = {"batch": [one.batch for one in of], "request": [one.request for one in of]}
        columns["body"] = [one.bodies[0] for one in of]
        for place, done in zip(places, conn.execute(_ANSWERS, columns).scalars(), strict=True):
            said[place] = bool(done)
    return said


def answer(conn: Connection, batch_id: str, request: str, bodies: Sequence[str]) -> bool:
    """Answer a request, once. False where it is answered, or nobody asked."""
    said: Any = conn.execute(_ANSWER, {"batch": batch_id, "request": request, "bodies": list(bodies)}).scalar()
    return bool(said)
