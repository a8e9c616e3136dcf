"""Every test has its own cache, runs, leaderboards and data folders; nothing outside ``tmp_path`` is written."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import numpy as np
import pytest

# Libraries read them when they are imported: the fake hub of tests/hub.py has no Xet.
os.environ.update({"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"})
SMALL_SYNTH = {"n_train": 96, "n_validation": 32, "n_test": 40, "size": 48}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """One process more than there are cores: some tests wait for servers and for processes of their own."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores + 1


def pytest_collection_finish():
    """What the libraries keep for good is not searched for garbage again and again: half a second each time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def one_tree_of_verbs():
    """The tree of verbs is built when a test first asks for it: typer builds it again for each command, which takes as
    long as many verbs do.
    """
    import typer.main
    import typer.testing

    build, built = typer.main.get_command, {}

    def get_command(app):
        if getattr(app.info, "name", None) != "fer-bench":
            return build(app)
        if id(app) not in built:
            built[id(app)] = app, build(app)
        return built[id(app)][1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", get_command)
        patch.setattr(typer.testing, "_get_command", get_command)
        yield


@pytest.fixture(scope="session", autouse=True)
def nothing_is_flushed_to_the_disk():
    """What the tests write is to outlive killed processes, which the kernel sees to; that it outlives the machine costs
    20 ms a file. Processes of their own flush as ever.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def intervals_are_drawn_once():
    """Records of the tests are few, and scored and verified again and again: what is drawn for them is drawn once."""
    from fer_bench.scoring import score

    draw, drawn = score.bootstrap_confusion, {}

    def bootstrap_confusion(confusion, names):
        counts = np.asarray(confusion)
        key = counts.shape, counts.tobytes(), tuple(names)
        if key not in drawn:
            drawn[key] = draw(confusion, names)
        return dict(drawn[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(score, "bootstrap_confusion", bootstrap_confusion)
        yield


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    for name in ("cache", "runs", "leaderboards", "data"):
        monkeypatch.setenv(f"FER_BENCH_{name.upper()}", str(tmp_path / name))
    return tmp_path


@pytest.fixture(autouse=True)
def figures_are_blank(request, monkeypatch):
    """Drawing takes most of the time of what has figures: they are built everywhere, and drawn where the marker
    ``draws`` says that a test is of what they show.
    """
    if request.node.get_closest_marker("draws") is None:
        monkeypatch.setattr("matplotlib.figure.Figure.draw", lambda self, renderer: None)
        canvas = "matplotlib.backends.backend_agg.FigureCanvasAgg.buffer_rgba"
        monkeypatch.setattr(canvas, lambda self: np.full((2, 301, 4), 255, dtype=np.uint8))


@pytest.fixture(scope="session")
def drawn_cache(tmp_path_factory):
    """A cache in which the small synthfaces are drawn already, once per session."""
    from fer_bench.datasets.synthfaces import read_synthfaces

    folder = tmp_path_factory.mktemp("drawn")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_BENCH_CACHE", str(folder))
        read_synthfaces(SMALL_SYNTH)
    return folder


@pytest.fixture
def small_synth(drawn_cache, own_folders, monkeypatch):
    """Options of a small synthfaces whose pictures lie in the cache."""
    monkeypatch.setenv("FER_BENCH_CACHE", str(drawn_cache))
    return dict(SMALL_SYNTH)


@pytest.fixture(scope="session")
def real_cache(tmp_path_factory):
    """One cache for all tests on the real FER2013, in all processes of a session: it is parsed once."""
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "real"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def real_folder():
    """The folder of the real FER2013, which ``FER_BENCH_TEST_FER2013`` names."""
    folder = os.environ.get("FER_BENCH_TEST_FER2013")
    if not folder or not (Path(folder) / "fer2013.csv").is_file():
        pytest.skip("FER_BENCH_TEST_FER2013 names no folder with the real fer2013.csv")
    return Path(folder)


@pytest.fixture
def real_faces(real_folder, real_cache, own_folders, monkeypatch):
    """The folder of the real FER2013, with a cache that is shared."""
    monkeypatch.setenv("FER_BENCH_CACHE", str(real_cache))
    return real_folder


@pytest.fixture
def plugin_folder(tmp_path, monkeypatch):
    """A folder to which a shell has gone, with the plugin package in it."""
    from tests.plugins import copy_package, forgotten

    folder = tmp_path / "work"
    folder.mkdir()
    copy_package(folder)
    monkeypatch.chdir(folder)
    with forgotten():
        yield folder
