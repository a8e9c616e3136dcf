"""A record and its predictions are of one writing at every moment, and nothing is left behind."""

import errno
import os
import threading
from pathlib import Path

import numpy as np
import pytest

import fer_bench.results.writing as writing
from fer_bench.atomic import LOCK, locked, sweep_parts, write_atomically
from fer_bench.errors import HardwareError, RecordError
from fer_bench.leaderboard.render import render_all
from fer_bench.predictions import Predictions
from fer_bench.results.grids import StackedPredictions, load_grid
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from tests.forks import COMMAND, run_alone

IDS, TARGETS = np.array(["a", "b", "c"]), np.array([0, 1, 2])


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "leaderboards")


def predictions(value):
    return Predictions(IDS, TARGETS, np.full((3, 7), value / 100, dtype=np.float32))


def put(store, value, run_id="r-s0", splits=("test", "validation"), **fields):
    record = Record(
        run_id=run_id, row="r", protocol="toy-fer7", task="fer7", dataset="toy", model="net", seed=value, **fields
    )
    return store.put(record, {split: predictions(value) for split in splits})


def put_grid(store, value, grid="g"):
    records = [
        Record(run_id=f"{grid}h{h}", row="r", protocol="toy-fer7", task="fer7", dataset="toy", model="net", seed=value)
        for h in range(2)
    ]
    stacked = StackedPredictions(
        predictions(0), np.stack([predictions(value + h).outputs for h in range(2)]).astype(np.float16)
    )
    return store.put_grid(grid, records, {"test": stacked})


def files(store):
    return {path.name for path in store.root.rglob("*") if path.is_file()}


FIRST = {"r-s0.json", "r-s0.test.npz", "r-s0.validation.npz"}


class Killed(BaseException):
    """As a SIGKILL would: nothing of ours runs after it."""


def killed_at(monkeypatch, call):
    """Let the process die just before a file is put in place, counted from 1, leaving all as it is."""
    real, calls = writing.write_atomically, iter(range(1, 100))

    def write(path, content):
        if next(calls) == call:
            raise Killed
        real(path, content)

    monkeypatch.setattr(writing, "write_atomically", write)
    monkeypatch.setattr(writing, "sweep", lambda *_: None)


def test_the_first_writing_has_plain_names_and_the_same_again_changes_nothing(store):
    first = put(store, 1)
    assert files(store) == FIRST
    before = {path: path.stat().st_mtime_ns for path in store.folder(first).glob("*.npz")}
    assert put(store, 1) == first
    assert files(store) == FIRST
    assert {path: path.stat().st_mtime_ns for path in store.folder(first).glob("*.npz")} == before


def test_another_writing_has_names_of_its_own_and_the_old_files_go(store):
    first, second = put(store, 1), put(store, 2)
    entry = second.predictions["test"]
    assert entry.file == f"r-s0.{entry.sha256[:8]}.test.npz"
    assert files(store) == {"r-s0.json", entry.file, second.predictions["validation"].file}
    assert store.intact(second)
    assert not store.intact(first)
    assert store.find("toy-fer7", "net", "r-s0") == second
    assert put(store, 3, splits=()).predictions == {}
    assert files(store) == {"r-s0.json"}


@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_kill_while_a_record_is_rewritten_leaves_the_old_one_whole(store, monkeypatch, call):
    first = put(store, 1)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        killed_at(patch, call)
        put(store, 2)
    assert store.find_intact("toy-fer7", "net", "r-s0") == first
    assert np.allclose(store.predictions(first).outputs, 0.01)
    # The next command that writes there, whatever it is.
    put(store, 9, "other-s0")
    assert files(store) == FIRST | {name.replace("r-", "other-") for name in FIRST}


@pytest.mark.parametrize("call", [1, 2])
def test_a_kill_while_a_grid_is_rewritten(store, monkeypatch, call):
    first = put_grid(store, 1)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        killed_at(patch, call)
        put_grid(store, 5)
    assert store.find_intact_grid("toy-fer7", "net", "g") == first
    render_all(store)
    assert files(store) == {"g.grid.json", "g.grid.test.npz", "README.md", "toy-fer7.md"}
    second = put_grid(store, 5)
    entry = second[0].predictions["test"]
    assert entry.file == f"g.grid.{entry.sha256[:8]}.test.npz"
    assert load_grid(store.grid_path("toy-fer7", "net", "g")) == second
    assert np.allclose(store.predictions(second[1]).outputs, 0.06, atol=1e-3)
    render_all(store)
    assert files(store) == {"g.grid.json", entry.file, "README.md", "toy-fer7.md"}
    assert "g.grid.json" in (store.root / "toy-fer7.md").read_text()


@pytest.mark.parametrize(
    "spoil", ["missing", "altered", "other rows", "truncated", "empty", "elsewhere", "other model"]
)
def test_what_is_not_intact_is_not_done_and_is_mended_by_the_same_run(store, spoil):
    record = put(store, 1)
    path = store.path("toy-fer7", "net", "r-s0")
    test = path.with_name("r-s0.test.npz")
    if spoil == "missing":
        test.unlink()
    elif spoil == "altered":
        test.write_bytes(test.read_bytes() + b"x")
    elif spoil == "other rows":
        path.write_text(path.read_text().replace('"n": 3', '"n": 4').replace('"n":3', '"n":4'))
    elif spoil in ("truncated", "empty"):
        path.write_text(path.read_text()[: 200 if spoil == "truncated" else 0])
        with pytest.raises(RecordError, match="damaged record"):
            list(store.records())
    elif spoil == "elsewhere":
        path.write_text(path.read_text().replace("toy-fer7", "toy-fer8"))
    else:
        path.write_text(path.read_text().replace('"net"', '"nut"'))
    assert store.find_intact("toy-fer7", "net", "r-s0") is None
    again = put(store, 1)
    assert store.find_intact("toy-fer7", "net", "r-s0") == again
    assert again.predictions.keys() == record.predictions.keys()
    assert files(store) == FIRST


def test_a_record_without_predictions_is_intact(store):
    put(store, 1, splits=(), status="nan")
    assert store.find_intact("toy-fer7", "net", "r-s0").status == "nan"
    assert store.find_intact("toy-fer7", "net", "none") is None
    assert store.find_intact_grid("toy-fer7", "net", "none") is None


def test_amending_what_was_written_anew_meanwhile_is_refused(store):
    old = put(store, 1)
    new = put(store, 2)
    with pytest.raises(RecordError, match="rewritten meanwhile"):
        store.amend(old.model_copy(update={"notes": ["x"]}))
    assert store.find("toy-fer7", "net", "r-s0") == new
    assert store.amend(new.model_copy(update={"notes": ["x"]})) == store.find_intact("toy-fer7", "net", "r-s0")


def test_a_disk_that_fills_up_leaves_the_old_record_and_nothing_else(store, monkeypatch):
    first = put(store, 1)
    real, calls = writing.write_atomically, iter(range(100))

    def full(path, content):
        if next(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, content)

    monkeypatch.setattr(writing, "write_atomically", full)
    with pytest.raises(HardwareError, match="No space left"):
        put(store, 2)
    assert files(store) == FIRST
    assert store.find_intact("toy-fer7", "net", "r-s0") == first


def test_a_place_that_cannot_hold_records_is_refused_before_anything_is_computed(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(HardwareError, match=r"file is no folder.*FER_BENCH_LEADERBOARDS"):
        Store(tmp_path / "file").require_space()
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(HardwareError, match="may not be written to"):
        Store(tmp_path / "boards").require_space()


def test_figures_belong_to_the_record_beside_them(store, monkeypatch):
    record = put(store, 1)
    figure = store.folder(record) / "r-s0.curve.png"
    store.put(record, {"test": predictions(1)}, {"curve.png": b"one"})
    assert figure.read_bytes() == b"one"
    with monkeypatch.context() as patch, pytest.raises(Killed):
        killed_at(patch, 2)
        store.put(record, {"test": predictions(2)}, {"curve.png": b"two"})
    assert not figure.exists()
    store.put(record, {"test": predictions(2)}, {"curve.png": b"two"})
    assert figure.read_bytes() == b"two"
    store.path("toy-fer7", "net", "r-s0").unlink()
    put(store, 1, "other")
    assert files(store) == {"other.json", "other.test.npz", "other.validation.npz"}


def test_sweeping_takes_what_nobody_owns_and_nothing_else(store):
    put(store, 1)
    folder = store.path("toy-fer7", "net", "r-s0").parent
    keep = {"notes.txt", "mine.npz", ".hidden.part", ".r-s0.json.part", "picture.png"}
    gone = {".r-s0.json.999999999.part", "gone-s0.test.npz", "r-s0.0123abcd.test.npz", "gone.curve.png", LOCK}
    for name in keep | gone:
        (folder / name).write_bytes(b"x")
    (folder / ".link.1.part").symlink_to(folder / "notes.txt")
    (store.root / ".README.md.999999999.part").write_bytes(b"x")
    render_all(store, check=True)
    assert gone <= files(store) | {LOCK}
    render_all(store)
    assert files(store) == FIRST | keep | {".link.1.part", "README.md", "toy-fer7.md"}
    # A record that cannot be read may name any of them.
    (folder / "gone-s0.test.npz").write_bytes(b"x")
    (folder / "gone-s0.json").write_text('{"run_id": ')
    put(store, 2)
    assert {"gone-s0.test.npz", "gone-s0.json"} <= files(store)


def test_a_writer_that_lives_keeps_its_part(tmp_path):
    path, begun, go = tmp_path / "x.bin", threading.Event(), threading.Event()
    real = os.fsync

    def slow(descriptor):
        begun.set()
        go.wait(10)
        real(descriptor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", slow)
        writer = threading.Thread(target=write_atomically, args=(path, b"all of it"))
        writer.start()
        begun.wait(10)
        sweep_parts(tmp_path)
        assert [found.name for found in tmp_path.iterdir()] == [f".x.bin.{os.getpid()}.part"]
        go.set()
        writer.join(10)
    assert path.read_bytes() == b"all of it"
    assert [found.name for found in tmp_path.iterdir()] == ["x.bin"]


def test_a_folder_is_locked_by_one_at_a_time_and_the_lock_goes(tmp_path):
    inside, most = [], []

    def work():
        for _ in range(20):
            with locked(tmp_path) as alone:
                assert alone
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(most) == 80
    assert max(most) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mode", [0o755, 0o775, 0o777])
def test_only_who_may_write_in_a_folder_may_lock_it(tmp_path, mode):
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(mode)
    with locked(folder):
        assert (folder / LOCK).stat().st_mode & 0o777 == {0o755: 0o600, 0o775: 0o660, 0o777: 0o666}[mode]


def test_a_link_in_place_of_the_lock_is_not_followed(store, tmp_path):
    put(store, 1)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (store.root / LOCK).symlink_to(victim)
    with pytest.raises(HardwareError, match=r"cannot be written"):
        render_all(store)
    assert render_all(store, check=True)
    assert victim.read_text() == "precious"


def test_boards_are_locked_in_their_own_folder(store, monkeypatch, tmp_path):
    put(store, 1)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    render_all(store)
    assert not list((tmp_path / "tmp").iterdir())
    assert {path.name for path in store.root.iterdir()} == {"results", "README.md", "toy-fer7.md"}


def test_a_checkout_that_cannot_be_written_can_be_checked(store, monkeypatch):
    put(store, 1)
    render_all(store)

    def refused(path, *_):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("fer_bench.atomic._hold", refused)
    assert render_all(store, check=True) == []
    with pytest.raises(HardwareError, match="Permission denied"):
        render_all(store)


def test_a_system_without_locks_still_writes_and_sweeps_nothing_that_may_live(store, monkeypatch):
    import fer_bench.atomic as atomic

    def none(*_):
        raise OSError(errno.ENOSYS, "no locks")

    monkeypatch.setattr(atomic.fcntl, "flock", none)
    orphan = store.path("toy-fer7", "net", "x").with_name("gone-s0.test.npz")
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"x")
    put(store, 1)
    assert store.find_intact("toy-fer7", "net", "r-s0")
    assert orphan.exists()


def test_nothing_to_check_and_nothing_to_verify(store, tmp_path, fer_bench_in):
    for verb in (("verify",), ("verify", "fer2013-fer7"), ("leaderboard", "--check"), ("leaderboard",)):
        done = fer_bench_in(store.root, *verb)
        assert done.returncode == 2, verb
        assert done.stderr.count("\n") == 1
        assert str(store.root) in done.stderr
    (store.root / "results" / "toy-fer7" / "net").mkdir(parents=True)
    assert fer_bench_in(store.root, "verify").returncode == 2


@pytest.fixture
def fer_bench_in(monkeypatch, tmp_path):
    def call(root: Path, *arguments):
        monkeypatch.setenv("FER_BENCH_LEADERBOARDS", str(root))
        return run_alone(COMMAND, *arguments, folder=tmp_path)

    return call
