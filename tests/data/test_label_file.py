"""Labels from a file in the place of a dataset's own: which samples they meet, and what becomes of the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fer_bench import spec as specs
from fer_bench.data.label_file import match_ids, read_labels, relabel_training
from fer_bench.data.sample_names import find_samples, picture_names
from fer_bench.data.samples import Samples
from fer_bench.datasets.load import build_datamodule
from fer_bench.errors import BadDataError, MissingDataError, SpecError
from fer_bench.labels import FER7
from fer_bench.training.build import check_names

HEADER = "id,label,confidence\n"


def samples(ids: list[str], labels: list[int], split: list[str]) -> Samples:
    return Samples(
        np.array(ids),
        np.zeros((len(ids), 4, 4), np.uint8),
        np.array(split),
        {"fer7": np.array(labels)},
        "class folders",
    )


def write(path: Path, rows: str) -> Path:
    path.write_text(HEADER + rows)
    return path


def test_ids_first_then_names_of_pictures() -> None:
    assert find_samples(["00002", "x"], ["00001", "00002"]).tolist() == [1, -1]
    assert find_samples(["happy/00002.png", "00001.png", "sad/9.png"], ["00001", "00002"]).tolist() == [1, 0, -1]
    # class folders: ids are paths themselves, and the picture's class folder stands before them
    assert find_samples(["sad/train/sad/a.png"], ["train/happy/a.jpg", "train/sad/a.jpg"]).tolist() == [1]
    # where one name is an id, names are ids: nothing is guessed
    assert find_samples(["a.png", "sad/b.png"], ["a.png", "b"]).tolist() == [0, -1]


def test_ids_that_differ_in_their_ending_only_have_pictures_of_their_own() -> None:
    ids = ["a.jpg", "a.png", "b.jpg", "c", "v.1", "v.2", "d", "d.png"]
    names = picture_names(ids)
    assert names == ["a.jpg", "a.png", "b", "c", "v.1", "v.2", "d", "d.png"]
    assert find_samples([f"happy/{name}.png" for name in names], ids).tolist() == list(range(len(ids)))
    # what such a name would have meant is not guessed
    assert find_samples(["happy/a.png", "happy/b.png"], ids).tolist() == [-1, 2]


def test_training_labels_are_replaced_and_no_others(tmp_path: Path) -> None:
    data = samples(["a", "b", "c", "d", "e"], [0, 1, -1, 3, 4], ["train", "train", "train", "validation", "test"])
    # c has no class of its own; the crowd gives it one; b becomes contempt, which FER7 lacks
    relabel_training(data, "fer7", write(tmp_path / "crowd.csv", "a,angry,1\nb,contempt,0.9\nc,sad,0.5\n"))
    assert data.targets["fer7"].tolist() == [0, -1, FER7.index("sad"), 3, 4]
    facts = data.facts["labels"]
    assert (facts["file"], facts["n_train_named"], facts["n_train_changed"], facts["n_train_left_out"]) == (
        "crowd.csv",
        3,
        2,
        1,
    )
    # test and validation images are no training images, whatever the file says of them
    with pytest.raises(BadDataError, match="none of its 2 ids"):
        relabel_training(data, "fer7", write(tmp_path / "test.csv", "d,sad,1\ne,sad,1\n"))
    assert data.targets["fer7"].tolist()[3:] == [3, 4]
    with pytest.raises(SpecError, match="not one of classes"):
        relabel_training(data, "va", tmp_path / "crowd.csv")


def test_one_image_twice_is_refused(tmp_path: Path) -> None:
    labels = read_labels(write(tmp_path / "x.csv", "happy/a.png,happy,1\nsad/a.png,sad,1\n"), FER7)
    with pytest.raises(BadDataError, match="the same image"):
        match_ids(["a", "b"], labels, tmp_path / "x.csv")


def test_the_digest_of_the_file_is_part_of_the_run(tmp_path: Path) -> None:
    file = write(tmp_path / "crowd.csv", "00000,happy,1\n")
    with_labels = specs.build({"labels": str(file)})
    assert with_labels.run_id() != specs.build({}).run_id()
    copy = write(tmp_path / "elsewhere.csv", "00000,happy,1\n")
    assert specs.build({"labels": str(copy)}).run_id() == with_labels.run_id()
    # what a record says of the run builds the same run, without the file
    again = specs.build(with_labels.model_dump(mode="json", exclude={"execution"}))
    assert again.run_id() == with_labels.run_id()
    write(file, "00000,sad,1\n")
    assert specs.build({"labels": str(file)}).run_id() != with_labels.run_id()
    with pytest.raises(SpecError, match="has changed"):
        build_datamodule(with_labels)
    with pytest.raises(MissingDataError, match="there is no such file"):
        specs.build({"labels": str(tmp_path / "no.csv")})


def test_one_class_per_image_does_not_go_with_soft_targets(tmp_path: Path) -> None:
    file = write(tmp_path / "crowd.csv", "00000,happiness,1\n")
    with pytest.raises(SpecError, match="target_mode"):
        check_names(
            specs.build({"dataset": "ferplus", "task": "fer8", "labels": str(file), "target_mode": "probability"})
        )
