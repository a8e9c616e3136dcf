"""Trainings at an address: what dies on one machine goes on on another."""

import json
import os
import shutil
import signal
import sys

import pytest

from fer_bench import paths
from fer_bench.errors import HardwareError, MissingPackageError
from fer_bench.results import remote as remote_room
from fer_bench.results.begin import find_checkpoint, folder_to_train
from fer_bench.results.remote import remote_run
from fer_bench.results.store import Store
from fer_bench.training.loading import load_record
from fer_bench.training.run import run
from tests.training.conftest import flags, same_predictions, wait_for
from tests.training.test_resume import SLOW, StopError, stop_in_epoch


@pytest.fixture
def node(home, monkeypatch, cache):
    """Go to a machine by its name: a copy of the runs, boards and a writer of its own; the drawn faces are there."""

    def go(name):
        folder = home / name
        folder.mkdir(exist_ok=True)
        if not (folder / "synthfaces").exists():
            (folder / "synthfaces").symlink_to(cache / "synthfaces")
        monkeypatch.setenv("FER_BENCH_CACHE", str(folder))
        monkeypatch.setenv("FER_BENCH_LEADERBOARDS", str(folder / "boards"))
        monkeypatch.setattr(remote_room, "_WRITER", name)
        return folder

    return go


@pytest.fixture
def shared(home, node, monkeypatch):
    """An address that is a folder."""
    monkeypatch.setenv("FER_BENCH_RUNS", (home / "shared").as_uri())
    node("a")
    return home / "shared"


def stopped(spec, epoch):
    with pytest.MonkeyPatch.context() as patch, pytest.raises(StopError):
        stop_in_epoch(patch, epoch)
        run(spec)


def state_of(shared):
    (folder,) = shared.iterdir()
    (path,) = folder.glob("state-*.json")
    return json.loads(path.read_text()), {path.name for path in folder.iterdir()} - {path.name}


def same_as_straight(record, trained):
    _, straight, store, _ = trained
    assert record.predictions == straight.predictions
    same_predictions(store, straight, Store(), record)


def test_a_run_that_was_stopped_goes_on_on_another_machine(shared, node, trained, capsys):
    spec = trained[0]
    stopped(spec, 2)
    state, files = state_of(shared)
    assert set(state["files"]) == {"best.ckpt", "inputs.json", "last.ckpt"}
    assert files == {f"{digest[:16]}.{name}" for name, digest in state["files"].items()}
    node("b")
    assert not paths.runs_dir().exists()
    record = run(spec)
    assert record.training["resumed"]
    assert record.training["epochs"] == 3
    assert f"from {os.environ['FER_BENCH_RUNS']}: resumes at epoch 3 of 3" in capsys.readouterr().out
    same_as_straight(record, trained)
    assert "trained.json" in state_of(shared)[0]["files"]
    # A third machine has the record, and tests the network.
    boards = paths.leaderboards_dir()
    node("c")
    shutil.copytree(boards, paths.leaderboards_dir())
    assert load_record(record, spec.execution).record.run_id == record.run_id
    assert sorted(path.name for path in paths.runs_dir().glob("*/*")) == ["best.ckpt", "inputs.json", "run.lock"]


def test_the_machine_that_was_first_takes_what_another_has_done_since(shared, node, trained):
    spec = trained[0]
    stopped(spec, 1)
    node("b")
    stopped(spec, 2)
    node("a")
    assert run(spec).training["resumed"]
    same_as_straight(Store().get(spec.run_id()), trained)


def test_who_began_last_owns_the_address(shared, node, trained, capsys):
    spec = trained[0]
    stopped(spec, 1)
    here = remote_run(next(paths.runs_dir().iterdir()))
    node("b")
    stopped(spec, 2)
    owned = state_of(shared)
    node("a")
    here.push()
    here.push()
    assert capsys.readouterr().err.count("trains this run, too, and began later") == 1
    assert state_of(shared) == owned


def test_an_upload_that_fails_costs_no_training(shared, trained, monkeypatch, capsys):
    spec = trained[0]
    put, calls = remote_room.RemoteRun._put, []

    def sometimes(self, before):
        calls.append(1)
        if len(calls) in (2, 3):
            raise TimeoutError("the network is down")
        put(self, before)

    monkeypatch.setattr(remote_room.RemoteRun, "_put", sometimes)
    same_as_straight(run(spec), trained)
    assert capsys.readouterr().err.count("this epoch is on this machine alone: the network is down") == 1
    assert {"last.ckpt", "trained.json"} <= state_of(shared)[0]["files"].keys()


def test_a_state_that_is_half_there_is_none_yet(shared, node, trained):
    spec = trained[0]
    stopped(spec, 2)
    (folder,) = shared.iterdir()
    (whole,) = folder.glob("state-*.json")
    (folder / "state-000099-x.json").write_text(whole.read_text()[:60])
    node("b")
    record = run(spec)
    assert record.training["resumed"]
    same_as_straight(record, trained)


def test_a_state_whose_files_are_gone_is_begun_anew(shared, node, trained):
    spec = trained[0]
    stopped(spec, 2)
    next(shared.glob("*/*.last.ckpt")).unlink()
    node("b")
    record = run(spec)
    assert not record.training["resumed"]
    same_as_straight(record, trained)


def test_a_damaged_checkpoint_there_is_named(shared, node, trained):
    spec = trained[0]
    stopped(spec, 2)
    next(shared.glob("*/*.last.ckpt")).write_bytes(b"damaged")
    node("b")
    with pytest.raises(HardwareError, match=r"last\.ckpt is damaged there"):
        run(spec)


def test_force_begins_anew_there_too(shared, node, trained):
    spec = trained[0]
    stopped(spec, 2)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(StopError):
        stop_in_epoch(patch, 0)
        run(spec, force=True)
    assert "last.ckpt" not in state_of(shared)[0]["files"]
    node("b")
    assert not run(spec).training["resumed"]


def test_other_data_get_a_folder_of_their_own_there_too(shared, node, trained):
    spec = trained[0]
    stopped(spec, 1)
    inputs = json.loads(next(shared.glob("*/*.inputs.json")).read_text())
    node("b")
    assert folder_to_train(spec, inputs).name == spec.training_id()
    node("c")
    assert folder_to_train(spec, {**inputs, "train": "0" * 16}).name.startswith(f"{spec.training_id()}-i")


def test_an_address_that_cannot_be_used_is_named(home, trained, monkeypatch):
    spec, record, _, _ = trained
    monkeypatch.setenv("FER_BENCH_RUNS", "nonsense://bucket/runs")
    with pytest.raises(HardwareError, match=r"FER_BENCH_RUNS=nonsense://bucket/runs.*: Protocol not known: nonsense"):
        run(spec)
    monkeypatch.setenv("FER_BENCH_RUNS", "s3://bucket/runs")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingPackageError, match=r"fer_bench\[s3\]"):
        find_checkpoint(spec, record)


@pytest.fixture(scope="module")
def s3():
    """A server of S3 on loopback, with an empty bucket."""
    server_room = pytest.importorskip("moto.server", reason="moto[s3] and flask are not installed")
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    import s3fs

    server = server_room.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "none")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        files = s3fs.S3FileSystem()
        files.mkdir("bucket")
        yield files
    server.stop()


@pytest.mark.slow
def test_a_killed_run_goes_on_from_s3_alone(home, node, trained, start, s3, monkeypatch):
    spec = trained[0]
    monkeypatch.setenv("FER_BENCH_RUNS", "s3://bucket/runs")
    node("a")
    process = start(*flags(spec), before=SLOW)

    def has_an_epoch():
        s3.invalidate_cache()
        return s3.glob("bucket/runs/*/state-000002-*.json")

    wait_for(has_an_epoch)
    process.send_signal(signal.SIGKILL)
    assert process.wait(20) == -signal.SIGKILL
    shutil.rmtree(home / "a")
    node("b")
    record = run(spec)
    assert record.training["resumed"]
    same_as_straight(record, trained)
