from __future__ import annotations

import shutil

import numpy as np
import pytest

from fer_bench.cli.audit import report
from fer_bench.data.gaps import with_gaps
from fer_bench.data.provenance import data_facts
from fer_bench.data.samples import Samples
from fer_bench.datasets.load import build_datamodule
from fer_bench.protocols import protocol_for
from fer_bench.spec import RunSpec
from tests.fakes import write_class_folders


def samples_of(split, targets, **columns):
    n = len(split)
    return Samples(
        np.arange(n).astype(str), np.zeros((n, 4, 4), np.uint8), np.array(split), targets, "none", columns=columns
    )


def test_classes_that_a_split_lacks_are_named_in_any_dataset():
    split = ["train"] * 7 + ["validation"] * 2 + ["test"] * 7
    labels = np.array([*range(7), 0, 3, *range(1, 7), 6])
    notes = with_gaps(samples_of(split, {"fer7": labels}), "fer7").notes
    assert notes == [
        (
            "validation has no sample of disgust, fear, sad, surprise, neutral: its scores, by which the epoch is"
            " chosen, are of the other classes"
        ),
        "test has no sample of angry: its scores are of the other classes",
    ]
    assert with_gaps(samples_of(split, {"fer7": labels}), "fer7", ("test",)).notes == notes[1:]


def test_values_that_do_not_vary_are_named():
    values = np.array([[0.1, 0.5], [0.2, 0.5], [0.3, 0.1], [0.3, 0.2], [0.5, 0.5], [0.4, 0.4]], dtype=np.float32)
    split = ["train", "train", "validation", "validation", "test", "test"]
    assert with_gaps(samples_of(split, {"va": values}), "va").notes == [
        "arousal is the same for all 2 samples of train: correlations with it are undefined or 0",
        "valence is the same for all 2 samples of validation: correlations with it are undefined or 0",
    ]


@pytest.fixture
def with_gap(tmp_path):
    for seed, (split, n) in enumerate((("train", 8), ("validation", 4), ("test", 4))):
        write_class_folders(tmp_path / "mine" / split, n, people=4, seed=seed)
    shutil.rmtree(tmp_path / "mine" / "validation" / "sad")
    return tmp_path


def test_audit_and_record_say_what_given_splits_lack_and_who_is_in_several(with_gap):
    spec = RunSpec(
        dataset="folder:mine", dataset_options={"identity": r"S(\d+)_"}, execution={"data_dir": str(with_gap)}
    )
    facts = data_facts(build_datamodule(spec), protocol_for("folder:mine", "fer7"))
    assert facts["notes"] == [
        "validation has no sample of sad: its scores, by which the epoch is chosen, are of the other classes",
        (
            "4 of 4 people are in more than one split (000, 001, 002, ...); 28 of 28 test samples are of people who are"
            " in train or validation too"
        ),
    ]
    assert facts["people"] == {"n": 4, "n_in_several_splits": 4, "n_test_samples_of_seen_people": 28}
    lines = list(report("folder:mine", "fer7", str(with_gap), 0, {"identity": r"S(\d+)_"}))
    assert [line.removeprefix("  note: ") for line in lines if "note: " in line] == facts["notes"]
    assert "  people: 4, 4 of them in more than one split" in lines


def test_people_whom_the_suite_keeps_together_are_counted_and_nothing_is_said(tmp_path):
    write_class_folders(tmp_path / "mine", 20, people=10)
    spec = RunSpec(
        dataset="folder:mine", dataset_options={"identity": r"S(\d+)_"}, execution={"data_dir": str(tmp_path)}
    )
    samples = build_datamodule(spec).read_samples
    assert samples.facts["people"] == {"n": 10, "n_in_several_splits": 0, "n_test_samples_of_seen_people": 0}
    assert not any("more than one split" in note for note in samples.notes)
