"""A network on its own training images: plain images, the kept epoch, every bit of it verified."""

import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from fer_bench.cli.main import app
from fer_bench.datasets.load import build_datamodule
from fer_bench.errors import RecordError
from fer_bench.leaderboard.verify import verify
from fer_bench.report.rows import build_section
from fer_bench.results.record import Record, unpack_outcomes
from fer_bench.results.store import Store
from fer_bench.scoring.regression import ccc
from fer_bench.training.loading import load_run
from fer_bench.training.run import run
from fer_bench.training.train_accuracy import score_on_train
from tests.plain_bootstrap import mean_over_dimensions


def test_the_accuracy_is_that_of_the_kept_network_on_plain_images(finished):
    spec, before, store = finished
    record = score_on_train(store, before.run_id)
    trained = load_run(store, before.run_id)
    datamodule = build_datamodule(spec)
    datamodule.setup()
    dataset = datamodule.split_dataset("train")
    with torch.inference_mode():
        outputs = trained.task.predict_step(
            {"image": torch.stack([dataset.__getitems__([(0, i)])["image"][0] for i in range(len(dataset))])}
        )
    right = outputs.argmax(dim=1).numpy() == datamodule.targets("train")
    found = record.training["on_train"]
    assert found["n"] == len(right) == before.data["n"]["train"]
    assert found["accuracy"] == right.mean()
    np.testing.assert_array_equal(unpack_outcomes(found["outcomes"], len(right)), right)
    assert store.get(before.run_id) == record
    assert record.model_copy(update={"training": before.training}) == before, "nothing else of the record changes"
    assert verify(store).ok


@pytest.mark.parametrize(("key", "value"), [("accuracy", 0.999), ("outcomes", "AAAA"), ("n", 80)])
def test_what_does_not_follow_from_the_outcomes_is_found(finished, key, value):
    _, source, store = finished
    record = score_on_train(store, source.run_id)
    path = store.path(record.protocol, record.model, record.run_id)
    content = json.loads(path.read_text())
    content["training"]["on_train"][key] = value
    path.write_text(json.dumps(content))
    (difference,) = verify(store).differences
    assert difference.key == "training.on_train.accuracy"


def test_other_images_than_those_trained_on_are_refused(finished):
    _, source, store = finished
    checksums = source.data["checksums"] | {"train": "0" * 64}
    store.amend(source.model_copy(update={"data": source.data | {"checksums": checksums}}))
    with pytest.raises(RecordError, match="was trained on other images"):
        score_on_train(store, source.run_id)
    assert "on_train" not in store.get(source.run_id).training


@pytest.mark.parametrize("task", ["va", "valence"])
def test_values_have_a_ccc(home, tiny, task):
    spec, store = tiny(task=task, loss="mse", epochs=1), Store()
    record = score_on_train(store, run(spec, store).run_id)
    trained = load_run(store, record.run_id)
    datamodule = build_datamodule(spec)
    datamodule.setup()
    dataset = datamodule.split_dataset("train")
    with torch.inference_mode():
        outputs = trained.task.predict_step(
            {"image": dataset.__getitems__([(0, i) for i in range(len(dataset))])["image"]}
        )
    found = record.training["on_train"]
    assert found["ccc"] == pytest.approx(
        mean_over_dimensions(ccc, datamodule.targets("train"), outputs.numpy()), abs=1e-5
    )
    assert verify(store).ok
    store.amend(record.model_copy(update={"training": record.training | {"on_train": found | {"ccc": 0.9}}}))
    assert [difference.key for difference in verify(store).differences] == ["training.on_train.ccc"]


def test_the_command_line_and_the_report_say_it(finished):
    _, source, store = finished
    result = CliRunner().invoke(app, ["evaluate", source.run_id, "--train", "--accelerator", "cpu"])
    record: Record = store.get(source.run_id)
    found, n = (record.training["on_train"][key] for key in ("accuracy", "n"))
    assert f"accuracy {found:.4f} on {n} training samples" in result.output
    section = build_section(store, load_run(store, source.run_id).protocol, [record])
    (text,) = [text for name, text in section.facts if name == "training images"]
    assert text.startswith(
        f"accuracy {100 * found:.2f} % without augmentation, {100 * (found - record.metrics['accuracy']):.2f} points"
        " above test"
    )
