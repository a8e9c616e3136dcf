"""Answers in long format: one row per rater, image and presentation."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pandas as pd

from fer_bench.annotate.answers import LISTS, leaf
from fer_bench.annotate.database import connect
from fer_bench.atomic import write_atomically
from fer_bench.errors import BadDataError, FerBenchError, MissingPackageError
from fer_bench.escaping import csv_text

_QUERY = """
SELECT (SELECT value FROM meta WHERE key = 'study') AS study, a.study_version, r.name AS rater, a.item_id, i.image,
       i.label AS original_label, p.kind, a.presentation, p.position, a.status, a.decision, a.reject_reasons,
       a.category, a.wheel, a.valence, a.arousal, {scale} AS scale, a.ambiguity, a.deciding_factors, a.age_groups,
       {tags} AS tags, a.response_ms, a.server_ms, a.revision, a.saved_at
FROM answers a JOIN presentations p USING (rater_id, item_id, presentation)
JOIN raters r USING (rater_id) JOIN items i USING (item_id) LEFT JOIN versions v ON v.version = a.study_version
ORDER BY r.rater_id, p.position
"""
_INTEGERS = ("presentation", "position", "valence", "arousal", "ambiguity", "response_ms", "server_ms", "revision")


def read_answers(database: Path) -> pd.DataFrame:
    """All answers and skips of a study.

    Args:
        database: the study's database; it may be in use by a running server.

    Returns:
        One row per (rater, image, presentation): study, study_version (under which the answer was given), rater,
        item_id, image, original_label, kind (practice, main, catch), presentation (2 for a repetition), position,
        status (answered, skipped), decision, reject_reasons, category, wheel, wheel_leaf, valence, arousal, scale
        (theirs: ``sam9``, 1..9, or ``findingemo``, -3..3 and 0..6), ambiguity (0..6), deciding_factors, age_groups,
        tags (several values parted by ``;``), response_ms (browser's clock), server_ms (server's clock, since first
        shown), revision (1 unless changed later), saved_at (UTC).

    Raises:
        BadDataError: the file is no database of this program.
    """
    if not database.is_file():
        problem = f"{database}: there is no such database."
        raise BadDataError(
            problem, "It is written by `fer-bench annotate links` and `serve`; name it with --db if it is elsewhere."
        )
    try:
        db = connect(database, read_only=True)
        try:
            # A database that no newer version has served yet is read as it is.
            known = {row["name"] for row in db.execute("PRAGMA table_info(answers)").fetchall()}
            newer = {"scale": "v.scale", "tags": "a.tags"} if "tags" in known else {"scale": "'sam9'", "tags": "'[]'"}
            cursor = db.execute(_QUERY.format(**newer))
            columns = [column[0] for column in cursor.description]
            table = pd.DataFrame([tuple(row) for row in cursor.fetchall()], columns=columns)
        finally:
            db.close()
    except sqlite3.Error as error:
        problem = f"{database}: cannot be read: {error}."
        raise BadDataError(problem, "Is this the database of an annotation study?") from None
    for name in LISTS:
        table[name] = [";".join(json.loads(values)) for values in table[name]]
    table.insert(
        columns.index("wheel") + 1,
        "wheel_leaf",
        [leaf(emotion) if isinstance(emotion, str) else None for emotion in table["wheel"]],
    )
    for name in table.columns:
        table[name] = table[name].astype("Int64" if name in _INTEGERS else "string")
    return table


def csv_bytes(table: pd.DataFrame) -> bytes:
    """A table as UTF-8 CSV with a header; missing values are empty, and no cell is a formula."""
    rows = table.astype("object").where(table.notna(), None).itertuples(index=False, name=None)
    return csv_text(table.columns, *rows).encode()


def parquet_bytes(table: pd.DataFrame) -> bytes:
    """A table as Parquet.

    Raises:
        MissingPackageError: pyarrow is not installed.
    """
    buffer = BytesIO()
    try:
        table.to_parquet(buffer, index=False, engine="pyarrow")
    except ImportError:
        problem = "pyarrow is needed to write Parquet."
        raise MissingPackageError(problem, 'Run: pip install "fer_bench[annotate]", or export to CSV.') from None
    return buffer.getvalue()


WRITERS: dict[str, Callable[[pd.DataFrame], bytes]] = {".csv": csv_bytes, ".parquet": parquet_bytes}


def write_table(table: pd.DataFrame, path: Path) -> Path:
    """Write a table as CSV or Parquet, by suffix; an existing file is replaced in one step.

    Raises:
        FerBenchError: the suffix is unknown, or the file cannot be written.
    """
    writer = WRITERS.get(path.suffix.lower())
    if writer is None:
        problem = f"{path}: unknown suffix {path.suffix!r}."
        raise FerBenchError(problem, "Use .csv or .parquet; or .ann, for FindingEmo's format.")
    return write_file(path, writer(table))


def write_file(path: Path, content: bytes) -> Path:
    """Write a file into a folder that exists; one that is there is replaced in one step. Only its owner
    may read it.

    Raises:
        FerBenchError: it cannot be written.
    """
    try:
        if not path.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        # Links are keys, and answers belong to people.
        write_atomically(path, content, mode=0o600)
    except OSError as error:
        problem = f"{path}: cannot be written: {error.strerror}."
        raise FerBenchError(problem, "Nothing was changed.") from None
    return path
