"""Spark as an engine: the same questions over histories that outgrow one machine. Needs the extra `spark` and Java."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from watchtower.errors import InputError
from watchtower.rules.sql import Writer, name
from watchtower.rules.sql_spark import ALWAYS, SparkWriter

_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.ansi.doubleQuotedIdentifiers": "true",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "OFF",
}
_LOCAL = {"spark.sql.shuffle.partitions": "4", "spark.driver.memory": "4g", "spark.driver.bindAddress": "127.0.0.1"}


class SparkEngine:
    """Answers Spark SQL over relations `v_<object>`."""

    at_once = 8
    """Spark's planner grows slow, and deep, with the length of a query."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def writer(self, timezone: str) -> Writer:
        return SparkWriter(timezone)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self._session.sql(sql).collect()]


@contextmanager
def spark_session(master: str) -> Iterator[Any]:
    """A session with our settings. InputError where Spark or Java cannot be had."""
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        raise InputError(
            "--engine spark: pyspark is not installed", remedy="pip install 'watchtower-revops[spark]'"
        ) from None
    if shutil.which("java") is None and not os.environ.get("JAVA_HOME"):
        raise InputError("--engine spark: there is no Java", remedy="install Java 17 or newer, or set JAVA_HOME")
    builder = SparkSession.builder.appName("watchtower").master(master)
    for key, value in (_SETTINGS | (_LOCAL if master.startswith("local") else {})).items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    try:
        yield session
    finally:
        session.stop()


@contextmanager
def spark_engine(session: Any, tables: Mapping[str, pa.Table]) -> Iterator[SparkEngine]:
    """An engine over Arrow tables (record, vfrom, vto, columns...), by object, handed over as Parquet."""
    with tempfile.TemporaryDirectory(prefix="watchtower-spark-") as folder:
        for object_name, table in tables.items():
            path = str(Path(folder) / f"{object_name}.parquet")
            pq.write_table(_in_micros(table), path)
            session.read.parquet(path).createOrReplaceTempView(name("v_" + object_name).strip('"'))
        yield SparkEngine(session)
        session.catalog.clearCache()


def _in_micros(table: pa.Table) -> pa.Table:
    """Times as microseconds; where a version has no end, a number after every time."""
    for index, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            column = table.column(index).cast(pa.int64())
            if field.name == "vto":
                column = pc.fill_null(column, ALWAYS)
            table = table.set_column(index, field.name, column)
    return table
