"""The SQLite file behind a study: opening, creating, and which study and version it belongs to."""

from __future__ import annotations

import os
import re
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from fer_bench.annotate.study import Study
from fer_bench.errors import BadDataError, SpecError

_SCHEMA = "2"


def now() -> str:
    """UTC, ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def default_database(study_file: Path) -> Path:
    """Default path of the answers of a study file: next to it."""
    return study_file.with_suffix(".sqlite3")


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open the database with the settings everything here relies on.

    Args:
        path: the database file.
        read_only: refuse writes through this connection.
    """
    connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL: a commit is on disk before it returns; with NORMAL a power failure could take acknowledged answers back
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    if read_only:
        connection.execute("PRAGMA query_only = ON")
    return connection


def prepare(path: Path) -> bool:
    """Create the tables of a database.

    Args:
        path: the file; created, for its owner only, if it is not there.

    Returns:
        Whether the file is new.

    Raises:
        BadDataError: it cannot be created, or is no database of this program.
    """
    try:
        # answers are nobody else's business on a shared machine
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        created = True
    except FileExistsError:
        created = False
    except OSError as error:
        problem = f"{path}: the database cannot be created: {error.strerror}."
        raise BadDataError(problem, "Name a writable file with --db.") from None
    try:
        db = connect(path)
        tables = (Path(__file__).parent / "schema.sql").read_text(encoding="utf-8")
        db.executescript(tables)
        db.execute("INSERT INTO meta VALUES ('schema', ?) ON CONFLICT DO NOTHING", (_SCHEMA,))
        _upgrade(db, tables)
        schema = db.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()[0]
        db.close()
    except sqlite3.Error as error:
        problem = f"{path}: cannot be used as a database: {error}."
        raise BadDataError(problem, "Name another file with --db.") from None
    if schema != _SCHEMA:
        problem = f"{path}: written by a newer version of this program (schema {schema})."
        raise BadDataError(problem, "Update fer_bench.")
    return created


def _upgrade(db: sqlite3.Connection, tables: str) -> None:
    """Bring a database of schema 1 to schema 2: answers with tags, and on scales other than 1 to 9."""
    db.execute("BEGIN IMMEDIATE")
    try:
        if db.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()[0] == "1":
            # SQLite cannot change the checks of a table: it is written anew.
            found = re.search(r"CREATE TABLE IF NOT EXISTS answers \(.*?\) WITHOUT ROWID;", tables, re.DOTALL)
            assert found is not None
            columns = ", ".join(row["name"] for row in db.execute("PRAGMA table_info(answers)").fetchall())
            db.execute("ALTER TABLE versions ADD COLUMN scale TEXT NOT NULL DEFAULT 'sam9'")
            db.execute("ALTER TABLE answers RENAME TO answers_1")
            db.execute(found[0])
            db.execute(f"INSERT INTO answers ({columns}) SELECT {columns} FROM answers_1")
            db.execute("DROP TABLE answers_1")
            db.execute("UPDATE meta SET value = '2' WHERE key = 'schema'")
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


def enter_study(db: sqlite3.Connection, study: Study) -> None:
    """Note which study and version a database is used with.

    Raises:
        SpecError: it belongs to another study, or the study changed under a version that has answers.
    """
    db.execute("INSERT INTO meta VALUES ('study', ?) ON CONFLICT DO NOTHING", (study.file.name,))
    db.execute("INSERT INTO meta VALUES ('secret', ?) ON CONFLICT DO NOTHING", (os.urandom(32).hex(),))
    owner = db.execute("SELECT value FROM meta WHERE key = 'study'").fetchone()[0]
    if owner != study.file.name:
        problem = f"the database belongs to study {owner!r}, not {study.file.name!r}."
        raise SpecError(problem, "Name another file with --db.")
    version, digest = study.file.version, study.digest()
    known = db.execute("SELECT digest FROM versions WHERE version = ?", (version,)).fetchone()
    answered = db.execute("SELECT 1 FROM answers WHERE study_version = ? LIMIT 1", (version,)).fetchone() is not None
    if known is not None and known["digest"] != digest and answered:
        problem = (
            f"{study.path}: the study changed, but its version is still {version!r}, under which answers were given."
        )
        raise SpecError(problem, "Raise the version, so that the export can distinguish the answers.")
    statement = (
        "INSERT INTO versions (version, digest, opened_at, scale) VALUES (?, ?, ?, ?) ON CONFLICT (version) DO UPDATE"
        " SET digest = excluded.digest, scale = excluded.scale"
    )
    db.execute(statement, (version, digest, now(), study.file.form.scale))
