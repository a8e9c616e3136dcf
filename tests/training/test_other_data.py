"""The same command on other data is another run: nothing of the old one is scored, resumed, skipped or overwritten."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_bench.cli.suite import carry_out_suite
from fer_bench.ensembles.build import build_ensemble
from fer_bench.errors import RecordError, WeightsError
from fer_bench.labels import FER7
from fer_bench.leaderboard.compare import compare
from fer_bench.leaderboard.render import render
from fer_bench.leaderboard.verify import verify
from fer_bench.probes.grid import run_grid
from fer_bench.probes.settings import ProbeSettings
from fer_bench.protocols import protocol_for
from fer_bench.results.begin import begin_record, run_folder
from fer_bench.results.copies import by_copy
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.spec import Execution, build
from fer_bench.sweeps.suite import read_plan
from fer_bench.sweeps.todo import todo
from fer_bench.training.evaluate import evaluate
from fer_bench.training.inference import predict
from fer_bench.training.run import run
from fer_bench.training.train_accuracy import score_on_train


def add_faces(root: Path, split: str, n: int, seed: int) -> None:
    """n images of each class, whose brightness says which it is."""
    rng = np.random.default_rng(seed)
    for label, name in enumerate(FER7.names):
        folder = root / split / name
        folder.mkdir(parents=True, exist_ok=True)
        for i in range(n):
            image = rng.normal(20 + 30 * label, 10, (48, 48)).clip(0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / f"{split}_{seed}_{i}.png"), image)


@pytest.fixture
def mine(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FER_BENCH_DATA", str(home / "data"))
    for split, n, seed in (("train", 4, 1), ("validation", 2, 2), ("test", 2, 3)):
        add_faces(home / "data" / "mine", split, n, seed)
    return home / "data" / "mine"


def spec(**settings: object):
    base = {
        "dataset": "folder:mine",
        "model_options": {"width": 4},
        "epochs": 2,
        "batch_size": 14,
        "image_size": 48,
        "precision": "32-true",
    }
    return build({**base, "execution": {"accelerator": "cpu", "workers": 0}, **settings})


def test_every_copy_is_trained_on_and_kept(mine: Path) -> None:
    store, made = Store(), []
    for seed in (None, 77, 78):
        if seed:
            add_faces(mine, "train", 1, seed)
        assert [len(todo([(spec(), ())], store).runs)] == [1]
        made.append(run(spec(), store))
        assert todo([(spec(), ())], store).runs == []
        assert run(spec(), store) == made[-1]
    assert [record.data["n"]["train"] for record in made] == [28, 35, 42]
    assert len({record.run_id for record in made}) == len(list(store.records())) == 3
    assert len({run_folder(spec(), record) for record in made}) == 3
    assert verify(store).ok
    # all three are ranked, the copy that is there now first
    (page,) = (content for path, content in render(store).items() if path.name == "mine-fer7.md")
    order = sorted(made, key=lambda record: page.index(f"/{record.run_id}.json"))
    assert order[0].run_id == made[-1].run_id
    assert "Not ranked" not in page
    # the first copy comes back: its record is there, and its table first
    for path in mine.glob("train/*/train_7*"):
        path.unlink()
    assert run(spec(), store).run_id == made[0].run_id
    (page,) = (content for path, content in render(store).items() if path.name == "mine-fer7.md")
    assert min(made, key=lambda record: page.index(f"/{record.run_id}.json")).run_id == made[0].run_id


def test_a_finished_training_is_not_scored_on_what_it_was_trained_on(
    mine: Path, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    first = run(spec())
    for old, new in (("train", "t"), ("test", "train"), ("t", "test")):
        (mine / old).rename(mine / new)
    monkeypatch.setenv("FER_BENCH_LEADERBOARDS", str(home / "second"))
    second = run(spec())
    assert second.training["resumed"] is False
    assert second.training["weights_sha256"] != first.training["weights_sha256"]
    assert run_folder(spec(), second) != run_folder(spec(), first)


def test_other_test_images_need_no_other_training(mine: Path) -> None:
    first = run(spec())
    add_faces(mine, "test", 1, 9)
    second = run(spec())
    assert (first.n_scored, second.n_scored) == (14, 21)
    assert second.training["seconds"] == first.training["seconds"]
    assert second.run_id != first.run_id


def test_a_started_training_is_not_resumed_on_other_data(mine: Path) -> None:
    record = run(spec())
    folder = run_folder(spec(), record)
    store = Store()
    store.path(record.protocol, record.model, record.run_id).unlink()
    # as a kill after the first epoch leaves it
    (folder / "trained.json").unlink()
    add_faces(mine, "train", 3, 99)
    again = run(spec())
    assert (again.training["resumed"], again.data["n"]["train"]) == (False, 49)


def test_a_training_that_does_not_say_what_it_is_of_is_not_used(mine: Path) -> None:
    record = run(spec())
    folder = run_folder(spec(), record)
    Store().path(record.protocol, record.model, record.run_id).unlink()
    (folder / "inputs.json").unlink()
    again = run(spec())
    assert run_folder(spec(), again) != folder
    assert again.metrics == record.metrics


def test_a_record_without_its_predictions_is_mended(mine: Path) -> None:
    store = Store()
    record = run(spec(), store)
    path = store.folder(record) / record.predictions["test"].file
    content = path.read_bytes()
    for damage in (content[:-1], b"", None):
        path.unlink() if damage is None else path.write_bytes(damage)
        assert [len(todo([(spec(), ())], store).runs)] == [1]
        mended = run(spec(), store)
        assert mended.run_id == record.run_id
        assert store.intact(mended)
        assert mended.training["seconds"] == record.training["seconds"]
    assert verify(store).ok


def test_weights_are_what_is_in_the_file(mine: Path, home: Path) -> None:
    first = run(spec())
    best = run_folder(spec(), first) / "best.ckpt"
    here, there = home / "w.ckpt", home / "elsewhere.ckpt"
    here.write_bytes(best.read_bytes())
    there.write_bytes(best.read_bytes())
    tuned = run(spec(weights=str(here)))
    assert run(spec(weights=str(there))) == tuned
    assert str(home) not in json.dumps(tuned.spec)
    other = run(spec(seed=1))
    here.write_bytes((run_folder(spec(seed=1), other) / "best.ckpt").read_bytes())
    assert run(spec(weights=str(here))).run_id != tuned.run_id


def rename(folder: Path, new_name: Callable[[str], str]) -> None:
    for path in sorted(folder.rglob("*.png")):
        path.rename(path.with_name(new_name(path.name)))


def test_files_that_are_called_otherwise_are_the_same_copy(mine: Path) -> None:
    store = Store()
    first = run(spec(), store)
    rename(mine, lambda name: f"n_{name}")
    assert run(spec(), store) == first
    second = run(spec(seed=1), store)
    assert second.inputs == first.inputs
    assert verify(store).ok
    assert compare(store, first.run_id, second.run_id).n == first.n_scored
    joined = build_ensemble(store, protocol_for("folder:mine", "fer7"))
    assert joined.spec["n_members"] == 2
    assert verify(store).ok


def test_images_in_another_order_are_dealt_out_otherwise(mine: Path) -> None:
    store = Store()
    first = run(spec(), store)
    rename(mine, lambda name: f"{9 - int(name[-5])}{name}")
    again = run(spec(), store)
    assert again.data["checksums"] == first.data["checksums"]
    assert again.run_id != first.run_id
    assert run_folder(spec(), again) != run_folder(spec(), first)
    # samples of the two cannot be paired by their places
    assert len(by_copy(protocol_for("folder:mine", "fer7"), [first, again])) == 2
    assert verify(store).ok


def test_people_who_are_called_otherwise_are_another_result(mine: Path) -> None:
    store, options = Store(), {"identity": r"([a-z]+_\d)_"}
    first = run(spec(dataset_options=options), store)
    assert first.data["people"]["n_in_several_splits"] == 0
    rename(mine / "test", lambda name: name.replace("test_3", "train_1"))
    second = run(spec(dataset_options=options), store)
    assert second.data["people"]["n_in_several_splits"] == 1
    assert second.run_id != first.run_id
    # the network is the same
    assert second.training["weights_sha256"] == first.training["weights_sha256"]
    assert verify(store).ok


def test_a_suite_tests_the_network_of_the_data_that_are_there(
    mine: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for split in ("train", "validation", "test"):
        add_faces(home / "data" / "other", split, 2, 5)
    settings = (
        "dataset: 'folder:mine', model_options: {width: 4}, epochs: 1, batch_size: 14, image_size: 48, precision:"
        " 32-true"
    )
    (home / "s.yaml").write_text(f"runs:\n  - {{{settings}, seed: 0, test_on: ['folder:other']}}\n")
    store, plan = Store(), read_plan(home / "s.yaml", {"accelerator": "cpu", "workers": 0})

    def do_all() -> list[str]:
        carry_out_suite(home / "s.yaml", {"accelerator": "cpu", "workers": 0})
        found = todo(plan, store)
        assert (found.runs, found.tests) == ([], [])
        return [record.run_id for record in store.records("other-fer7")]

    assert len(do_all()) == 1
    add_faces(mine, "train", 1, 77)
    (trained,) = (record for record in (do_all(), store.records("mine-fer7"))[1] if record.data["n"]["train"] == 35)
    tests = [record.run_id for record in store.records("other-fer7")]
    assert f"{trained.run_id}-on-other" in tests
    for path in (store.results / "other-fer7").rglob("*.npz"):
        path.write_bytes(b"damaged")
    assert len(todo(plan, store).tests) == 1
    do_all()


def test_a_checkpoint_of_another_training_is_not_scored(mine: Path) -> None:
    store = Store()
    first, other = run(spec(), store), run(spec(seed=1), store)
    best = run_folder(spec(), first) / "best.ckpt"
    content = best.read_bytes()
    best.write_bytes((run_folder(spec(seed=1), other) / "best.ckpt").read_bytes())
    store.path(first.protocol, first.model, first.run_id).unlink()
    with pytest.raises(WeightsError, match="is not the checkpoint that its training ended with"):
        run(spec(), store)
    best.write_bytes(content)
    assert run(spec(), store).metrics == first.metrics


def test_a_run_is_not_its_own_test_on_another_copy(mine: Path) -> None:
    store = Store()
    record, execution = run(spec(), store), Execution(accelerator="cpu", workers=0)
    assert evaluate(store, record.run_id, "folder:mine", execution=execution) == record
    add_faces(mine, "test", 1, 9)
    with pytest.raises(RecordError, match="was tested on another copy of folder:mine"):
        evaluate(store, record.run_id, "folder:mine", execution=execution)
    mine.rename(mine.with_name("gone"))
    assert evaluate(store, record.run_id, "folder:mine", execution=execution) == record


def test_a_fold_of_other_people_is_not_what_was_trained_on(mine: Path, home: Path) -> None:
    for path in mine.rglob("*.png"):
        target = home / "data" / "persons" / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    rename(home / "data" / "persons", lambda name: f"S{name[-5]}_{name}")
    store, options = Store(), {"identity": r"(S\d)_", "folds": 2, "fold_by": "identity", "fold": 0}
    record = run(spec(dataset="folder:persons", dataset_options=options), store)
    assert (
        score_on_train(store, record.run_id, Execution(accelerator="cpu", workers=0)).training["on_train"]["n"]
        == record.data["n"]["train"]
    )
    rename(home / "data" / "persons", lambda name: name.replace("S0_", "S5_").replace("S1_", "S7_"))
    with pytest.raises(RecordError, match="who is kept together has changed"):
        score_on_train(store, record.run_id, Execution(accelerator="cpu", workers=0))


def test_a_record_written_meanwhile_on_other_data_is_kept(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, ours = Store(), predict
    meanwhile: list[Record] = []

    def slow(*args: object) -> object:
        if not meanwhile:
            # as another process would, while this one trains
            draft = begin_record(spec(), protocol_for("folder:mine", "fer7"), spec().run_id())
            meanwhile.append(store.put(draft.model_copy(update={"inputs": {"train": "other", "test": "other"}})))
        return ours(*args)  # type: ignore[arg-type]

    monkeypatch.setattr("fer_bench.training.run.predict", slow)
    record = run(spec(), store)
    assert record.run_id.startswith(f"{spec().run_id()}-x")
    assert record.row == record.run_id.replace("-s0", "")
    assert store.get(meanwhile[0].run_id) == meanwhile[0]
    assert run(spec(), store) == record


def test_heads_on_a_network_that_was_trained_anew_are_not_those_on_the_old_one(mine: Path, home: Path) -> None:
    store = Store()
    record = run(spec(), store)
    settings = ProbeSettings(
        dataset="folder:mine",
        task="fer7",
        streams=(f"features:run:{record.run_id}",),
        lr=(0.01,),
        loss=("cross_entropy",),
        seeds=(0,),
        max_epochs=1,
    )
    heads = run_grid(settings, store)
    (home / "runs").rename(home / "gone")
    assert run_grid(settings, store) == heads
    store.amend(record.model_copy(update={"training": record.training | {"weights_sha256": "f" * 64}}))
    with pytest.raises(WeightsError, match=r"the checkpoint of run .* is not at"):
        run_grid(settings, store)
