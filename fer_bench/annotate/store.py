"""The database of a study: raters, sessions, answers. Every statement is parametrised, every answer has one slot.

The key of an answer is (rater, item, presentation): however often it is sent, and from however many tabs, there is one
row.
"""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from fer_bench.annotate.answers import LISTS, Answer
from fer_bench.annotate.database import connect, enter_study, now, prepare
from fer_bench.annotate.images import StudyImage
from fer_bench.annotate.order import session_order
from fer_bench.annotate.study import Study
from fer_bench.annotate.tokens import keyed_digest, new_token, same, token_hash, well_formed
from fer_bench.annotate.writer import Writer
from fer_bench.errors import FerBenchError, SpecError

Role = Literal["admin", "screener"]
Status = Literal["answered", "skipped"]
Outcome = Literal["saved", "unchanged", "conflict"]
NO_REVISION = -1
_RATER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
_ANSWER_COLUMNS = tuple(field.name for field in fields(Answer))


@dataclass(frozen=True)
class Rater:
    """A rater as the database knows them: number from 1, name, and the digest of the consent text they agreed to."""

    rater_id: int
    name: str
    consent_digest: str | None


@dataclass(frozen=True)
class Slot:
    """One position in a rater's session, with the answer given there, if any."""

    rater_id: int
    position: int
    item_id: str
    presentation: int
    kind: str
    first_shown_ms: int | None
    revision: int
    status: Status | None
    answer: Answer


@dataclass(frozen=True)
class Progress:
    """How far a rater is: counts without practice; ``next_open`` is the first position without an answer or a skip."""

    total: int
    answered: int
    skipped: int
    next_open: int | None
    last: int


class AnswerStore:
    """A study's database, open for reading here and for writing through one thread.

    Args:
        study: the study.
        path: the database file; created if it is not there.

    Raises:
        BadDataError: the file is no database of this program.
        SpecError: it belongs to another study, or the study changed under the same version.
    """

    def __init__(self, study: Study, path: Path) -> None:
        self.study = study
        self.path = path
        created = prepare(path)
        self._screened_to: dict[str, int] = {}
        self._writer = Writer(path)
        self.reader = connect(path, read_only=True)
        try:
            self._writer.submit(lambda db: enter_study(db, study)).result()
            self.secret: str = self.reader.execute("SELECT value FROM meta WHERE key = 'secret'").fetchone()[0]
            self.images = {self.item_id(image): image for image in study.images()}
            self._writer.submit(self._enter_items).result()
        except FerBenchError:
            self.close()
            if created:
                path.unlink(missing_ok=True)
            raise

    def close(self) -> None:
        """Commit what waits and close."""
        self._writer.close()
        self.reader.close()

    def item_id(self, image: StudyImage) -> str:
        """The opaque id under which pages know an image: it tells neither name nor class, and cannot be made up."""
        return keyed_digest(self.secret, "image", image.name)

    def _enter_items(self, db: sqlite3.Connection) -> None:
        rows = ((item_id, image.name, image.label) for item_id, image in self.images.items())
        db.executemany(
            "INSERT INTO items VALUES (?, ?, ?) ON CONFLICT (item_id) DO UPDATE SET label = excluded.label", rows
        )
        used = db.execute("SELECT DISTINCT item_id, image FROM presentations JOIN items USING (item_id)").fetchall()
        gone = [row["image"] for row in used if row["item_id"] not in self.images]
        if gone:
            problem = (
                f"{self.study.path}: {len(gone)} images that raters are working on are no longer in the study, first"
                f" {gone[0]!r}."
            )
            raise SpecError(problem, "Put them back, or start a new database with --db.")

    # raters and links

    def add_raters(self, names: Iterable[str]) -> list[tuple[str, str]]:
        """Create raters.

        Returns:
            (name, token) of each; a token is known only now.

        Raises:
            SpecError: a name is taken, is listed twice or has forbidden characters; then none is created.
        """
        made = [(name, new_token()) for name in names]
        for name, _ in made:
            if not _RATER_NAME.fullmatch(name):
                problem = f"rater name {name!r} is not usable."
                raise SpecError(problem, "Use up to 64 letters, digits and . _ @ -, beginning with a letter or digit.")

        def insert(db: sqlite3.Connection) -> None:
            for name, token in made:
                try:
                    db.execute(
                        "INSERT INTO raters (name, token_hash, created_at) VALUES (?, ?, ?)",
                        (name, token_hash(token), now()),
                    )
                except sqlite3.IntegrityError:
                    problem = f"rater {name!r} exists already."
                    raise SpecError(problem, "Choose another name, or make a new link with --renew.") from None

        self._writer.submit(insert).result()
        return made

    def free_names(self, count: int) -> list[str]:
        """Names for so many more raters: r001, r002, ... without those that are taken."""
        taken = {row["name"] for row in self.reader.execute("SELECT name FROM raters").fetchall()}
        numbered = (f"r{number:03d}" for number in range(1, len(taken) + count + 1))
        return [name for name in numbered if name not in taken][:count]

    def renew_rater(self, name: str) -> str:
        """Give a rater a new token; the old link stops working, answers stay.

        Raises:
            SpecError: there is no such rater.
        """
        token = new_token()

        def update(db: sqlite3.Connection) -> int:
            return db.execute("UPDATE raters SET token_hash = ? WHERE name = ?", (token_hash(token), name)).rowcount

        if not self._writer.submit(update).result():
            problem = f"there is no rater {name!r}."
            raise SpecError(problem, "The admin page lists all raters.")
        return token

    def new_staff_token(self, role: Role) -> str:
        """A new token for the admin page or for pre-screening; an earlier one of that role stops working."""
        token = new_token()
        statement = "INSERT INTO staff VALUES (?, ?) ON CONFLICT (role) DO UPDATE SET token_hash = excluded.token_hash"
        self._writer.submit(lambda db: db.execute(statement, (role, token_hash(token)))).result()
        return token

    def staff_may(self, role: Role, token: str) -> bool:
        """Whether a token is the current one of a role."""
        row = self.reader.execute("SELECT token_hash FROM staff WHERE role = ?", (role,)).fetchone()
        return row is not None and well_formed(token) and same(row["token_hash"], token_hash(token))

    def rater(self, token: str) -> Rater | None:
        """Whose token this is; None for nobody's."""
        if not well_formed(token):
            return None
        digest = token_hash(token)
        row = self.reader.execute("SELECT * FROM raters WHERE token_hash = ?", (digest,)).fetchone()
        if row is None or not same(row["token_hash"], digest):
            return None
        return Rater(row["rater_id"], row["name"], row["consent_digest"])

    # sessions

    def agree(self, rater: Rater) -> Future[None]:
        """Note the consent, and lay out the rater's session if there is none yet."""
        order = session_order(self.study, rater.name, rater.rater_id - 1)
        rows = [(rater.rater_id, i, self.item_id(p.image), p.presentation, p.kind) for i, p in enumerate(order)]
        consent = (self.study.consent_digest(), now(), rater.rater_id)

        def write(db: sqlite3.Connection) -> None:
            db.execute("UPDATE raters SET consent_digest = ?, consented_at = ? WHERE rater_id = ?", consent)
            if (
                db.execute("SELECT 1 FROM presentations WHERE rater_id = ? LIMIT 1", (rater.rater_id,)).fetchone()
                is None
            ):
                db.executemany(
                    "INSERT INTO presentations (rater_id, position, item_id, presentation, kind) VALUES (?, ?, ?,"
                    " ?, ?)",
                    rows,
                )

        return self._writer.submit(write)

    def slot(self, rater_id: int, position: int) -> Slot | None:
        """One slot of a session; None beyond its end."""
        return _slot(self.reader, rater_id, position)

    def has_item(self, rater_id: int, item_id: str) -> bool:
        """Whether an image belongs to a rater's session."""
        query = "SELECT 1 FROM presentations WHERE rater_id = ? AND item_id = ? LIMIT 1"
        return self.reader.execute(query, (rater_id, item_id)).fetchone() is not None

    def progress(self, rater_id: int) -> Progress:
        """How far a rater is."""
        row = self.reader.execute(
            "SELECT SUM(p.kind <> 'practice') AS total, SUM(p.kind <> 'practice' AND a.status = 'answered') AS"
            " answered, SUM(p.kind <> 'practice' AND a.status = 'skipped') AS skipped, MIN(CASE WHEN a.status IS NULL"
            " THEN p.position END) AS next_open, MAX(p.position) AS last FROM presentations p LEFT JOIN answers a USING"
            " (rater_id, item_id, presentation) WHERE p.rater_id = ?",
            (rater_id,),
        ).fetchone()
        return Progress(
            row["total"] or 0, row["answered"] or 0, row["skipped"] or 0, row["next_open"], row["last"] or 0
        )

    def skipped(self, rater_id: int) -> list[int]:
        """Positions a rater skipped."""
        query = (
            "SELECT position FROM answers JOIN presentations USING (rater_id, item_id, presentation)"
            " WHERE rater_id = ? AND status = 'skipped' ORDER BY position"
        )
        return [row["position"] for row in self.reader.execute(query, (rater_id,)).fetchall()]

    def shown(self, slot: Slot) -> None:
        """Note when an image was first shown, for the response time on the server's clock. Nobody waits for this
        write.
        """
        moment = time.time_ns() // 1_000_000
        statement = (
            "UPDATE presentations SET first_shown_ms = ? WHERE rater_id = ? AND position = ? AND first_shown_ms IS NULL"
        )
        self._writer.submit(lambda db: db.execute(statement, (moment, slot.rater_id, slot.position)))

    def save(
        self, slot: Slot, answer: Answer, status: Status, revision: int, response_ms: int | None
    ) -> Future[Outcome]:
        """Save an answer; once the future is done, it is on disk.

        Args:
            slot: where in the session.
            answer: a valid answer, empty for a skip.
            status: answered or skipped.
            revision: the revision the rater saw when the page was made, 0 for none.
            response_ms: time the browser measured.

        Returns:
            ``saved``; ``unchanged`` if the same answer is there already (a repeated submission); ``conflict`` if
            another answer was given meanwhile in another tab, which then stays.
        """
        moment_ms, moment, version = time.time_ns() // 1_000_000, now(), self.study.file.version

        def write(db: sqlite3.Connection) -> Outcome:
            old = _slot(db, slot.rater_id, slot.position)
            if old is None:
                message = "a slot of the session no longer exists"
                raise LookupError(message)
            if (old.status, old.answer) == (status, answer):
                return "unchanged"
            if old.revision != revision:
                return "conflict"
            key = (old.rater_id, old.item_id, old.presentation)
            if old.status is not None:
                was = json.dumps({"status": old.status, **asdict(old.answer)})
                db.execute("INSERT INTO earlier_answers VALUES (?, ?, ?, ?, ?)", (*key, old.revision, was))
            server_ms = None if old.first_shown_ms is None else max(0, moment_ms - old.first_shown_ms)
            db.execute(
                _UPSERT, (*key, old.revision + 1, status, *_columns(answer), response_ms, server_ms, moment, version)
            )
            return "saved"

        return self._writer.submit(write)

    # pre-screening

    def mark(self, item_id: str, label: str, chosen: bool, limit: int) -> Future[int | None]:
        """Mark or unmark an image as confusing.

        Returns:
            How many of the class are marked then; None if the class has its ``limit`` already, and nothing was changed.
        """

        def write(db: sqlite3.Connection) -> int | None:
            if chosen:
                full = db.execute(
                    "SELECT COUNT(*) >= ? FROM prescreen_marks WHERE label = ? AND item_id <> ?",
                    (limit, label, item_id),
                ).fetchone()[0]
                if full:
                    return None
                db.execute(
                    "INSERT INTO prescreen_marks VALUES (?, ?, ?) ON CONFLICT (item_id) DO NOTHING",
                    (item_id, label, now()),
                )
            else:
                db.execute("DELETE FROM prescreen_marks WHERE item_id = ?", (item_id,))
            return int(db.execute("SELECT COUNT(*) FROM prescreen_marks WHERE label = ?", (label,)).fetchone()[0])

        return self._writer.submit(write)

    def marks(self) -> dict[str, str]:
        """Marked images: item id to label."""
        return {
            row["item_id"]: row["label"]
            for row in self.reader.execute("SELECT item_id, label FROM prescreen_marks").fetchall()
        }

    def remember_place(self, label: str, place: int) -> None:
        """Note how far the screener is in a class. Nobody waits for this write; until it is done, memory knows."""
        self._screened_to[label] = place
        statement = (
            "INSERT INTO prescreen_places VALUES (?, ?) ON CONFLICT (label) DO UPDATE SET place = excluded.place"
        )
        self._writer.submit(lambda db: db.execute(statement, (label, place)))

    def screened_to(self, label: str) -> int:
        """How far the screener is in a class."""
        if label in self._screened_to:
            return self._screened_to[label]
        row = self.reader.execute("SELECT place FROM prescreen_places WHERE label = ?", (label,)).fetchone()
        return 0 if row is None else int(row["place"])


_UPSERT = (
    f"INSERT INTO answers (rater_id, item_id, presentation, revision, status, {', '.join(_ANSWER_COLUMNS)},"
    f" response_ms, server_ms, saved_at, study_version) VALUES ({', '.join('?' * (9 + len(_ANSWER_COLUMNS)))}) ON"
    " CONFLICT (rater_id, item_id, presentation) DO UPDATE SET revision = excluded.revision, status = excluded.status,"
    f" {', '.join(f'{name} = excluded.{name}' for name in _ANSWER_COLUMNS)}, response_ms = excluded.response_ms,"
    " server_ms = excluded.server_ms, saved_at = excluded.saved_at, study_version = excluded.study_version"
)


def _columns(answer: Answer) -> tuple[str | int | None, ...]:
    values = asdict(answer)
    return tuple(json.dumps(values[name]) if name in LISTS else values[name] for name in _ANSWER_COLUMNS)


def _slot(db: sqlite3.Connection, rater_id: int, position: int) -> Slot | None:
    row = db.execute(
        "SELECT * FROM presentations p LEFT JOIN answers a USING (rater_id, item_id, presentation) WHERE p.rater_id = ?"
        " AND p.position = ?",
        (rater_id, position),
    ).fetchone()
    if row is None:
        return None
    answer = Answer()
    if row["status"] is not None:
        values: dict[str, Any] = {
            name: tuple(json.loads(row[name])) if name in LISTS else row[name] for name in _ANSWER_COLUMNS
        }
        answer = Answer(**values)
    return Slot(
        rater_id,
        position,
        row["item_id"],
        row["presentation"],
        row["kind"],
        row["first_shown_ms"],
        row["revision"] or 0,
        row["status"],
        answer,
    )
