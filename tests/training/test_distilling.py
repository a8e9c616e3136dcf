"""Distillation: what the loss is, who may teach, what the record says, and that nothing is trained on answers of other
weights."""

import shutil

import pytest
import torch

from fer_bench.data import cache
from fer_bench.datasets.load import build_datamodule
from fer_bench.ensembles.build import build_ensemble
from fer_bench.errors import RecordError, SpecError, WeightsError
from fer_bench.protocols import protocol_for
from fer_bench.results.inputs import TEACHER, find_done
from fer_bench.results.store import Store
from fer_bench.spec import RunSpec
from fer_bench.tasks.distilling import Distilling, DistillingTask
from fer_bench.training import hardware
from fer_bench.training.build import build_task, check_names
from fer_bench.training.loading import load_run
from fer_bench.training.run import run
from fer_bench.training.teachers import find_teachers, require_same_data, teach
from tests.training.conftest import SMALL, same_weights
from tests.training.test_resume import StopError, stop_in_epoch

PROTOCOL = protocol_for("synthfaces", "fer7")


@pytest.fixture(scope="module")
def taught(tmp_path_factory, cache, tiny):
    """Two teachers and what they made of it; for tests that only look."""
    folder = tmp_path_factory.mktemp("teachers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_BENCH_CACHE", str(cache))
        patch.setenv("FER_BENCH_RUNS", str(folder / "runs"))
        store = Store(folder / "boards")
        teachers = [run(tiny(epochs=1, seed=seed, lr=0.004), store) for seed in (5, 6)]
    return folder, teachers


@pytest.fixture
def school(taught, home, monkeypatch):
    """The teachers, where this test may change them."""
    folder, teachers = taught
    shutil.copytree(folder / "runs", home / "runs")
    shutil.copytree(folder / "boards", home / "boards")
    monkeypatch.setenv("FER_BENCH_CACHE", str(home / "cache"))
    return Store(), teachers


def student(tiny, *ids, options=None, **settings):
    options = {"teachers": list(ids), "temperature": 2.0, "alpha": 0.5, **(options or {})}
    return tiny(method="distill", method_options=options, **{"epochs": 1, **settings})


def test_the_loss_is_hintons():
    spec = RunSpec(
        method="distill", method_options={"teachers": "abc-s0", "temperature": 3.0, "alpha": 0.6}, label_smoothing=0.1
    )
    probabilities = torch.randn(4, 7).softmax(dim=1)
    task = build_task(spec, PROTOCOL, native_size=48, taught=probabilities)
    logits, target = torch.randn(2, 7), torch.tensor([1, 4])
    columns = task.columns({"image": torch.zeros(2, 1, 48, 48), "target": target, "index": torch.tensor([3, 0])})
    assert torch.equal(columns["taught"], probabilities[[3, 0]])
    hard = torch.nn.functional.cross_entropy(logits, target, label_smoothing=0.1)
    own = (logits / 3).log_softmax(dim=1)
    soft = (columns["taught"] * (columns["taught"].log() - own)).sum(dim=1).mean()
    torch.testing.assert_close(task.criterion(logits, columns), 0.4 * hard + 0.6 * 9 * soft)


def test_mixed_images_have_mixed_teachers():
    spec = RunSpec(method="distill", method_options={"teachers": "abc-s0"}, mixup=1.0)
    task = build_task(spec, PROTOCOL, native_size=48, taught=torch.randn(6, 7).softmax(dim=1)).eval()
    batch = {
        "image": torch.randint(0, 256, (3, 1, 48, 48), dtype=torch.uint8),
        "target": torch.tensor([0, 1, 2]),
        "index": torch.tensor([4, 2, 1]),
    }
    prepared = task.prepare(batch, 0)
    assert torch.equal(prepared.partners["taught"], task.taught[[1, 4, 2]])
    loss, logits = task.loss_of(prepared)
    parts = task.criterion(logits, prepared.targets), task.criterion(logits, prepared.partners)
    torch.testing.assert_close(loss, prepared.share * parts[0] + (1 - prepared.share) * parts[1])


def test_teachers_answer_both_views_at_the_temperature(school, tiny, home):
    store, teachers = school
    spec = student(tiny, *[record.run_id for record in teachers])
    data = build_datamodule(spec)
    device = hardware.resolve(spec)
    found = teach(spec, find_teachers(spec, store), data, device, {"train": "x"})
    expected = []
    for record in teachers:
        task = load_run(store, record.run_id).task
        images = torch.cat([batch["image"] for batch in data.predict_loader("train")])
        with torch.inference_mode():
            expected += [(task(view).float() / 2).softmax(dim=1) for view in (images, images.flip(3))]
    assert found.shape == (len(data.targets("train")), 7)
    torch.testing.assert_close(found, torch.stack(expected).mean(dim=0), atol=1e-5, rtol=1e-4)


def test_a_student_names_its_teachers_and_learns_from_them(school, tiny, home):
    _, teachers = school
    ids = [record.run_id for record in teachers]
    record = run(student(tiny, *ids))
    facts = record.training["teachers"]
    assert [one["run_id"] for one in facts] == ids
    assert facts[0]["test_accuracy"] == teachers[0].metrics["accuracy"]
    assert facts[0]["validation_accuracy"] == teachers[0].validation_metrics["accuracy"]
    assert facts[0]["weights_sha256"] == teachers[0].training["weights_sha256"]
    assert record.inputs[TEACHER + ids[0]] == teachers[0].training["weights_sha256"][:16]
    assert record.caveats == []
    assert f"distilled from {ids[0]}, {ids[1]}" in record.notes
    # Its network is one like any other.
    assert isinstance(load_run(Store(), record.run_id).task, DistillingTask)
    alone = run(tiny(epochs=1))
    assert alone.training["weights_sha256"] != record.training["weights_sha256"]


def test_answers_are_asked_for_once(school, tiny, monkeypatch, capsys):
    _, teachers = school
    run(student(tiny, teachers[0].run_id))
    assert "training images, once for all students" in capsys.readouterr().out
    built = []
    cached = cache.cached
    monkeypatch.setattr(
        cache, "cached", lambda name, key, build: cached(name, key, lambda: built.append(name) or build())
    )
    run(student(tiny, teachers[0].run_id, seed=1, options={"temperature": 5.0}))
    assert built == []


def test_a_teacher_that_was_trained_anew_makes_another_run(school, tiny):
    store, teachers = school
    spec = student(tiny, teachers[0].run_id)
    first = run(spec)
    assert run(spec).created == first.created
    changed = teachers[0].model_copy(update={"training": teachers[0].training | {"weights_sha256": "0" * 64}})
    store.put(changed, {split: store.predictions(teachers[0], split) for split in ("validation", "test")})
    with pytest.raises(WeightsError, match=r"not the checkpoint that run .* was recorded with"):
        run(spec)
    # Where nobody looks at the teachers, the settings and the data decide.
    data = {name: value for name, value in first.inputs.items() if not name.startswith(TEACHER)}
    assert find_done(store, first.protocol, first.model, spec.run_id(), data) is not None


def test_a_student_that_is_done_needs_no_weights_of_its_teachers(school, tiny, home):
    _, teachers = school
    spec = student(tiny, teachers[0].run_id)
    record = run(spec)
    shutil.rmtree(home / "runs")
    assert run(spec).created == record.created


def test_a_student_that_is_done_needs_no_records_of_its_teachers(school, tiny, home):
    store, teachers = school
    spec = student(tiny, teachers[0].run_id)
    record = run(spec)
    (store.folder(teachers[0]) / f"{teachers[0].run_id}.json").unlink()
    assert run(spec).created == record.created
    with pytest.raises(RecordError, match="no record matches"):
        run(spec, force=True)
    with pytest.raises(RecordError, match="no record matches"):
        run(spec.model_copy(update={"seed": 5}))


def test_an_interrupted_student_resumes_to_the_same_weights(school, tiny, home, monkeypatch):
    _, teachers = school
    spec = student(tiny, teachers[0].run_id, epochs=2, mixup=0.4)
    folder = home / "runs" / spec.training_id()
    straight = run(spec)
    wanted = torch.load(folder / "last.ckpt", weights_only=True)["state_dict"]
    assert not any("taught" in name for name in wanted)
    shutil.rmtree(folder)
    # What was answered is asked for again: the same answers.
    shutil.rmtree(home / "cache" / "teachers")
    Store().path(straight.protocol, straight.model, straight.run_id).unlink()
    with monkeypatch.context() as patch, pytest.raises(StopError):
        stop_in_epoch(patch, 1)
        run(spec)
    record = run(spec)
    assert record.training["resumed"]
    same_weights(wanted, torch.load(folder / "last.ckpt", weights_only=True)["state_dict"])


def test_caveats_of_teachers_are_the_students(school, tiny, home):
    store, teachers = school
    predictions = {split: store.predictions(teachers[0], split) for split in ("validation", "test")}
    store.put(teachers[0].model_copy(update={"caveats": ["selected on test"]}), predictions)
    assert run(student(tiny, teachers[0].run_id)).caveats == ["selected on test"]


def test_a_run_on_other_labels_is_marked(home, tiny):
    file = home / "crowd.csv"
    file.write_text("id,label,confidence\n00000,happy,1\n00001,sad,1\n")
    from fer_bench import spec as specs

    spec = specs.build({**tiny(epochs=1).model_dump(), "labels": str(file), "execution": {"accelerator": "cpu"}})
    assert run(spec).caveats == ["extra labels"]


def refused(store, spec, error, message):
    with pytest.raises(error, match=message):
        find_teachers(spec, store)
    before = len(store.files())
    with pytest.raises(error, match=message):
        run(spec)
    assert len(store.files()) == before


def test_who_cannot_teach_is_named_before_any_training(school, tiny, home):
    store, teachers = school
    ids = [record.run_id for record in teachers]
    refused(
        store, student(tiny, "0000000000-s0"), RecordError, "method_options.teachers: no record matches '0000000000-s0'"
    )
    refused(
        store,
        student(tiny, f"synthfaces-fer7/five_layer_cnn/{ids[0]}"),
        SpecError,
        f"is not a whole run id.*Did you mean {ids[0]}",
    )
    refused(
        store, student(tiny, ids[0], task="fer8"), SpecError, "has other classes: its task is fer7, this run's is fer8"
    )
    refused(
        store,
        student(tiny, ids[0], dataset="fer2013", dataset_options={}),
        SpecError,
        "is judged by synthfaces-fer7, this run by fer2013-fer7",
    )
    ensemble = build_ensemble(store, PROTOCOL, ids).run_id
    refused(store, student(tiny, ensemble), SpecError, rf"is an ensemble.*as teachers: \[{ids[0][:10]}")
    for changes, message in (
        ({"kind": "human"}, "is of kind 'human'"),
        ({"status": "nan"}, "has not been finished"),
        ({"training": {}}, "does not say which weights"),
        ({"data": teachers[0].data | {"folds": ["a", "b"]}}, "is a cross-validation: it has 2 networks"),
    ):
        store.put(teachers[0].model_copy(update=changes))
        refused(store, student(tiny, ids[0]), SpecError, message)


def test_a_teacher_of_other_images_is_refused(school, tiny):
    _, teachers = school
    spec = student(tiny, teachers[0].run_id, dataset_options=SMALL | {"n_train": 72})
    with pytest.raises(SpecError, match="was trained on another copy or fold of the data"):
        run(spec)
    # Of an older record, the splits that it states decide.
    require_same_data([teachers[0].model_copy(update={"inputs": {}})], teachers[0].inputs)
    with pytest.raises(SpecError, match="another copy or fold"):
        require_same_data([teachers[0]], teachers[0].inputs | {"folds": "0123456789abcdef"})


def test_weights_that_are_not_here_are_named(school, tiny, home):
    _, teachers = school
    shutil.rmtree(home / "runs")
    with pytest.raises(
        WeightsError, match=f"method_options.teachers: the checkpoint of run {teachers[0].run_id} is not at"
    ):
        run(student(tiny, teachers[0].run_id))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "teachers = None: method = 'distill' needs the ids"),
        ({"teachers": []}, "needs the ids"),
        ({"teachers": [3]}, "needs the ids"),
        ({"teachers": ["a-s0", ""]}, "needs the ids"),
        ({"teachers": ["a-s0", "a-s0"]}, "names a-s0 twice"),
        ({"teachers": "a-s0", "temperature": 0}, "temperature = 0: must be a number above 0"),
        ({"teachers": "a-s0", "alpha": 1.5}, "alpha = 1.5: must be a number above 0, up to 1"),
        ({"teachers": "a-s0", "alpha": True}, "alpha = True"),
        ({"teachers": "a-s0", "weight": 1}, "method_options.weight: there is no such option"),
    ],
)
def test_options_are_checked_before_any_data_are_read(options, message):
    with pytest.raises(SpecError, match=message):
        check_names(RunSpec(method="distill", method_options=options))


def test_values_have_no_teachers():
    with pytest.raises(SpecError, match="method = 'distill' means nothing for the values"):
        check_names(RunSpec(task="va", loss="mse", method="distill", method_options={"teachers": "a-s0"}))
    assert Distilling.of(RunSpec(method="distill", method_options={"teachers": "a-s0"})) == Distilling(
        ("a-s0",), 4.0, 0.7
    )


def test_teachers_without_a_method_that_asks_them_are_refused(tiny):
    with pytest.raises(SpecError, match=r"method_options.teachers with method = 'plain' changes nothing"):
        check_names(tiny(method_options={"teachers": ["1a2b3c4d5e-s0"]}))
