"""Runs of half a second: 48 synthetic faces of 32 px, a narrow network, folders of their own."""

import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from fer_bench.results.store import Store
from fer_bench.spec import RunSpec
from fer_bench.training.run import run
from tests.forks import Forked

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"n_train": 48, "n_validation": 21, "n_test": 28, "size": 32, "difficulty": 0.2}
PLAIN = {
    "dataset": "synthfaces",
    "dataset_options": SMALL,
    # Rates as in the settings that ship, so that the command line means the same run.
    "model_options": {"width": 4, "dropout": 0.1, "head_dropout": 0.2},
    "epochs": 2,
    "batch_size": 16,
    "augment": "flip",
    "precision": "32-true",
}


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def home(tmp_path, monkeypatch, cache):
    """Folders of this test; only the drawn faces are shared."""
    monkeypatch.setenv("FER_BENCH_CACHE", str(cache))
    monkeypatch.setenv("FER_BENCH_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("FER_BENCH_LEADERBOARDS", str(tmp_path / "boards"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


@pytest.fixture(scope="session")
def tiny():
    """Make the spec of a small run; settings by name."""

    def make(**settings):
        execution = {"accelerator": "cpu", **settings.pop("execution", {})}
        return RunSpec.model_validate({**PLAIN, **settings, "execution": execution})

    return make


@pytest.fixture(scope="session")
def trained(tmp_path_factory, cache, tiny):
    """One finished run of three epochs, for tests that only look at it."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_BENCH_CACHE", str(cache))
        patch.setenv("FER_BENCH_RUNS", str(folder / "runs"))
        spec = tiny(epochs=3)
        store = Store(folder / "boards")
        record = run(spec, store)
    return spec, record, store, folder


@pytest.fixture
def finished(trained, home):
    """The finished run, copied to where this test may change it."""
    spec, record, _, folder = trained
    shutil.copytree(folder / "runs", home / "runs")
    shutil.copytree(folder / "boards", home / "boards")
    return spec, record, Store()


@pytest.fixture
def start(home):
    """Start ``fer-bench`` (after some lines of Python) in a process of its own; what is left of it is killed in the
    end."""
    processes = []

    def begin(*arguments, before=""):
        script = home / f"begin{len(processes)}.py"
        # A launcher starts the same script again in an interpreter of its own, so it imports what it needs.
        script.write_text(
            f"import torch\ntorch.set_num_threads(1)\n{before}\nfrom fer_bench.cli.main import main\nmain()\n"
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", str(ROOT))
            patch.setenv("FER_BENCH_HOME", str(ROOT))
            processes.append(Forked(script, *arguments, folder=ROOT))
        return processes[-1]

    yield begin
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait(20)


def flags(spec):
    """The command line of a spec that differs from the small run's in nothing but plain settings."""
    sets = [f"dataset_options={spec.dataset_options!r}", f"model_options={spec.model_options!r}"]
    for name in (
        "epochs",
        "batch_size",
        "augment",
        "augment_on",
        "precision",
        "seed",
        "lr",
        "schedule",
        "label_smoothing",
        "early_stopping",
        "ema",
    ):
        sets.append(f"{name}={getattr(spec, name)}")
    given = ["run", "--dataset", spec.dataset, "--model", spec.model, "--accelerator", "cpu", "--task", spec.task]
    return [*given, *(part for text in sets for part in ("--set", text))]


def wait_for(condition, seconds=120.0):
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def same_predictions(store_a, record_a, store_b, record_b):
    """Compare bit for bit."""
    for split in ("validation", "test"):
        a, b = store_a.predictions(record_a, split), store_b.predictions(record_b, split)
        np.testing.assert_array_equal(a.ids, b.ids)
        np.testing.assert_array_equal(a.outputs, b.outputs)


def last_weights(runs):
    """The weights behind the last epoch of the only run in a folder, whichever epoch was the best."""
    (path,) = runs.glob("*/last.ckpt")
    return torch.load(path, weights_only=True)["state_dict"]


def same_weights(a, b):
    """Compare bit for bit."""
    assert a.keys() == b.keys()
    for key in a:
        assert torch.equal(a[key], b[key]), key
