"""Scores by group from stored predictions: attributes of the dataset, of its images and of the predictions; what is
missing is said."""

import shutil

import cv2
import numpy as np
import pytest

from fer_bench.cli.robustness import _lines_by_group
from fer_bench.data.samples import Samples
from fer_bench.datasets.load import build_datamodule
from fer_bench.datasets.synthfaces import read_synthfaces
from fer_bench.errors import MissingDataError, RecordError, UnknownNameError
from fer_bench.faces.attributes import EMPTY, by_column, by_frequency, by_pose, columns_of, thirds
from fer_bench.labels import FER7
from fer_bench.predictions import Predictions
from fer_bench.protocols import protocol_for
from fer_bench.results.protocol import protocol_of
from fer_bench.results.record import Record, pack_outcomes
from fer_bench.results.store import Store
from fer_bench.scoring.by_group import score_groups
from fer_bench.scoring.score import correct, score
from fer_bench.spec import Execution, RunSpec
from fer_bench.studies.by_group import ByGroup, score_by
from tests.fakes import smooth_images

# The header of a published file, and a column of numbers beside it.
HEADER = "user.id,image,emotion,age"


@pytest.fixture
def table(own_folders):
    """A table with attributes of its own, and the record of a run on it."""
    folder = own_folders / "data" / "mine"
    folder.mkdir(parents=True)
    lines = [HEADER]
    for i, image in enumerate(smooth_images(280)):
        cv2.imwrite(str(folder / f"{i:03d}.png"), image)
        lines.append(
            f"{'dwdii' if i % 3 else '628'},{i:03d}.png,{FER7.names[i // 2 % 7]},{'' if i == 279 else i % 60 + 10}"
        )
    (folder / "mine.csv").write_text("\n".join(lines) + "\n")
    execution = Execution(data_dir=str(folder), table_file=str(folder / "mine.csv"))
    spec = RunSpec.model_validate(
        {"dataset": "table:mine", "task": "fer7", "dataset_options": {"test": 0.5}, "execution": execution}
    )
    samples = build_datamodule(spec).read_samples
    at = samples.where("test")
    targets = samples.targets["fer7"][at]
    # Right for one user, wrong for the other.
    of_user = samples.columns["attribute:user.id"][at]
    outputs = np.eye(7, dtype=np.float32)[np.where(of_user == "628", targets, (targets + 1) % 7)]
    predictions = Predictions(samples.ids[at], targets, outputs)
    protocol, store = protocol_for("table:mine", "fer7"), Store()
    record = Record(
        run_id="r-s0",
        row="r",
        protocol=protocol.name,
        task="fer7",
        dataset="table:mine",
        model="net",
        metrics=score(protocol, predictions),
        n_scored=len(at),
        outcomes=pack_outcomes(correct(predictions)),
        data={"checksums": samples.checksums},
        spec={"dataset": "table:mine", "task": "fer7", "dataset_options": {"test": 0.5}},
    )
    return store, store.put(record, {"test": predictions}), folder


def test_the_columns_of_a_table_are_attributes(table):
    store, record, folder = table
    found = score_by(store, record.run_id, "user.id", Execution(data_dir=str(folder)))
    assert {group.name: group.value for group in found.scores.groups} == {"628": 1.0, "dwdii": 0.0}
    assert (found.scores.gap.best, found.scores.gap.worst, found.scores.gap.difference) == ("628", "dwdii", 1.0)
    ages = score_by(store, record.run_id, "age", Execution(data_dir=str(folder)))
    assert len(ages.scores.groups) in (3, 4), "numbers come in thirds"
    assert sum(group.n for group in ages.scores.groups) == record.n_scored


def test_an_unknown_attribute_lists_what_there_is(table):
    store, record, folder = table
    with pytest.raises(UnknownNameError) as error:
        score_by(store, record.run_id, "users", Execution(data_dir=str(folder)))
    for name in ("age", "brightness", "class", "contrast", "frequency", "pose", "sharpness", "user.id"):
        assert name in str(error.value)


def test_without_the_dataset_what_is_stored_still_works(table):
    store, record, folder = table
    shutil.rmtree(folder)
    assert len(score_by(store, record.run_id, "class").scores.groups) == 7
    with pytest.raises(
        MissingDataError, match=r"--by sharpness needs the dataset of run r-s0.*The stored predictions alone know class"
    ):
        score_by(store, record.run_id, "sharpness", Execution(data_dir=str(folder)))


def test_another_copy_is_refused(table):
    store, record, folder = table
    cv2.imwrite(str(folder / str(store.predictions(record).ids[0])), np.zeros((48, 48), np.uint8))
    with pytest.raises(RecordError, match="another copy of table:mine"):
        score_by(store, record.run_id, "brightness", Execution(data_dir=str(folder)))


def test_rare_and_frequent_classes():
    found = by_frequency(np.array([0, 1, 2, 2]), np.array([5, 100, 50]), ("a", "b", "c"))
    assert found.groups.tolist() == ["rare: a", "frequent: b", "middle: c", "middle: c"]
    assert found.names == ["rare: a", "middle: c", "frequent: b"]
    assert by_frequency(np.array([0, 1]), np.array([5, 1]), ("a", "b")).groups.tolist() == ["frequent: a", "rare: b"]


def test_columns_numbers_and_what_is_missing():
    values = np.array(["", *map(str, range(30))])
    found = by_column("age", values)
    assert found.names[-1] == EMPTY
    assert [int((found.groups == name).sum()) for name in found.names] == [10, 10, 10, 1]
    few = by_column("camera", np.array(["10", "9", "10"]))
    assert few.names == ["9", "10"], "few numbers are groups, in their order"
    ties = thirds("x", np.zeros(9), "")
    assert len(ties.names) == 1


def test_limits_of_large_numbers_are_whole():
    found = by_column("born", np.repeat(np.arange(1955, 2000), 2))
    assert found.names == ["low (to 1970)", "middle (to 1984)", "high (above)"]
    assert thirds("x", np.array([0.123456, 0.23456, 0.5]), "").names[0] == "low (to 0.198)"


def test_people_who_have_numbers_are_people_and_no_amounts():
    values = np.arange(60) // 2 + 9
    for name in ("identity", "clip", "photo"):
        found = by_column(name, values)
        assert found.names == [str(number) for number in range(9, 39)], "each, in the order of the numbers"
    assert len(by_column("frame", values).names) == 3


def test_of_many_small_groups_the_largest_are_listed(table):
    store, record, _ = table
    found = score_by(store, record.run_id, "class")
    people = np.array([f"p{max(i - 5, 0) // 2:03d}" for i in range(found.scores.n)])
    members = by_column("person", people).members
    assert len(members) > 24
    scores = score_groups(protocol_of(record), store.predictions(record), members, "accuracy")
    lines = _lines_by_group(ByGroup(record, by_column("person", people), scores))
    shown = [line for line in lines if line.endswith("n < 20")]
    assert len(shown) == 24
    assert shown[0].split()[:2] == ["p000", "7"]
    assert any(f"{len(members) - 24} more groups" in line for line in lines)


def test_folders_and_columns_of_samples():
    samples = Samples(
        np.array(["test/happy/a.png", "test/sad/b.png"]), smooth_images(2), np.array(["test"] * 2), {}, "fake"
    )
    samples.columns = {
        "row": np.arange(2),
        "landmarks": np.zeros((2, 68, 2)),
        "clip": np.array(["c", "d"]),
        "attribute:clip": np.array(["x", "y"]),
    }
    found = columns_of(samples)
    assert set(found) == {"clip", "folder"}
    assert found["clip"].tolist() == ["c", "d"]
    assert found["folder"].tolist() == ["test/happy", "test/sad"]


def test_pose_is_read_off_the_landmarks(small_synth):
    samples = read_synthfaces(small_synth)
    test = samples.select(samples.split == "test")
    points = np.array(test.columns["landmarks"], dtype=np.float32)
    middle = (points[:, 36] + points[:, 45]) / 2
    # The nose moves to one side by a growing share of the eyes' distance.
    points[:, 30] = middle + np.linspace(0, 0.3, len(points))[:, None] * (points[:, 45] - points[:, 36])
    points[0] = np.nan
    test.columns["landmarks"] = points
    found = by_pose(test, "synthfaces", None)
    assert found.groups[0] == "no face found"
    assert [name.split(" (")[0] for name in found.names] == ["frontal", "half turned", "most turned", "no face found"]
    assert found.groups[1].startswith("frontal")
    assert found.groups[-1].startswith("most turned")
