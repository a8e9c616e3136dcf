import pytest
import torch

from tests.cli.conftest import fer_bench  # noqa: F401 (a fixture)


@pytest.fixture(autouse=True)
def _own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FER_BENCH_LEADERBOARDS", str(tmp_path / "leaderboards"))
    monkeypatch.setenv("FER_BENCH_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("FER_BENCH_DATA", str(tmp_path / "data"))


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
