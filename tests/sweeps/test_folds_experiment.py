"""A cross-validation as one experiment: records, resuming, the board. Training is replaced by drawn predictions."""

from __future__ import annotations

import numpy as np
import pytest

from fer_bench import spec as specs
from fer_bench.data.splits import deal
from fer_bench.errors import RunNanError, SpecError
from fer_bench.leaderboard.render import render
from fer_bench.leaderboard.verify import verify
from fer_bench.predictions import Predictions
from fer_bench.protocols import protocol_for
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.scoring.score import score
from fer_bench.sweeps.folds import describe, fold_specs, is_experiment, run_folds

N = 120


class Trainer:
    """Answers as a network of some quality would, and counts how often it was asked."""

    def __init__(self, noise=1.0, fail_at=None, copy="c0"):
        self.noise, self.fail_at, self.copy, self.trained = noise, fail_at, copy, []

    def __call__(self, spec, store, *, force=False):
        folding = spec.folding
        protocol = protocol_for(spec.dataset, spec.task, folding.by)
        existing = store.find(protocol.name, spec.model, spec.run_id())
        if existing is not None and not force:
            return existing
        if folding.fold == self.fail_at:
            raise RunNanError("train/loss became nan in epoch 1.")
        self.trained.append(folding.fold)
        clips = np.repeat([f"c{i:02d}" for i in range(N // 4)], 4)
        names = clips if folding.by != "frame" else np.array([str(i) for i in range(N)])
        at = np.flatnonzero(deal(names, folding.folds) == folding.fold)
        targets = np.random.default_rng(0).uniform(-10, 10, (N, 2)).astype(np.float32)[at]
        noise = np.random.default_rng([spec.seed, folding.fold]).normal(0, 4 * self.noise, (len(at), 2))
        test = Predictions(
            np.array([f"{i:04d}" for i in at]), targets, (0.7 * targets + noise).astype(np.float32), {}, clips[at]
        )
        fold = {"fold": folding.fold, "folds": folding.folds, "by": folding.by, "copy": self.copy}
        record = Record(
            run_id=spec.run_id(),
            row=spec.digest(),
            protocol=protocol.name,
            task=spec.task,
            dataset=spec.dataset,
            model=spec.model,
            seed=spec.seed,
            spec=spec.model_dump(mode="json", exclude={"execution"}),
            metrics=score(protocol, test),
            n_scored=len(test),
            caveats=list(protocol.caveats),
            data={"fold": fold, "checksums": {"test": f"{self.copy}{folding.fold}{folding.by}"}},
            training={"epochs": 3, "seconds": 1.5},
        )
        return store.put(record, {"test": test})


def experiment(by="identity", **settings):
    return specs.build(
        {
            "dataset": "afew_va",
            "task": "va",
            "model": "resnet18",
            "loss": "mse",
            "dataset_options": {"folds": 5, "fold_by": by},
            **settings,
        }
    )


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def test_one_record_per_fold_and_one_for_all(store):
    record = run_folds(experiment(), store, run=Trainer())
    assert record.n_scored == N
    assert len(record.data["folds"]) == 5
    assert len(list(store.records())) == 6
    folds = [store.get(run_id) for run_id in record.data["folds"]]
    assert record.metrics["folds"]["averaged"]["ccc"] == pytest.approx(np.mean([fold.metrics["ccc"] for fold in folds]))
    assert record.metrics["folds"]["std"]["valence/pcc"] == pytest.approx(
        np.std([fold.metrics["valence"]["pcc"] for fold in folds], ddof=1)
    )
    assert record.metrics["ccc"] != pytest.approx(record.metrics["folds"]["averaged"]["ccc"], abs=1e-12)
    assert record.training["seconds"] == 7.5
    assert verify(store).ok
    line = describe(record, "ccc")
    assert line.startswith(f"pooled ccc {record.metrics['ccc']:.4f}; averaged over 5 folds")


def test_what_a_reader_must_know_of_a_fold_is_said_of_all(store):
    trainer = Trainer()

    def run(spec, store, *, force=False):
        record = trainer(spec, store, force=force)
        caveats = [*dict.fromkeys([*record.caveats, "extra labels"])]
        return store.amend(record.model_copy(update={"caveats": caveats}))

    record = run_folds(experiment(), store, run=run)
    assert record.caveats == ["extra labels"]
    assert verify(store).ok
    store.amend(record.model_copy(update={"caveats": []}))
    (found,) = verify(store).differences
    assert (found.key, found.stored) == ("caveats", None)
    assert found.recomputed.startswith("also extra labels, as ")
    assert run_folds(experiment(), store, run=run).caveats == ["extra labels"]
    assert verify(store).ok
    leaky = run_folds(experiment("frame"), store, run=run)
    assert leaky.caveats == ["leaky: frames of one clip are in train and in test", "extra labels"]


def test_a_lost_fold_is_done_again_and_no_other(store):
    trainer = Trainer()
    record = run_folds(experiment(), store, run=trainer)
    lost = fold_specs(experiment())[2]
    store.path("afew_va-va", "resnet18", lost.run_id()).unlink()
    store.path("afew_va-va", "resnet18", experiment().run_id()).unlink()
    again = run_folds(experiment(), store, run=trainer)
    assert trainer.trained == [0, 1, 2, 3, 4, 2]
    assert again.metrics == record.metrics


def test_a_fold_that_fails_leaves_a_record_that_says_so(store):
    with pytest.raises(RunNanError):
        run_folds(experiment(), store, run=Trainer(fail_at=3))
    record = store.find("afew_va-va", "resnet18", experiment().run_id())
    assert record.status == "nan"
    assert record.message.startswith("fold 4 of 5")
    assert run_folds(experiment(), store, run=Trainer()).status == "finished"


def test_folds_on_different_copies_are_not_joined(store):
    run_folds(experiment(), store, run=Trainer())
    store.path("afew_va-va", "resnet18", fold_specs(experiment())[1].run_id()).unlink()
    with pytest.raises(SpecError, match="2 different copies"):
        run_folds(experiment(), store, run=Trainer(copy="c1"))


def test_the_board_ranks_experiments_and_shows_the_leak(store):
    clean = run_folds(experiment(), store, run=Trainer(1.0))
    worse = run_folds(experiment(lr=0.5), store, run=Trainer(3.0))
    leaky = run_folds(experiment("frame"), store, run=Trainer(0.5))
    pages = {path.stem: text for path, text in render(store).items()}
    board = pages["afew_va-va"]
    assert "Not ranked" not in board
    assert "fold 1 of 5" not in board
    for text in (
        f"{clean.metrics['ccc']:.3f}",
        f"{worse.metrics['ccc']:.3f}",
        "## Mean over folds",
        "Valence RMSE on −1 to 1",
        "Arousal PCC",
    ):
        assert text in board
    assert "over test samples (whole clips or people)" in board
    side = board[board.index("## Under other splits") :]
    assert "(afew_va-va-frames.md)" in side
    assert "leaky" in side
    assert f"| {clean.metrics['ccc']:.3f} | {leaky.metrics['ccc']:.3f} |" in side
    other = pages["afew_va-va-frames"]
    assert "**leaky" in other
    assert f"| {leaky.metrics['ccc']:.3f} | {clean.metrics['ccc']:.3f} |" in other


def test_a_fold_alone_is_listed_apart(store):
    first, *_ = fold_specs(experiment())
    Trainer()(first, store)
    (board,) = (text for path, text in render(store).items() if path.stem == "afew_va-va")
    assert "fold 1 of 5 alone" in board
    assert "--folds 5" in board


def test_which_specs_are_experiments():
    assert is_experiment(experiment())
    assert not is_experiment(fold_specs(experiment())[0])
    assert not is_experiment(specs.build({"dataset": "afew_va"}))
    assert len({spec.run_id() for spec in [experiment(), *fold_specs(experiment())]}) == 6
    with pytest.raises(SpecError, match="--folds 5"):
        fold_specs(specs.build({"dataset": "afew_va"}))
