"""Tuning and training jobs on disk, so that a killed cloud goes on where it was."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Record = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS tuning_jobs (
    key TEXT PRIMARY KEY, sequence INTEGER, status TEXT, created REAL, modified REAL,
    record TEXT);
CREATE TABLE IF NOT EXISTS training_jobs (
    key TEXT PRIMARY KEY, sequence INTEGER, status TEXT, created REAL, modified REAL,
    record TEXT, tuning_job TEXT);
CREATE INDEX IF NOT EXISTS tuning_jobs_status ON tuning_jobs (status, key);
CREATE INDEX IF NOT EXISTS tuning_jobs_by_age ON tuning_jobs (created, key);
CREATE INDEX IF NOT EXISTS training_jobs_by_age ON training_jobs (created, key);
CREATE INDEX IF NOT EXISTS training_jobs_status ON training_jobs (status, created);
CREATE INDEX IF NOT EXISTS of_tuning_job ON training_jobs (tuning_job, key);
CREATE TABLE IF NOT EXISTS tags (arn TEXT, key TEXT, value TEXT, PRIMARY KEY (arn, key));
"""

ORDERS = {"Name": "key", "CreationTime": "created", "Status": "status"}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which records a listing shows, and in which order."""

    status: str | None = None
    name_contains: str | None = None
    created_after: float | None = None
    created_before: float | None = None
    modified_after: float | None = None
    modified_before: float | None = None
    tuning_job: str | None = None
    order: str = "Name"  # a key of ORDERS
    descending: bool = False

    def conditions(self) -> tuple[str, list[str | float]]:
        """The WHERE clause and its values."""
        asked: dict[str, str | float | None] = {
            "status = ?": self.status,
            "instr(key, ?) > 0": self.name_contains and self.name_contains.lower(),
            "created >= ?": self.created_after,
            "created <= ?": self.created_before,
            "modified >= ?": self.modified_after,
            "modified <= ?": self.modified_before,
            "tuning_job = ?": self.tuning_job and self.tuning_job.lower(),
        }
        given = {text: value for text, value in asked.items() if value is not None}
        return " AND ".join(given) or "1", list(given.values())


class Store:
    """SQLite behind a lock; names are unique whatever their case."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._database = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        self._database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;")
        self._database.executescript(_SCHEMA)

    def add_tuning_job(self, record: Record) -> bool:
        """False if the name is taken."""
        name = record["HyperParameterTuningJobName"]
        status = record["HyperParameterTuningJobStatus"]
        return self._add("tuning_jobs", name, status, record)

    def add_training_job(self, record: Record) -> bool:
        """False if the name is taken."""
        tuning_job = record.get("_tuning_job", "")
        status = record["TrainingJobStatus"]
        return self._add("training_jobs", record["TrainingJobName"], status, record, tuning_job)

    def _add(
        self, table: str, name: str, status: str, record: Record, tuning_job: str | None = None
    ) -> bool:
        created, modified = record["CreationTime"], record["LastModifiedTime"]
        columns = [name.lower(), status, created, modified, json.dumps(record)]
        names = "key, status, created, modified, record"
        if tuning_job is not None:
            columns.append(tuning_job.lower())
            names += ", tuning_job"
        marks = ", ".join("?" * len(columns))
        statement = (
            f"INSERT OR IGNORE INTO {table} (sequence, {names}) "  # noqa: S608  our own words
            f"VALUES ((SELECT COALESCE(MAX(sequence), -1) + 1 FROM {table}), {marks})"
        )
        with self._lock:
            return self._database.execute(statement, columns).rowcount == 1

    def save_tuning_job(self, record: Record) -> None:
        """Replace a record."""
        name = record["HyperParameterTuningJobName"].lower()
        status, modified = record["HyperParameterTuningJobStatus"], record["LastModifiedTime"]
        values = (status, modified, json.dumps(record), name)
        statement = "UPDATE tuning_jobs SET status = ?, modified = ?, record = ? WHERE key = ?"
        with self._lock:
            self._database.execute(statement, values)

    def save_training_job(self, record: Record) -> None:
        """Replace a record."""
        name = record["TrainingJobName"].lower()
        values = (record["TrainingJobStatus"], record["LastModifiedTime"], json.dumps(record), name)
        statement = "UPDATE training_jobs SET status = ?, modified = ?, record = ? WHERE key = ?"
        with self._lock:
            self._database.execute(statement, values)

    def tuning_job(self, name: str) -> Record | None:
        """By name, in any case."""
        return self._one("SELECT record FROM tuning_jobs WHERE key = ?", name.lower())

    def training_job(self, name: str) -> Record | None:
        """By name, in any case."""
        return self._one("SELECT record FROM training_jobs WHERE key = ?", name.lower())

    def tuning_jobs(self, statuses: Iterable[str] = ()) -> list[Record]:
        """In the order of their creation; of the given statuses, or all."""
        wanted = list(statuses)
        marks = f"WHERE status IN ({', '.join('?' * len(wanted))})" if wanted else ""
        statement = f"SELECT record FROM tuning_jobs {marks} ORDER BY sequence"  # noqa: S608
        return self._all(statement, *wanted)

    def count_tuning_jobs(self, statuses: Iterable[str]) -> int:
        """How many there are."""
        wanted = list(statuses)
        marks = ", ".join("?" * len(wanted))
        statement = f"SELECT COUNT(*) FROM tuning_jobs WHERE status IN ({marks})"  # noqa: S608
        with self._lock:
            return int(self._database.execute(statement, wanted).fetchone()[0])

    def training_jobs(self, tuning_job: str | None = None) -> list[Record]:
        """In the order of their creation; of one tuning job, or all."""
        if tuning_job is None:
            return self._all("SELECT record FROM training_jobs ORDER BY sequence")
        statement = "SELECT record FROM training_jobs WHERE tuning_job = ? ORDER BY sequence"
        return self._all(statement, tuning_job.lower())

    def tuning_job_page(self, wanted: Wanted, first: int, size: int) -> list[Record]:
        """A part of the tuning jobs wanted."""
        return self._page("tuning_jobs", wanted, first, size)

    def training_job_page(self, wanted: Wanted, first: int, size: int) -> list[Record]:
        """A part of the training jobs wanted."""
        return self._page("training_jobs", wanted, first, size)

    def _page(self, table: str, wanted: Wanted, first: int, size: int) -> list[Record]:
        where, values = wanted.conditions()
        way = "DESC" if wanted.descending else "ASC"
        statement = (
            f"SELECT record FROM {table} WHERE {where} "  # noqa: S608  our own words
            f"ORDER BY {ORDERS[wanted.order]} {way}, key {way} LIMIT ? OFFSET ?"
        )
        return self._all(statement, *values, size, first)

    def tag(self, arn: str, tags: Mapping[str, str]) -> None:
        """Add or replace tags."""
        rows = [(arn, key, value) for key, value in tags.items()]
        with self._lock:
            self._database.executemany("INSERT OR REPLACE INTO tags VALUES (?, ?, ?)", rows)

    def untag(self, arn: str, keys: Iterable[str]) -> None:
        """Remove tags."""
        with self._lock:
            self._database.executemany(
                "DELETE FROM tags WHERE arn = ? AND key = ?", [(arn, key) for key in keys]
            )

    def delete_tuning_job(self, name: str) -> None:
        """Forget it; fine if there is none."""
        with self._lock:
            self._database.execute("DELETE FROM tuning_jobs WHERE key = ?", (name.lower(),))

    def tags(self, arn: str) -> dict[str, str]:
        """Of one resource."""
        statement = "SELECT key, value FROM tags WHERE arn = ? ORDER BY key"
        with self._lock:
            return dict(self._database.execute(statement, (arn,)).fetchall())

    def all_tags(self) -> dict[str, dict[str, str]]:
        """Of every resource that has some."""
        with self._lock:
            rows = self._database.execute(
                "SELECT arn, key, value FROM tags ORDER BY key"
            ).fetchall()
        found: dict[str, dict[str, str]] = {}
        for arn, key, value in rows:
            found.setdefault(arn, {})[key] = value
        return found

    def close(self) -> None:
        """Nothing more will be written."""
        with self._lock:
            self._database.close()

    def _one(self, statement: str, *values: str) -> Record | None:
        rows = self._all(statement, *values)
        return rows[0] if rows else None

    def _all(self, statement: str, *values: str | float) -> list[Record]:
        with self._lock:
            rows = self._database.execute(statement, values).fetchall()
        return [json.loads(row[0]) for row in rows]
