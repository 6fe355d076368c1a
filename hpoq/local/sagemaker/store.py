"""The tuning and training jobs on disk, so that a killed cloud can resume them."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpoq.local.errors import DamagedFile

Record = dict[str, Any]
logger = logging.getLogger(__name__)

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
CREATE TABLE IF NOT EXISTS set_aside (kind TEXT, key TEXT, at REAL, reason TEXT, record TEXT);
"""

ORDERS = {"Name": "key", "CreationTime": "created", "Status": "status"}


@dataclass(frozen=True, kw_only=True)
class JobFilter:
    """The records that a listing shows, and their order."""

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
        """Return the WHERE clause and its values."""
        possible: dict[str, str | float | None] = {
            "status = ?": self.status,
            "instr(key, ?) > 0": self.name_contains and self.name_contains.lower(),
            "created >= ?": self.created_after,
            "created <= ?": self.created_before,
            "modified >= ?": self.modified_after,
            "modified <= ?": self.modified_before,
            "tuning_job = ?": self.tuning_job and self.tuning_job.lower(),
        }
        given = {text: value for text, value in possible.items() if value is not None}
        return " AND ".join(given) or "1", list(given.values())


class _Database:
    """A SQLite connection that any thread may use.

    Raises:
        DamagedFile: the file is not a whole database.
    """

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        try:
            self._check()
            self._connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;")
            self._connection.executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise DamagedFile(file, str(error)) from None

    def _check(self) -> None:
        """Check the structure of the file, which a truncated one lacks."""
        ((found,),) = self._connection.execute("PRAGMA quick_check(1)").fetchall()
        if found != "ok":
            raise sqlite3.DatabaseError(found)

    def execute(self, statement: str, *values: str | float) -> int:
        """Run one statement and return the number of changed rows."""
        with self._lock:
            return self._connection.execute(statement, values).rowcount

    def execute_all(self, statement: str, rows: Iterable[Sequence[str]]) -> None:
        """Run one statement for each row of values."""
        with self._lock:
            self._connection.executemany(statement, rows)

    def rows(self, statement: str, *values: str | float) -> list[tuple[Any, ...]]:
        """Return the rows that a query finds."""
        with self._lock:
            return self._connection.execute(statement, values).fetchall()

    def close(self) -> None:
        with self._lock:
            self._connection.close()


class JobTable:
    """The records of one kind of job. Job names are unique ignoring case."""

    def __init__(self, database: _Database, table: str, name_field: str, status_field: str) -> None:
        self._database = database
        self._table = table
        self._name_field = name_field
        self._status_field = status_field

    def add(self, record: Record) -> bool:
        """Store a new record; return False if a job of that name exists."""
        columns = {
            "key": record[self._name_field].lower(),
            "status": record[self._status_field],
            "created": record["CreationTime"],
            "modified": record["LastModifiedTime"],
            "record": json.dumps(record),
            **self._more_columns(record),
        }
        marks = ", ".join("?" * len(columns))
        statement = (
            f"INSERT OR IGNORE INTO {self._table} (sequence, {', '.join(columns)}) "  # noqa: S608
            f"VALUES ((SELECT COALESCE(MAX(sequence), -1) + 1 FROM {self._table}), {marks})"
        )
        return self._database.execute(statement, *columns.values()) == 1

    def _more_columns(self, record: Record) -> dict[str, str]:
        return {}

    def save(self, record: Record) -> None:
        """Replace the record of a job that exists."""
        statement = f"UPDATE {self._table} SET status = ?, modified = ?, record = ? WHERE key = ?"  # noqa: S608
        status, modified = record[self._status_field], record["LastModifiedTime"]
        key = record[self._name_field].lower()
        self._database.execute(statement, status, modified, json.dumps(record), key)

    def get(self, name: str) -> Record | None:
        """Return the record of a job by its name in any case, or None."""
        records = self._records("WHERE key = ?", name.lower())
        return records[0] if records else None

    def all(self) -> list[Record]:
        """Return every record in the order of creation."""
        return self._records("ORDER BY sequence")

    def with_status(self, statuses: Sequence[str]) -> list[Record]:
        """Return the records with one of these statuses, in the order of creation."""
        marks = ", ".join("?" * len(statuses))
        return self._records(f"WHERE status IN ({marks}) ORDER BY sequence", *statuses)

    def count(self, statuses: Sequence[str]) -> int:
        """Return how many jobs have one of these statuses."""
        marks = ", ".join("?" * len(statuses))
        statement = f"SELECT COUNT(*) FROM {self._table} WHERE status IN ({marks})"  # noqa: S608
        return int(self._database.rows(statement, *statuses)[0][0])

    def page(self, job_filter: JobFilter, first: int, size: int) -> list[Record]:
        """Return ``size`` of the records that a filter selects, beginning with number ``first``."""
        where, values = job_filter.conditions()
        direction = "DESC" if job_filter.descending else "ASC"
        order = f"{ORDERS[job_filter.order]} {direction}, key {direction}"
        clauses = f"WHERE {where} ORDER BY {order} LIMIT ? OFFSET ?"
        return self._records(clauses, *values, size, first)

    def delete(self, name: str) -> None:
        """Delete the record of a job, if it exists."""
        self._database.execute(f"DELETE FROM {self._table} WHERE key = ?", name.lower())  # noqa: S608

    def set_aside(self, name: str, reason: str) -> None:
        """Move the record of a job to the table ``set_aside``, where no operation reads it."""
        logger.error("%s: the record of %s was set aside: %s", self._table, name, reason)
        copied = f"SELECT ?, key, ?, ?, record FROM {self._table} WHERE key = ?"  # noqa: S608
        values = (self._table, time.time(), reason, name.lower())
        self._database.execute(f"INSERT INTO set_aside {copied}", *values)
        self.delete(name)

    def set_aside_unreadable(self) -> None:
        """Set aside the records that no operation could read."""
        arn_field = f"{self._name_field.removesuffix('Name')}Arn"
        fields = (self._name_field, arn_field, self._status_field, *_MORE_FIELDS)
        missing = " OR ".join(f"json_type(record, '$.{each}') IS NULL" for each in fields)
        unreadable = f"CASE WHEN json_valid(record) THEN {missing} ELSE 1 END"
        statement = f"SELECT key, record FROM {self._table} WHERE {unreadable}"  # noqa: S608
        for key, text in self._database.rows(statement):
            problem = _problem_of(text, fields)
            if problem:
                self.set_aside(key, problem)

    def _records(self, clauses: str, *values: str | float) -> list[Record]:
        statement = f"SELECT record FROM {self._table} {clauses}"  # noqa: S608  our own names
        return [json.loads(row[0]) for row in self._database.rows(statement, *values)]


_MORE_FIELDS = ("CreationTime", "LastModifiedTime")  # of every record


def _problem_of(text: object, fields: Sequence[str]) -> str:
    """Return why the text is not a record, or an empty string."""
    try:
        record = json.loads(str(text))
    except (ValueError, RecursionError) as error:
        return f"not valid JSON: {error}"
    if not isinstance(record, dict):
        return "not a JSON object"
    missing = [each for each in fields if record.get(each) is None]
    return f"without {', '.join(missing)}" if missing else ""


class TrainingJobTable(JobTable):
    """The records of training jobs, including those of tuning jobs."""

    def __init__(self, database: _Database) -> None:
        super().__init__(database, "training_jobs", "TrainingJobName", "TrainingJobStatus")

    def _more_columns(self, record: Record) -> dict[str, str]:
        return {"tuning_job": record.get("_tuning_job", "").lower()}

    def of_tuning_job(self, name: str) -> list[Record]:
        """Return the training jobs of a tuning job in the order of creation."""
        return self._records("WHERE tuning_job = ? ORDER BY sequence", name.lower())

    def standalone(self) -> list[Record]:
        """Return the training jobs that belong to no tuning job, in the order of creation."""
        return self.of_tuning_job("")


class TagTable:
    """The tags of jobs, by ARN."""

    def __init__(self, database: _Database) -> None:
        self._database = database

    def add(self, arn: str, tags: Mapping[str, str]) -> None:
        """Add tags to a resource, or replace their values."""
        rows = [(arn, key, value) for key, value in tags.items()]
        self._database.execute_all("INSERT OR REPLACE INTO tags VALUES (?, ?, ?)", rows)

    def remove(self, arn: str, keys: Iterable[str]) -> None:
        """Remove tags from a resource."""
        rows = [(arn, key) for key in keys]
        self._database.execute_all("DELETE FROM tags WHERE arn = ? AND key = ?", rows)

    def of(self, arn: str) -> dict[str, str]:
        """Return the tags of one resource."""
        statement = "SELECT key, value FROM tags WHERE arn = ? ORDER BY key"
        return dict(self._database.rows(statement, arn))

    def all(self) -> dict[str, dict[str, str]]:
        """Return the tags of every tagged resource, by ARN."""
        tags: dict[str, dict[str, str]] = {}
        for arn, key, value in self._database.rows("SELECT arn, key, value FROM tags ORDER BY key"):
            tags.setdefault(arn, {})[key] = value
        return tags


class Store:
    """The SQLite file that holds all jobs and their tags.

    Args:
        file: the SQLite file.
        folders: of the training jobs; if there are any, the file has existed.

    Raises:
        DamagedFile: the file cannot be read, or has lost its content.
    """

    def __init__(self, file: Path, folders: Path | None = None) -> None:
        lost = not file.exists() or not file.stat().st_size
        if lost and folders and folders.is_dir() and any(folders.iterdir()):
            raise DamagedFile(file, f"it is empty, although {folders} has training jobs")
        self._database = _Database(file)
        self.tuning_jobs = JobTable(
            self._database,
            "tuning_jobs",
            "HyperParameterTuningJobName",
            "HyperParameterTuningJobStatus",
        )
        self.training_jobs = TrainingJobTable(self._database)
        self.tags = TagTable(self._database)

    def set_aside_unreadable(self) -> None:
        """Set aside the records that no operation could read, so that they block no others."""
        self.tuning_jobs.set_aside_unreadable()
        self.training_jobs.set_aside_unreadable()

    def close(self) -> None:
        """Close the file; nothing can be stored afterward."""
        self._database.close()
