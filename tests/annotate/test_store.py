from __future__ import annotations

import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fer_bench.annotate.answers import Answer
from fer_bench.annotate.export import read_answers
from fer_bench.annotate.store import NO_REVISION, AnswerStore, Rater
from fer_bench.annotate.study import load_study
from fer_bench.errors import BadDataError, SpecError

from .fakes import write_study

HAPPY, SAD = Answer(category="happy", valence=8, arousal=6), Answer(category="sad", valence=2, arousal=3)


def begin(store: AnswerStore, name: str = "r001") -> Rater:
    ((_, token),) = store.add_raters([name])
    rater = store.rater(token)
    assert rater is not None
    store.agree(rater).result()
    return rater


def test_tokens_are_unguessable_and_only_hashes_are_kept(store: AnswerStore, tmp_path: Path) -> None:
    made = store.add_raters([f"r{index}" for index in range(50)])
    tokens = [token for _, token in made]
    assert len(set(tokens)) == 50
    assert all(len(token) == 43 for token in tokens)
    admin = store.new_staff_token("admin")
    everything = b"".join(path.read_bytes() for path in tmp_path.glob("answers.sqlite3*"))
    assert not any(token.encode() in everything for token in [*tokens, admin])
    assert store.rater(tokens[3]).name == "r3"  # type: ignore[union-attr]
    for wrong in ("", "x", tokens[3][:-1], tokens[3] + "A", tokens[3].swapcase(), "' OR 1=1 --", admin):
        assert store.rater(wrong) is None
    assert store.staff_may("admin", admin)
    assert not store.staff_may("screener", admin)
    assert not store.staff_may("admin", tokens[0])


def test_renewing_ends_the_old_link_and_keeps_the_answers(store: AnswerStore) -> None:
    ((_, old),) = store.add_raters(["ann"])
    new = store.renew_rater("ann")
    assert store.rater(old) is None
    assert store.rater(new) is not None
    with pytest.raises(SpecError, match="no rater 'bob'"):
        store.renew_rater("bob")


def test_rater_names(store: AnswerStore) -> None:
    with pytest.raises(SpecError, match="not usable"):
        store.add_raters(["fine", "=cmd()"])
    with pytest.raises(SpecError, match="'ann' exists already"):
        store.add_raters(["ann", "ann"])
    assert store.free_names(2) == ["r001", "r002"]  # neither attempt left a rater behind
    store.add_raters(["r001"])
    assert store.free_names(2) == ["r002", "r003"]


def test_an_answer_sent_twice_is_there_once(store: AnswerStore) -> None:
    rater = begin(store)
    slot = store.slot(rater.rater_id, 0)
    assert slot is not None
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda _: store.save(slot, HAPPY, "answered", 0, 1500).result(), range(40)))
    assert sorted(outcomes) == ["saved"] + ["unchanged"] * 39
    table = read_answers(store.path)
    assert len(table) == 1
    assert table.loc[0, "revision"] == 1
    assert table.loc[0, "response_ms"] == 1500


def test_two_tabs_with_different_answers_conflict_and_the_first_stays(store: AnswerStore) -> None:
    rater = begin(store)
    slot = store.slot(rater.rater_id, 0)
    assert slot is not None
    assert store.save(slot, HAPPY, "answered", 0, None).result() == "saved"
    assert store.save(slot, SAD, "answered", 0, None).result() == "conflict"
    assert store.save(slot, SAD, "answered", NO_REVISION, None).result() == "conflict"
    assert store.slot(rater.rater_id, 0).answer == HAPPY  # type: ignore[union-attr]
    # going back and changing it is no conflict, and the earlier answer is kept
    assert store.save(slot, SAD, "answered", 1, None).result() == "saved"
    assert store.slot(rater.rater_id, 0).answer == SAD  # type: ignore[union-attr]
    assert '"category": "happy"' in store.reader.execute("SELECT answer FROM earlier_answers").fetchone()[0]


def test_progress_and_skips(store: AnswerStore) -> None:
    rater = begin(store)
    total = store.progress(rater.rater_id)
    assert (total.total, total.answered, total.skipped, total.next_open, total.last) == (15, 0, 0, 0, 15)
    for position in range(16):
        slot = store.slot(rater.rater_id, position)
        assert slot is not None
        store.save(
            slot, Answer() if position == 4 else HAPPY, "skipped" if position == 4 else "answered", 0, None
        ).result()
    end = store.progress(rater.rater_id)
    assert (end.answered, end.skipped, end.next_open) == (14, 1, None)  # practice does not count
    assert store.skipped(rater.rater_id) == [4]
    assert store.slot(rater.rater_id, 16) is None


def test_the_database_refuses_what_validation_missed(store: AnswerStore) -> None:
    rater = begin(store)
    slot = store.slot(rater.rater_id, 0)
    assert slot is not None
    with pytest.raises(sqlite3.IntegrityError):
        store.save(slot, Answer(category="happy", valence=10), "answered", 0, None).result()
    # the job that failed took nothing else with it
    assert store.save(slot, HAPPY, "answered", 0, None).result() == "saved"


def test_settings_that_make_commits_durable(store: AnswerStore, tmp_path: Path) -> None:
    assert store.reader.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert store._writer._connection.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert stat.S_IMODE((tmp_path / "answers.sqlite3").stat().st_mode) == 0o600
    with pytest.raises(sqlite3.OperationalError):
        store.reader.execute("DELETE FROM raters")


def test_reopening_goes_on_and_a_changed_study_needs_a_new_version(tmp_path: Path) -> None:
    path, database = write_study(tmp_path), tmp_path / "answers.sqlite3"
    store = AnswerStore(load_study(path), database)
    rater = begin(store)
    slot = store.slot(rater.rater_id, 0)
    assert slot is not None
    store.save(slot, HAPPY, "answered", 0, None).result()
    ids = set(store.images)
    store.close()

    store = AnswerStore(load_study(path), database)
    assert set(store.images) == ids
    assert store.slot(rater.rater_id, 0).answer == HAPPY  # type: ignore[union-attr]
    store.close()

    write_study(tmp_path, instructions="Something else.")
    with pytest.raises(SpecError, match="changed, but its version is still '1'"):
        AnswerStore(load_study(path), database)
    write_study(tmp_path, instructions="Something else.", version="2")
    store = AnswerStore(load_study(path), database)
    second = store.slot(rater.rater_id, 1)
    assert second is not None
    store.save(second, SAD, "answered", 0, None).result()
    store.close()
    assert list(read_answers(database)["study_version"]) == ["1", "2"]

    write_study(tmp_path, name="other")
    with pytest.raises(SpecError, match="belongs to study 'faces'"):
        AnswerStore(load_study(path), database)
    (tmp_path / "images" / "happy" / "000.png").unlink()
    write_study(tmp_path, version="3", images={"folder": "images", "table": "few.csv"}, repeats=0)
    (tmp_path / "few.csv").write_text("path\nhappy/001.png\n")
    with pytest.raises(SpecError, match="no longer in the study"):
        AnswerStore(load_study(path), database)


def test_not_a_database(tmp_path: Path) -> None:
    study = load_study(write_study(tmp_path))
    (tmp_path / "notes.txt").write_text("this is no database, but some text of sufficient length " * 20)
    with pytest.raises(BadDataError, match="cannot be used as a database"):
        AnswerStore(study, tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text().startswith("this is no database")
    with pytest.raises(BadDataError, match="cannot be created"):
        AnswerStore(study, tmp_path / "absent" / "x.sqlite3")


def test_prescreening_stops_at_the_limit(store: AnswerStore) -> None:
    items = [item for item, image in store.images.items() if image.label == "happy"]
    assert [store.mark(item, "happy", True, 2).result() for item in items] == [1, 2, None]
    assert store.mark(items[0], "happy", True, 2).result() == 2  # again: no change
    assert store.mark(items[0], "happy", False, 2).result() == 1
    assert store.mark(items[2], "happy", True, 2).result() == 2
    assert set(store.marks()) == {items[1], items[2]}
