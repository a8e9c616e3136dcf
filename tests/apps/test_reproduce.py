"""A row once more from its record, and the weights of published rows."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from fer_bench import paths
from fer_bench.apps.reproduce import reproduce
from fer_bench.cli.main import app
from fer_bench.ensembles.build import build_ensemble
from fer_bench.errors import RecordError, WeightsError
from fer_bench.leaderboard.render import render_all
from fer_bench.leaderboard.spread import of_pool, of_seeds, spread_of
from fer_bench.leaderboard.verify import verify
from fer_bench.models import published
from fer_bench.models.trained import checkpoint_of
from fer_bench.results import reproductions
from fer_bench.results.protocol import protocol_of
from fer_bench.results.store import Store
from fer_bench.spec import Execution
from fer_bench.training.loading import load_record
from fer_bench.training.run import run
from tests.training.conftest import cache, finished, home, one_thread, tiny, trained  # noqa: F401

CPU = Execution(accelerator="cpu")


def alike(record, store, seed, accuracy):
    """Another seed of the same row, which nobody trained."""
    other = record.model_copy(
        update={
            "run_id": record.run_id.replace("-s0", f"-s{seed}"),
            "seed": seed,
            "metrics": {**record.metrics, "accuracy": accuracy},
            "predictions": {},
        }
    )
    return store.put(other, {split: store.predictions(record, split) for split in ("validation", "test")})


def test_a_run_is_trained_again_apart_from_the_store_and_its_board_says_so(finished):  # noqa: F811
    spec, record, store = finished
    before = {path: path.read_bytes() for path in store.results.rglob("*") if path.is_file()}
    checkpoint = checkpoint_of(record, spec).read_bytes()
    said = []
    found, path = reproduce(store, record.run_id, CPU, say=said.append)
    assert found.identical
    assert found.within
    assert found.score == record.metrics["accuracy"]
    assert found.verdict == "trained again: the same, bit for bit"
    assert found.inputs == record.inputs
    assert any(line.startswith("code ") for line in said)
    assert {path: path.read_bytes() for path in store.results.rglob("*") if path.is_file()} == before
    assert checkpoint_of(record, spec).read_bytes() == checkpoint
    assert not (paths.runs_dir() / "reproductions" / record.run_id).exists()
    assert path.parent.parent.parent.parent == store.root
    np.testing.assert_array_equal(
        reproductions.load_predictions(store, found := reproductions.find(store, record)[0]).outputs,
        store.predictions(record).outputs,
    )
    render_all(store)
    board = (store.root / f"{record.protocol}.md").read_text()
    assert "¹ trained again: the same, bit for bit." in board
    assert not render_all(store, check=True)
    assert verify(store).differences == ()
    # Its score is recomputed, and so is whether it is the same.
    path.write_text(found.model_copy(update={"score": 0.9, "identical": False}).to_json())
    assert {difference.key for difference in verify(store).differences} == {"accuracy", "identical"}
    path.write_text("{")
    assert [difference.key for difference in verify(store).differences] == ["the record"]


def test_a_run_on_other_data_is_refused_before_anything_is_trained(finished, monkeypatch):  # noqa: F811
    _, record, store = finished
    other = store.amend(record.model_copy(update={"inputs": {**record.inputs, "train": "0123456789abcdef"}}))
    monkeypatch.setattr("fer_bench.training.run.run", None)
    with pytest.raises(RecordError, match=r"other inputs than there are here: train is .*recorded is 0123456789abcdef"):
        reproduce(store, other.run_id, CPU)


def test_settings_that_mean_other_ones_now_are_refused(finished):  # noqa: F811
    _, record, store = finished
    store.amend(record.model_copy(update={"spec": {**record.spec, "lr": 0.5}}))
    with pytest.raises(RecordError, match=r"its settings are those of run .* in this version"):
        reproduce(store, record.run_id, CPU)


def test_what_nobody_trained_is_one_line(finished):  # noqa: F811
    _, record, store = finished
    for kind, says in (
        ("human", "people answered"),
        ("external", "another program"),
        ("evaluated", "another run trained"),
    ):
        store.amend(record.model_copy(update={"kind": kind}))
        with pytest.raises(RecordError, match=says):
            reproduce(store, record.run_id, CPU)


def test_an_ensemble_is_recomputed_from_its_members(finished):  # noqa: F811
    _, record, store = finished
    alike(record, store, 1, 0.5)
    ensemble = build_ensemble(store, protocol_of(record))
    found, _ = reproduce(store, ensemble.run_id, CPU)
    assert (found.how, found.identical, found.predictions) == ("recomputed", True, None)
    assert found.verdict == "follows from its members' predictions"


def test_the_score_is_expected_where_another_training_would_be(finished):  # noqa: F811
    _, record, store = finished
    assert spread_of(store, record) is None
    seeds = [alike(record, store, seed, accuracy) for seed, accuracy in ((1, 0.60), (2, 0.50), (3, 0.55))]
    store.path(record.protocol, record.model, record.run_id).unlink()
    low, high, how = spread_of(store, seeds[0])
    # Statistics' own words: a prediction interval of one more observation.
    expected = stats.t.interval(0.95, 2, loc=0.55, scale=0.05 * np.sqrt(1 + 1 / 3))
    assert (low, high) == pytest.approx(expected)
    assert how == "3 seeds"
    # A row of one seed borrows the spread of the others.
    single = alike(record.model_copy(update={"row": "other"}), store, 9, 0.7)
    low, high, how = spread_of(store, single)
    assert (low, high) == pytest.approx(stats.t.interval(0.95, 2, loc=0.7, scale=0.05 * np.sqrt(2)))
    assert how.startswith("one seed")


def test_intervals_hold_what_they_say():
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(4000, 4))
    own = [of_seeds(row[:3].tolist()) for row in draws]
    inside = np.mean([one.low <= new <= one.high for one, new in zip(own, draws[:, 3], strict=True)])
    assert inside == pytest.approx(0.95, abs=0.012)
    variances = rng.chisquare(6, 4000) / 6
    pooled = [of_pool(float(x), float(v), 6, 3) for x, v in zip(draws[:, 0], variances, strict=True)]
    inside = np.mean([one.low <= new <= one.high for one, new in zip(pooled, draws[:, 3], strict=True)])
    assert inside == pytest.approx(0.95, abs=0.012)


def test_outside_is_said_and_the_exit_code_is_one(finished, monkeypatch):  # noqa: F811
    _, record, store = finished
    changed = record.model_copy(update={"spec": record.spec})
    monkeypatch.setattr("fer_bench.apps.reproduce._take_threads", lambda record, say: None)

    def trained_otherwise(store, record, execution, folder, files, say):
        predictions = store.predictions(record)
        outputs = np.roll(predictions.outputs, 1, axis=1)
        other = type(predictions)(predictions.ids, predictions.targets, outputs, predictions.flags, predictions.groups)
        return changed.model_copy(update={"metrics": {"accuracy": record.metrics["accuracy"] + 0.2}}), other

    monkeypatch.setattr("fer_bench.apps.reproduce._trained", trained_otherwise)
    result = CliRunner().invoke(app, ["reproduce", record.run_id])
    assert (result.exit_code, "is not known" in result.output) == (0, True)
    for seed in (1, 2):
        alike(record, store, seed, record.metrics["accuracy"] + 0.001 * seed)
    result = CliRunner().invoke(app, ["reproduce", record.run_id])
    assert "**outside** the spread of its trainings" in result.output
    assert result.exit_code == 1


def test_weights_are_downloaded_where_the_checkpoint_is_not_here(finished, tmp_path, monkeypatch):  # noqa: F811
    spec, record, _store = finished
    files = tmp_path / "files"
    result = CliRunner().invoke(
        app, ["weights", record.run_id, "--out", str(files), "--address", files.as_uri()], catch_exceptions=False
    )
    assert record.run_id in result.output
    (file,) = files.iterdir()
    shutil.rmtree(paths.runs_dir())
    loaded = load_record(record, CPU)
    assert loaded.record.run_id == record.run_id
    assert checkpoint_of(record, spec).parent == paths.cache_dir() / "weights"
    # Once downloaded, the address is not asked again.
    kept = file.read_bytes()
    file.unlink()
    load_record(record, CPU)
    # Another file under the address, or none, is one line.
    shutil.rmtree(paths.cache_dir() / "weights")
    with pytest.raises(WeightsError, match="cannot be had from file:"):
        load_record(record, CPU)
    file.write_bytes(kept[:-1] + b"x")
    with pytest.raises(WeightsError, match="is another file"):
        load_record(record, CPU)
    published.manifest_path().unlink()
    with pytest.raises(WeightsError, match="is not at"):
        load_record(record, CPU)


def test_weights_that_come_out_the_same_are_kept(finished):  # noqa: F811
    _spec, record, store = finished
    shutil.rmtree(paths.runs_dir())
    reproduce(store, record.run_id, CPU)
    assert load_record(record, CPU).record.run_id == record.run_id


def test_a_run_that_was_trained_anew_is_not_marked(finished):  # noqa: F811
    spec, record, store = finished
    reproduce(store, record.run_id, CPU)
    again = run(spec.model_copy(update={"seed": 0}), Store(), force=True)
    assert len(reproductions.find(store, again)) == 1
    other = again.model_copy(update={"training": {**again.training, "weights_sha256": "f" * 64}})
    assert reproductions.find(store, other) == []
