"""``fer-bench push`` and ``predict --run hf:...`` through the command line, against a hub on loopback."""

from __future__ import annotations

import cv2
import pytest

from tests.deploy.conftest import make_run as make_run
from tests.deploy.test_hub import hub as hub
from tests.deploy.test_hub import recorded as recorded
from tests.fakes import smooth_images


@pytest.fixture
def of_raf_db(recorded):
    """The same network, said to be of data that are not free."""
    store, record = recorded
    return store.amend(record), store.put(
        record.model_copy(
            update={
                "run_id": "raf-s0",
                "dataset": "raf_db",
                "protocol": "raf_db-fer7",
                "spec": {**record.spec, "dataset": "raf_db", "dataset_options": {}},
            }
        )
    )


def test_what_is_pushed_predicts(of_raf_db, hub, fer_bench, tmp_path, monkeypatch):
    free, _ = of_raf_db
    done = fer_bench("push", free.run_id, "hf:lab/net", "--no-onnx")
    assert done.code == 0, done.err
    commit = hub.repositories["lab/net"][-1][0]
    assert f"pushed      {hub.address}/lab/net/commit/{commit}" in done.out
    assert f"--run hf:lab/net@{commit}" in done.out
    cv2.imwrite(str(tmp_path / "face.png"), smooth_images(1)[0])
    monkeypatch.setenv("FER_BENCH_LEADERBOARDS", str(tmp_path / "nothing"))
    done = fer_bench("predict", tmp_path / "face.png", "--run", f"hf:lab/net@{commit}", "--accelerator", "cpu")
    assert done.code == 0, done.err
    assert "angry 0." in done.out


def test_weights_of_data_that_are_not_free_are_not_pushed_silently(of_raf_db, hub, fer_bench, monkeypatch):
    _, bound = of_raf_db
    done = fer_bench("push", bound.run_id, "hf:lab/bound", "--no-onnx")
    assert done.code == 2
    assert "data        RAF-DB (basic): non-commercial research only, on request" in done.out
    assert "may fall under the terms of what they were trained on: RAF-DB (basic): non-commercial" in done.err
    assert "--yes" in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert not hub.requests
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    done = fer_bench("push", bound.run_id, "hf:lab/bound", "--yes")
    assert (done.code, "HF_TOKEN is not set" in done.err) == (2, True)
