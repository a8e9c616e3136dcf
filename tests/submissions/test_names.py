"""Which sample a name means: never another one, whatever folders, endings and spellings a program gives back."""

from __future__ import annotations

import numpy as np
import pytest

from fer_bench.class_sets import label_set_of, read_classes
from fer_bench.errors import FerBenchError
from fer_bench.labels import FER7
from fer_bench.protocols import PROTOCOLS, own_task, protocol_for
from fer_bench.submissions.answers import read_answers
from fer_bench.submissions.ids import find, image_digest, place
from fer_bench.submissions.questions import Questions
from fer_bench.submissions.tables import read_table
from fer_bench.submissions.template import write_template
from tests.submissions.files import PROTOCOL, write

IDS = [
    "test/happy/1.png",
    "test/happy/same.png",
    "test/happy/2.png",
    "test/sad/1.jpg",
    "test/sad/1.png",
    "test/sad/same.jpg",
    "test/sad/ lead.png",
    "test/sad/\u00fc.png",
    "test/sad/deadbeefdeadbeef.png",
    "test/neutral/e.PNG",
    "test/neutral/17.0.png",
]


@pytest.mark.parametrize(
    ("name", "identifier"),
    [
        ("test/sad/1.jpg", "test/sad/1.jpg"),
        ("sad/1.jpg", "test/sad/1.jpg"),
        ("1.jpg", "test/sad/1.jpg"),
        ("2", "test/happy/2.png"),
        ("2.png", "test/happy/2.png"),
        ("out/images/test/happy/2.png", "test/happy/2.png"),
        ("C:\\out\\happy\\2.png", "test/happy/2.png"),
        ("/data/faces/2.jpeg", "test/happy/2.png"),
        ("e.png", "test/neutral/e.PNG"),
        ("lead.png", "test/sad/ lead.png"),
        ("u\u0308.png", "test/sad/\u00fc.png"),
        ("deadbeefdeadbeef", "test/sad/deadbeefdeadbeef.png"),
        ("17.0.png", "test/neutral/17.0.png"),
    ],
)
def test_a_name_that_means_one_sample(name, identifier):
    assert find([name], IDS) == [IDS.index(identifier)]


@pytest.mark.parametrize("name", ["1", "1.png", "out/1.png", "same", "same.bmp"])
def test_a_name_that_may_mean_several(name):
    assert find([name], IDS) == [-2]


@pytest.mark.parametrize(
    "name", ["train/happy/2.png", "data/train/happy/2.png", "sad/2.png", "Training/2.png", "val/images/2.png", "3", ""]
)
def test_a_name_of_another_split_or_class_means_none(name):
    assert find([name], IDS) == [-1]


def test_every_id_means_itself():
    assert find(IDS, IDS) == list(range(len(IDS)))


def placed(path, ids, images=None):
    answers = read_answers(read_table(path), PROTOCOLS[PROTOCOL])
    return [FER7.names[i] for i in answers.outputs[place(answers, ids, images)].argmax(axis=1)]


def test_two_columns_with_names_must_agree(tmp_path):
    columns = {"id": ["a/1.png", "a/2.png"], "file": ["out/1.png", "out/2.png"], "class": ["happy", "sad"]}
    assert placed(write(tmp_path / "a.csv", columns), ["a/2.png", "a/1.png"]) == ["sad", "happy"]
    columns["file"] = ["?", "out/1.png"]
    with pytest.raises(FerBenchError, match=r"line 3: 'a/2\.png' and, in column 'file', 'out/1\.png' are two samples"):
        placed(write(tmp_path / "b.csv", columns), ["a/2.png", "a/1.png"])


def test_a_picture_that_occurs_twice_is_answered_alike_in_any_order(tmp_path):
    images = [np.full((4, 4), i, dtype=np.uint8) for i in (3, 3, 5)]
    digests = [image_digest(image) for image in images]
    ids = ["0", "1", "2"]
    alike = write(tmp_path / "a.csv", {"sha256": digests, "class": ["happy", "happy", "sad"]})
    assert placed(alike, ids, images) == ["happy", "happy", "sad"]
    for classes in (["happy", "sad", "sad"], ["sad", "happy", "sad"]):
        with pytest.raises(FerBenchError, match="line 3: the same picture is answered differently than in line 2"):
            placed(write(tmp_path / "b.csv", {"sha256": digests, "class": classes}), ids, images)


def test_names_that_look_like_digests_are_names_first(tmp_path):
    ids = ["x/29a31ebf1567693f4644c8ba.jpg", "x/0123456789abcdef.jpg"]
    names = ["0123456789abcdef", "29a31ebf1567693f4644c8ba"]
    assert placed(write(tmp_path / "a.csv", {"file": names, "class": ["happy", "sad"]}), ids) == ["sad", "happy"]


def test_labels_beside_predictions_are_never_taken_for_them(tmp_path):
    columns = {"id": ["0", "1"], "class": ["happy", "sad"], "prediction": ["sad", "sad"]}
    with pytest.raises(FerBenchError, match="'class' and 'prediction' both could be the answers"):
        placed(write(tmp_path / "a.csv", columns), ["0", "1"])


def test_a_prediction_must_be_the_most_probable_class(tmp_path):
    columns = {"id": ["0", "1"]} | {name: [0.05, 0.1] for name in FER7.names}
    columns |= {"happy": [0.7, 0.4], "prediction": ["Happiness", "happy"], "class": ["sad", "sad"]}
    assert placed(write(tmp_path / "a.csv", columns), ["0", "1"]) == ["happy", "happy"]
    columns["happy"], columns["sad"] = columns["sad"], columns["happy"]
    with pytest.raises(FerBenchError, match=r"line 2: prediction is Happiness, and the most probable class is sad \("):
        placed(write(tmp_path / "b.csv", columns), ["0", "1"])


def test_names_of_columns_as_bytes(tmp_path):
    path = tmp_path / "a.npz"
    outputs = np.eye(7)[[3, 4]]
    names = np.array([name.encode() for name in FER7.names])
    np.savez(path, id=np.array([b"0", b"1"]), probabilities=outputs, classes=names)
    assert placed(path, ["0", "1"]) == ["happy", "sad"]


def test_a_class_may_be_called_like_a_column_of_ids(tmp_path):
    protocol = protocol_for("folder:mine", own_task(label_set_of(read_classes(["file", "id", "image"]))).name)
    questions = Questions(protocol, "folder:mine", np.array(["0", "1"]), np.array([0, 1]), {}, None, {}, "a test")
    path = tmp_path / "a.csv"
    assert write_template(questions, path) == 2
    assert path.read_text().splitlines()[0] == "ids,file,id,image"
    path.write_text("ids,file,id,image\n0,0,1,0\n1,1,0,0\n")
    answers = read_answers(read_table(path), protocol)
    assert answers.names == ["0", "1"]
    assert answers.outputs.argmax(axis=1).tolist() == [1, 0]


@pytest.mark.parametrize("name", ["a.npz", "a.parquet", "a.tsv", "a"])
def test_a_template_is_called_what_it_is(tmp_path, name):
    protocol = PROTOCOLS[PROTOCOL]
    questions = Questions(protocol, "fer2013", np.array(["0"]), np.array([0]), {}, None, {}, "a test")
    with pytest.raises(FerBenchError, match="written as CSV"):
        write_template(questions, tmp_path / name)
    assert not list(tmp_path.iterdir())
