"""Search on validation: what it may see, that nothing is done twice, and what becomes of the winner."""

from __future__ import annotations

import json
import signal

import numpy as np
import pytest

pytest.importorskip("optuna", reason="extra tune")

from typer.testing import CliRunner

from fer_bench import paths
from fer_bench.cli.main import app
from fer_bench.data import datamodule as datamodule_room
from fer_bench.data.samples import Samples
from fer_bench.errors import Interrupted, SpecError
from fer_bench.results.store import Store
from fer_bench.spec import build
from fer_bench.sweeps.folds import run_folds
from fer_bench.sweeps.recipes import all_recipes, use_recipe
from fer_bench.sweeps.tuning import search as room
from fer_bench.sweeps.tuning.search import plan, search
from fer_bench.sweeps.tuning.space import Choice, Range, default_space, parse_space, read_space, start_of
from fer_bench.sweeps.tuning.study import Study
from fer_bench.training import fit as fit_room
from fer_bench.training.run import OF_A_SEARCH, run
from tests.training.conftest import cache, flags, home, one_thread, start, tiny, wait_for  # noqa: F401

LR = {"lr": Range(1e-4, 1e-1, log=True)}


def tune(spec, budget, space=LR, said=None):
    return search(plan(spec, space), budget, Store(), say=(said if said is not None else []).append)


def test_a_search_finds_settings_that_a_run_takes_up_without_training_again(home, tiny, monkeypatch):  # noqa: F811
    said = []
    found = tune(tiny(), 3, said=said)
    assert [one.state for one in found.trials] == ["finished"] * 3
    assert found.trial.value == max(one.value for one in found.trials)
    assert found.start == found.trials[0].value
    assert found.trials[0].point == {"lr": 0.001}
    # Nothing was recorded, and of three trainings one is left.
    assert not list(Store().results.rglob("*"))
    assert len(list(paths.runs_dir().glob("*/trained.json"))) == 1
    (recipe,) = [one for one in all_recipes() if one.suite == "tuned"]
    settings = use_recipe(recipe.use, {})
    spec = build({**settings, "execution": {"accelerator": "cpu"}})
    assert (spec.trials, spec.recipe, spec.lr) == (3, "tuned, 3 trials", found.trial.point["lr"])
    assert spec.run_id() == tiny(lr=spec.lr).run_id()
    monkeypatch.setattr(fit_room, "_attempt", None)
    record = run(spec, Store())
    assert record.spec["trials"] == 3
    assert record.notes == ["settings chosen among 3 on validation"]
    assert record.caveats == []
    assert record.validation_metrics["accuracy"] == pytest.approx(found.trial.value, abs=1e-6)
    # From now on it is the run's own.
    assert not list(paths.runs_dir().glob(f"*/{OF_A_SEARCH}"))


class Guarded:
    """Images that say which of them were looked at."""

    def __init__(self, images, seen):
        self.images, self.seen = images, seen

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        self.seen.add(int(index))
        return self.images[int(index)]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"task": "va", "augment": "flip", "loss": "mse"},
        {"dataset_options": {"n_train": 48, "n_validation": 21, "n_test": 28, "size": 32, "folds": 2}},
    ],
    ids=["classes", "values", "folds"],
)
def test_the_test_split_is_never_looked_at(home, tiny, monkeypatch, settings):  # noqa: F811
    if "dataset_options" in settings:
        settings["dataset_options"]["fold_by"] = "frame"
    seen, splits, modules = set(), {}, []
    made = datamodule_room.AffectDataModule.setup

    def setup(self, stage=None):
        if self.samples is None:
            read = self.read

            def guarded() -> Samples:
                samples = read()
                samples.images = Guarded(samples.images, seen)
                # What is test is known after folds are made.
                splits["ids"] = samples.ids
                return samples

            self.read = guarded
            modules.append(self)
        made(self, stage)

    monkeypatch.setattr(datamodule_room.AffectDataModule, "setup", setup)
    asked = tiny(**settings)
    tune(asked, 2)
    for module in modules:
        assert module.untested
        assert set(module.read_samples.split) == {"train", "validation"}
        assert "test" not in module.read_samples.checksums
    kept = np.flatnonzero(np.isin(splits["ids"], modules[0].read_samples.ids))
    assert 0 < len(kept) < len(splits["ids"])
    assert seen
    assert seen <= set(kept.tolist())


def test_data_without_a_validation_split_of_their_own_are_refused(home, tiny, monkeypatch):  # noqa: F811
    made = datamodule_room.without_test

    def as_paper(samples, name):
        samples.selects_on_test = True
        return made(samples, name)

    monkeypatch.setattr(datamodule_room, "without_test", as_paper)
    with pytest.raises(SpecError, match="test split stands for validation"):
        plan(tiny(), LR)


def test_a_search_that_was_killed_repeats_no_finished_trial_and_resumes_the_unfinished(home, tiny, monkeypatch):  # noqa: F811
    begun = []
    attempt = fit_room._attempt

    def counted(spec, *arguments, **more):
        begun.append(spec.lr)
        if len(begun) == 2:
            raise Interrupted("killed")
        return attempt(spec, *arguments, **more)

    monkeypatch.setattr(fit_room, "_attempt", counted)
    with pytest.raises(Interrupted):
        tune(tiny(), 3)
    first = [one.point for one in plan(tiny(), LR).open().trials()]
    assert len(begun) == 2
    assert [one.state for one in plan(tiny(), LR).open().trials()] == ["finished", "running"]
    said = []
    found = tune(tiny(), 3, said=said)
    assert [one.point for one in found.trials][:2] == first
    # The second once more, then the third.
    assert begun == [begun[0], begun[1], begun[1], found.trials[2].point["lr"]]
    assert said[0].startswith("[2/3] goes on")
    # What an uninterrupted search would have proposed.
    monkeypatch.setattr(fit_room, "_attempt", attempt)
    monkeypatch.setenv("FER_BENCH_RUNS", str(home / "other"))
    assert [one.point for one in tune(tiny(), 2).trials] == [one.point for one in found.trials][:2]
    monkeypatch.setenv("FER_BENCH_RUNS", str(home / "runs"))
    # With a larger budget it goes on; with the same it is done.
    monkeypatch.setattr(fit_room, "_attempt", None)
    assert len(tune(tiny(), 3).trials) == 3


def test_other_data_or_another_space_are_another_search(home, tiny):  # noqa: F811
    other = {"n_train": 49, "n_validation": 21, "n_test": 28, "size": 32}
    given = [
        (tiny(), LR),
        (tiny(), {"lr": Range(1e-4, 1e-2, log=True)}),
        (tiny(dataset_options=other), LR),
        (tiny(recipe="called otherwise"), LR),
    ]
    names = [plan(spec, space).name for spec, space in given]
    assert len(set(names)) == 3
    assert names[3] == names[0]


def test_hopeless_and_failing_trials_end_early_and_count(tmp_path):
    study = Study(tmp_path, {"lr": Range(0.1, 1.0)}, higher_is_better=True, epochs=4)
    for i in range(8):
        with study.next(8) as asked:
            good = i < 5
            if i == 7:
                asked.abandon("it became NaN")
                continue
            went_on = all(asked.watch(epoch, 0.5 if good else 0.1) for epoch in range(4))
            assert went_on == good
            asked.finish(0.5, 4, "") if good else asked.abandon()
    with study.next(8) as asked:
        assert asked is None
    assert [one.state for one in study.trials()] == ["finished"] * 5 + ["abandoned"] * 2 + ["failed"]
    assert study.best().number == 0
    assert study.trials()[7].message == "it became NaN"
    # Less is better: the same study the other way round.
    less = Study(tmp_path / "less", {"lr": Range(0.1, 1.0)}, higher_is_better=False)
    for value in (0.3, 0.2, 0.4):
        with less.next(3) as asked:
            asked.finish(value, 1, "")
    assert less.best().value == 0.2


def test_processes_share_the_trials(tmp_path):
    one, other = (Study(tmp_path, {"lr": Range(0.1, 1.0)}, higher_is_better=True) for _ in range(2))
    with one.next(2) as first, other.next(2) as second:
        assert (first.number, second.number) == (0, 1)
        with one.next(2) as third:
            assert third is None
        second.finish(0.5, 1, "")
    # The first was not ended: whoever comes next goes on with it.
    with other.next(2) as again:
        assert (again.number, again.resumed, again.point) == (0, True, first.point)


def test_a_run_of_the_users_own_is_left_alone(home, tiny):  # noqa: F811
    record = run(tiny(), Store())
    found = tune(tiny(), 2, {"lr": Range(5e-4, 2e-3)})
    assert found.start == pytest.approx(record.validation_metrics["accuracy"], abs=1e-6)
    assert (paths.runs_dir() / tiny().training_id() / "best.ckpt").is_file()


def test_a_cross_validation_is_searched_on_its_first_fold_and_says_so(home, tiny):  # noqa: F811
    options = {"n_train": 48, "n_validation": 21, "n_test": 28, "size": 32, "folds": 2, "fold_by": "frame"}
    found = tune(tiny(dataset_options=options, epochs=1), 2)
    assert "fold" not in found.spec.dataset_options
    record = run_folds(found.spec, Store())
    assert record.caveats[-1] == "settings chosen on samples that other folds test"
    assert record.notes == ["settings chosen among 2 on validation"]


def test_what_may_be_varied_by_default(tiny):  # noqa: F811
    def of(**settings):
        spec = tiny(**settings)
        return default_space(spec, spec.judge)

    assert set(of()) == {"lr", "weight_decay", "batch_size", "augment", "label_smoothing"}
    assert set(of(task="va", loss="mse")) == {"lr", "weight_decay", "batch_size", "augment"}
    assert "label_smoothing" not in of(loss="focal")
    tuned = of(weights="imagenet", weight_decay=0)
    assert set(tuned) == {"lr", "batch_size", "augment", "label_smoothing", "layer_decay"}
    assert tuned["lr"].high == pytest.approx(3e-3)
    assert "rand_faces" in of(augment_on="device")["augment"].values
    assert "rand_faces" not in of()["augment"].values
    # Options are of one augmentation.
    assert "augment" not in of(augment_options={"rotate": 5})
    assert start_of(tiny(), of()) == {
        "lr": 0.001,
        "weight_decay": 0.01,
        "batch_size": 16,
        "augment": "flip",
        "label_smoothing": 0.0,
    }
    assert start_of(tiny(lr=5.0), {"lr": Range(0.1, 1.0)}) is None


def test_what_a_network_cannot_do_is_left_out_of_the_default(home, tiny):  # noqa: F811
    made = room.default_space
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "default_space", lambda *a: {**made(*a), "layer_decay": Choice((1.0, 0.5))})
        patch.setattr(room, "check_names", refuse_layers)
        assert "layer_decay" not in plan(tiny()).space


def refuse_layers(spec):
    if spec.layer_decay != 1:
        raise SpecError("it has no layers")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("lr=1e-4:1e-2:log", Range(1e-4, 1e-2, log=True)),
        ("batch_size=32,64", Choice((32, 64))),
        ("augment=flip,strong", Choice(("flip", "strong"))),
        ("epochs=10:30:5", Range(10, 30, step=5, whole=True)),
        ("augment_options.rotate=0:30", Range(0, 30, whole=True)),
        ("weight_decay=0:1", Range(0, 1)),
    ],
)
def test_a_space_is_typed_as_it_is_written(text, part, tmp_path):
    found = parse_space([text])
    assert found == {text.partition("=")[0]: part}
    file = tmp_path / "space.yaml"
    file.write_text(json.dumps({name: one.plain() for name, one in found.items()}))
    assert read_space(file) == found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lr", "expected KEY=VALUES"),
        ("rate=1:2", "unknown setting 'rate'"),
        ("dataset=a,b", "is not searched for"),
        ("seed=0,1", "is not searched for"),
        ("tta=0,10", "is not searched for"),
        ("lr=1:0.1", "no range"),
        ("lr=0:1:log", "no range of logarithms"),
        ("lr=a:b", "is no number"),
        ("epochs=1.5:3", "whole number"),
        ("batch_size=32", "two or more"),
        ("lr=0.1:0.2:5", "does not lead"),
    ],
)
def test_a_wrong_space_is_one_line(text, says):
    with pytest.raises(SpecError, match=says):
        parse_space([text])


def test_values_that_cannot_be_are_refused_before_the_first_trial(home, tiny):  # noqa: F811
    with pytest.raises(SpecError, match="label_smoothing"):
        plan(tiny(task="va", loss="mse"), parse_space(["label_smoothing=0,0.1"]))
    with pytest.raises(SpecError, match="distill"):
        plan(tiny(method="distill", method_options={"teachers": ["votes:ferplus"]}), LR)


def test_the_verb(home, tiny):  # noqa: F811
    given = ["tune", *flags(tiny(epochs=1))[1:], "--budget", "2", "--search", "lr=1e-3:1e-1:log"]
    result = CliRunner().invoke(app, [*given, "--dry-run"], catch_exceptions=False)
    assert "'low': 0.001" in result.output
    assert not paths.runs_dir().exists()
    result = CliRunner().invoke(app, given, catch_exceptions=False)
    assert "best        validation accuracy" in result.output
    use = result.output.rpartition("--use ")[2].strip()
    listed = CliRunner().invoke(app, ["list", "recipes", "--dataset", "synthfaces"], catch_exceptions=False)
    assert use in listed.output


@pytest.mark.proof
def test_a_search_that_is_killed_without_grace_goes_on(home, tiny, start):  # noqa: F811
    given = ["tune", *flags(tiny(epochs=4))[1:], "--budget", "4", "--search", "lr=1e-3:1e-1:log", "--no-prune"]
    journal = paths.runs_dir() / "tuning"
    for _ in range(2):
        before = sum(1 for _ in journal.glob("*/trial-*.lock"))
        process = start(*given)
        wait_for(lambda n=before: sum(1 for _ in journal.glob("*/trial-*.lock")) > n)
        process.send_signal(signal.SIGKILL)
        process.wait(20)
    process = start(*given)
    assert process.wait(120) == 0
    space = parse_space(["lr=1e-3:1e-1:log"])
    found = plan(tiny(epochs=4), space).open().trials()
    assert [one.state for one in found] == ["finished"] * 4
