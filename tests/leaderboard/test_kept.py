"""What verify and leaderboard pass over: nothing that could hide a wrong record."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from fer_bench.leaderboard.comparison_matrix import compare_all, holm
from fer_bench.leaderboard.parts import parts
from fer_bench.leaderboard.render import render, render_all
from fer_bench.leaderboard.verify import verify
from fer_bench.results import kept as kept_module
from fer_bench.results.kept import Kept
from fer_bench.results.store import Store
from tests.leaderboard.fake_records import put, run


@pytest.fixture
def store(tmp_path, monkeypatch):
    # So that records which were just written count as settled.
    monkeypatch.setattr(kept_module, "_RECENT_NS", -(10**12))
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))
    made = Store(tmp_path / "leaderboards")
    put(made, run(0.70, row="aaa", seed=0), run(0.72, row="aaa", seed=1), run(0.6, "other", "bbb"))
    return made


def again(store, everything=False):
    return verify(store, kept=Kept.of(store.results), everything=everything)


def wrong(store, run_id="bbb-s0"):
    """The file of a record, and its content with one digit of its accuracy changed."""
    path = next(path for path in store.files() if path.stem == run_id)
    value = json.loads(path.read_text())["metrics"]["accuracy"]
    text = path.read_text()
    other = f"{value}"[:-1] + ("1" if f"{value}"[-1] != "1" else "2")
    assert f'"accuracy": {value}' in text
    return path, text.replace(f'"accuracy": {value}', f'"accuracy": {other}').encode()


def cached(store):
    return next((store.root.parent / "cache" / kept_module.FOLDER).glob("*/verified-toy-fer7.json"))


def test_what_has_not_changed_is_passed_over(store):
    assert (again(store).n_unchanged, again(store).n_unchanged) == (0, 3)
    assert again(store, everything=True).n_unchanged == 0
    assert "3 unchanged" in again(store).summary()
    put(store, run(0.65, row="ccc", seed=0))
    report = again(store)
    assert (report.n_verified, report.n_unchanged, report.ok) == (4, 3, True)
    cached(store).unlink()
    assert again(store).n_unchanged == 0


def test_processes_find_the_same(store, monkeypatch):
    monkeypatch.setattr("fer_bench.leaderboard.verify._FEW", 0)
    path, content = wrong(store)
    path.write_bytes(content)
    alone, together = verify(store), verify(store, processes=2)
    assert alone == together
    assert not alone.ok


@pytest.mark.parametrize("how", ["in place", "replaced", "same times"])
def test_a_changed_record_is_verified(store, how):
    again(store)
    path, content = wrong(store)
    before = path.stat()
    assert len(content) == before.st_size
    if how == "replaced":
        (path.parent / "new").write_bytes(content)
        (path.parent / "new").replace(path)
    else:
        path.write_bytes(content)
    if how == "same times":
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    report = again(store)
    assert "metrics.accuracy" in [difference.key for difference in report.differences]
    assert not again(store).ok, "a difference is never kept"


def test_changed_predictions_are_verified(store):
    again(store)
    path = next(store.results.glob("*/other/*.test.npz"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    assert "SHA-256" in str(again(store).differences[0])


@pytest.mark.parametrize("how", ["edited", "truncated", "another key", "another version", "another store"])
def test_a_cache_that_does_not_fit_its_seal_is_as_if_it_were_not_there(store, how, monkeypatch):
    again(store)
    path, content = wrong(store)
    path.write_bytes(content)
    file = cached(store)
    text = file.read_text()
    # What an attacker would want: the entry says that the file of now was verified.
    now = json.dumps(kept_module.stamp(path), separators=(",", ":"))
    seal, _, body = text.partition("\n")
    entries = json.loads(body)
    entries[str(path)]["files"][str(path)] = json.loads(now)
    forged = seal + "\n" + json.dumps(entries, separators=(",", ":"))
    file.write_text(forged if how != "truncated" else forged[: len(forged) // 2])
    if how == "another key":
        (file.parent.parent / "key").write_bytes(b"k" * 32)
    if how == "another version":
        monkeypatch.setattr("fer_bench.__version__", "99.0")
    if how == "another store":
        monkeypatch.setattr(Kept, "read", lambda self, name, read=Kept.read: read(Kept(store.root), name))
    assert not again(store).ok


@pytest.mark.parametrize("clock", ["just now", "set back"])
def test_what_was_just_written_is_not_kept(store, monkeypatch, clock):
    monkeypatch.setattr(kept_module, "_RECENT_NS", 10**15 if clock == "just now" else 2 * 10**9)
    if clock == "set back":
        # Files are of the future then, and may be written again at the same time.
        monkeypatch.setattr(time, "time_ns", lambda: 10**18)
    assert again(store).ok
    assert again(store).n_unchanged == 0


def test_samples_in_another_order_are_found_although_one_record_is_kept(store):
    again(store)
    record, splits = run(0.65, row="ccc", seed=0)
    turned = {name: split.select(np.arange(len(split))[::-1]) for name, split in splits.items()}
    from fer_bench.scoring.score import correct, score
    from tests.leaderboard.fake_records import PROTOCOL, pack_outcomes

    update = {
        "metrics": score(PROTOCOL, turned["test"]),
        "validation_metrics": score(PROTOCOL, turned["validation"]) if "validation" in turned else {},
        "outcomes": pack_outcomes(correct(turned["test"])),
    }
    put(store, (record.model_copy(update=update), turned))
    report = again(store)
    assert report.n_unchanged == 3
    assert [difference.key for difference in report.differences] == ["predictions.test.ids"]


def test_only_boards_that_changed_are_rendered(store, monkeypatch):
    assert render_all(store)
    calls = []
    from fer_bench.leaderboard import parts as module

    whole = module.board_markdown
    monkeypatch.setattr(module, "board_markdown", lambda *given: calls.append(given) or whole(*given))
    assert render_all(store) == []
    assert calls == []
    put(store, run(0.75, row="ccc", seed=0))
    assert {path.name for path in render_all(store)} == {"toy-fer7.md", "README.md"}
    assert len(calls) == 1
    assert render_all(store, check=True) == [], "what is kept is what is rendered from nothing"
    assert render(store) == {path: path.read_text() for path in store.root.glob("*.md")}


def test_a_page_that_was_altered_is_put_right(store):
    render_all(store)
    page = store.root / "toy-fer7.md"
    before = page.read_text()
    page.write_text(before.replace("net", "ten"))
    assert render_all(store) == [page]
    assert page.read_text() == before


def test_a_board_whose_last_record_is_gone_is_emptied(store):
    render_all(store)
    for path in store.files():
        path.unlink()
    assert render_all(store)
    assert "Nothing was measured here yet." in (store.root / "toy-fer7.md").read_text()


def test_leftovers_next_to_records_that_have_not_changed_are_removed(store):
    render_all(store)
    stray = store.results / "toy-fer7" / "net" / "zzz-s0.test.npz"
    stray.write_bytes(b"left behind")
    render_all(store)
    assert not stray.exists()


def test_parts_in_processes_are_the_same(store, monkeypatch):
    monkeypatch.setattr("fer_bench.leaderboard.parts._FEW_BYTES", 0)
    alone = parts(store, None, sweep=False)
    assert parts(store, None, sweep=False, processes=2) == alone


def test_several_rows_are_compared_as_a_matrix(store):
    put(store, run(0.3, "worse", "ddd"))
    matrix = compare_all(store, ["bbb", "aaa", "ddd"])
    assert list(matrix.values) == sorted(matrix.values, reverse=True)
    assert matrix.names[2].startswith("worse")
    pair = matrix.pairs[0, 2]
    assert pair.difference == pytest.approx(matrix.values[0] - matrix.values[2])
    assert pair.low < pair.difference < pair.high
    lines = matrix.text().split("\n")
    assert lines[3].rstrip().count("*") == 2
    assert "Holm" in lines[-1]


def test_holm_is_the_textbook_method():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_looking_for_changes_imports_nothing_heavy():
    heavy = "{'matplotlib', 'scipy', 'torch', 'pandas'}"
    code = f"import sys, fer_bench.leaderboard.render; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
