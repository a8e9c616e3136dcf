from __future__ import annotations

import csv
import gzip
import io
from itertools import islice

import numpy as np
import pandas as pd
import pytest

from fer_bench.datasets.fer2013.csv_file import parse, split_of
from fer_bench.datasets.fer2013.module import read_fer2013
from fer_bench.errors import BadDataError, MissingDataError
from tests.fakes import Faces, make_faces, write_csv


@pytest.fixture(scope="module")
def faces():
    return make_faces()


def saved(text, **options):
    """The plain file, read and saved again by pandas."""
    frame = pd.read_csv(io.StringIO(text))
    return frame.to_csv(**options)


def write_table(text):
    """As R's write.table(sep=",") does: row names that the header does not name."""
    lines = saved(text, index=False, quoting=csv.QUOTE_NONNUMERIC).splitlines()
    return "\n".join([lines[0], *(f'"{i}",{line}' for i, line in enumerate(lines[1:], start=1))])


def write_r(text):
    """As R's write.csv does."""
    lines = write_table(text).splitlines()
    return "\n".join(['"",' + lines[0], *lines[1:]])


def floats(text):
    frame = pd.read_csv(io.StringIO(text))
    return frame.assign(emotion=frame["emotion"].astype(float)).to_csv(index=False)


def columns(text, *names):
    frame = pd.read_csv(io.StringIO(text))
    return frame.assign(Unnamed=range(len(frame)), name="x")[list(names)].to_csv(index=False)


def usages(text):
    text = text.replace("Training", "training").replace("PublicTest", "PUBLICTEST")
    return text.replace("PrivateTest", "Private Test")


def lists(text):
    frame = pd.read_csv(io.StringIO(text))
    return frame.assign(pixels=frame["pixels"].map(lambda cell: str([int(value) for value in cell.split()]))).to_csv(
        index=False
    )


def arrays(text):
    """Over several lines, as the text of a NumPy array that is not abbreviated."""
    frame = pd.read_csv(io.StringIO(text))
    with np.printoptions(threshold=10_000):
        return frame.assign(
            pixels=frame["pixels"].map(lambda cell: str(np.array([int(value) for value in cell.split()])))
        ).to_csv(index=False)


def excel(text):
    return "sep=;\r\n" + saved(text, index=False, sep=";").replace("\n", "\r\n")


def decimal_comma(text):
    frame = pd.read_csv(io.StringIO(text))
    return frame.assign(emotion=frame["emotion"].astype(float)).to_csv(index=False, sep=";", decimal=",")


def by_name(text):
    frame = pd.read_csv(io.StringIO(text))
    return frame.assign(
        emotion=[("Angry", "disgust", "fear", "Happiness", "sad", "surprise", "neutral")[i] for i in frame["emotion"]]
    ).to_csv(index=False)


SPELLINGS = {
    "labels by name": by_name,
    "quoted": lambda text: saved(text, index=False, quoting=csv.QUOTE_ALL),
    "texts quoted": lambda text: saved(text, index=False, quoting=csv.QUOTE_NONNUMERIC),
    "labels as 0.0": floats,
    "quoted labels as 0.0": lambda text: saved(floats(text), index=False, quoting=csv.QUOTE_ALL),
    "pandas' index": saved,
    "an index of an index": lambda text: saved(saved(text)),
    "R's write.csv": write_r,
    "R's write.table": write_table,
    "another order of columns": lambda text: columns(text, "Usage", "emotion", "pixels"),
    "more columns": lambda text: columns(text, "Unnamed", "pixels", "Usage", "name", "emotion"),
    "semicolons": lambda text: saved(text, index=False, sep=";"),
    "tabs": lambda text: saved(text, index=False, sep="\t"),
    "Excel": excel,
    "a decimal comma": decimal_comma,
    "a delimiter at the end": lambda text: (
        text.splitlines()[0] + "\n" + "\n".join(line + "," for line in text.splitlines()[1:])
    ),
    "a named delimiter at the end": lambda text: text.replace("\n", ",\n"),
    "header in capitals": lambda text: text.replace("emotion,pixels,Usage", "Emotion,PIXELS,usage"),
    "usages in other words": usages,
    "pixels as lists": lists,
    "pixels as arrays": arrays,
    "Windows line ends": lambda text: text.replace("\n", "\r\n"),
    "old Mac line ends": lambda text: text.replace("\n", "\r"),
    "blank lines": lambda text: text.replace("\n", "\n\n") + "\n  \n,,\n",
    "blanks around cells": lambda text: text.replace(",", " , "),
    "blanks before quotes": lambda text: saved(text, index=False, quoting=csv.QUOTE_ALL).replace(",", ", "),
}
ENCODINGS = {"byte order mark": "utf-8-sig", "UTF-16": "utf-16"}


@pytest.fixture(scope="module")
def plain(faces, tmp_path_factory):
    """The plain file, and what is read from it."""
    folder = tmp_path_factory.mktemp("reference")
    path = write_csv(folder, faces)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_BENCH_CACHE", str(folder / "cache"))
        return path.read_text(), read_fer2013(str(folder))


def same(folder, plain):
    read, expected = read_fer2013(str(folder)), plain[1]
    assert read.checksums == expected.checksums
    assert read.ids.tolist() == expected.ids.tolist()
    assert read.targets["fer7"].tolist() == expected.targets["fer7"].tolist()
    assert (np.asarray(read.images) == np.asarray(expected.images)).all()
    return read


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_same_data_in_another_spelling_has_the_same_checksums(plain, tmp_path, spelling):
    text = SPELLINGS[spelling](plain[0])
    assert text != plain[0]
    (tmp_path / "fer2013.csv").write_bytes(text.encode())
    same(tmp_path, plain)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_same_data_in_another_encoding_has_the_same_checksums(plain, tmp_path, encoding):
    (tmp_path / "fer2013.csv").write_bytes(plain[0].encode(ENCODINGS[encoding]))
    same(tmp_path, plain)


@pytest.mark.parametrize("name", ["FER2013.csv", "fer2013.csv.gz", "fer2013/fer2013.csv", "icml_face_data.csv.gz"])
def test_the_file_is_found_in_capitals_compressed_and_one_folder_deeper(plain, tmp_path, name):
    place = tmp_path / "copy" / "fer2013" / name
    place.parent.mkdir(parents=True)
    content = plain[0].encode()
    place.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    same(tmp_path / "copy", plain)


def test_the_layout_says_which_spelling_it_was(faces, tmp_path):
    path = write_csv(tmp_path, faces)
    path.write_text(saved(path.read_text(), index=False, sep=";", quoting=csv.QUOTE_ALL))
    assert read_fer2013(str(tmp_path)).layout == "fer2013.csv (quoted, columns separated by ';')"


def test_plain_lines_never_go_through_the_csv_module(faces, tmp_path, monkeypatch):
    path = write_csv(tmp_path, faces)
    reader = csv.reader
    calls = []
    monkeypatch.setattr(csv, "reader", lambda *args, **options: calls.append(1) or reader(*args, **options))
    parse(path)
    assert len(calls) == 1, "the header alone"


REFUSED = {
    "abbreviated pixels": (
        lambda text: text.splitlines()[0] + "\n0,[1 2 3 ... 4 5 6],Training\n",
        "line 2: the pixels were abbreviated",
    ),
    "an open quotation mark": (lambda text: text.replace("\n0,", '\n"0,', 1), "a quotation mark is not closed"),
    "no header": (lambda text: text.split("\n", 1)[1], "line 1: this is a row of data; the header is missing"),
    "no Usage": (
        lambda text: columns(text, "emotion", "pixels"),
        "expected the columns emotion, pixels and Usage, found 'emotion, pixels'",
    ),
    "a row with an index that others lack": (lambda text: text + "7," + text.splitlines()[1], "4 columns instead of 3"),
    "half a label": (lambda text: text.replace("\n0,", "\n0.5,", 1), "the label '0.5' is outside 0 to 6"),
    "a label that is not a number": (
        lambda text: text.replace("\n0,", "\nnan,", 1),
        "the label 'nan' is outside 0 to 6",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_the_same_data_is_refused(faces, tmp_path, case):
    # The csv module gives up on a cell of more than 131,072 characters: enough rows to get there.
    many = Faces(np.tile(faces.images, (2, 1, 1)), np.tile(faces.labels, 2), np.tile(faces.usage, 2))
    change, expected = REFUSED[case]
    path = write_csv(tmp_path, many)
    path.write_text(change(path.read_text()))
    with pytest.raises(BadDataError) as error:
        read_fer2013(str(tmp_path))
    assert expected in error.value.problem
    assert str(path) in error.value.problem
    assert error.value.hint


def test_a_damaged_gzip_file_and_a_zip_archive_are_refused(faces, tmp_path):
    path = write_csv(tmp_path, faces)
    packed = tmp_path / "fer2013.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes())[:-2000])
    path.unlink()
    with pytest.raises(BadDataError, match="truncated or damaged"):
        read_fer2013(str(tmp_path))
    packed.unlink()
    path.write_bytes(b"PK\x03\x04rest")
    with pytest.raises(BadDataError, match="zip archive"):
        read_fer2013(str(tmp_path))


def test_usages_in_other_words_and_words_that_are_none():
    assert [split_of(usage) for usage in ("TRAINING", " public_test", "Private Test")] == [
        "train",
        "validation",
        "test",
    ]
    assert split_of("Testing") is None


def challenge(folder, faces, *, train="emotion,pixels", test="pixels"):
    """The challenge's own pair, as its archive holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = write_csv(folder / "whole", faces).read_text().splitlines()[1:]
    (folder / "whole" / "fer2013.csv").unlink()
    cells = [row.split(",") for row in rows]
    if train:
        lines = [f"{label},{pixels}" for label, pixels, usage in cells if usage == "Training"]
        (folder / "train.csv").write_text("\n".join([train, *lines]) + "\n")
    if test:
        lines = [
            pixels if test == "pixels" else f"{label},{pixels}" for label, pixels, usage in cells if usage != "Training"
        ]
        (folder / "test.csv").write_text("\n".join([test, *lines]) + "\n")


@pytest.mark.parametrize("inner", ["", "fer2013"])
@pytest.mark.parametrize(
    ("train", "test", "says"),
    [
        (
            "emotion,pixels",
            "pixels",
            ("train.csv (emotion, pixels) and test.csv (pixels)", "the labels of the 7,178 test images"),
        ),
        (
            '"emotion","pixels"',
            "pixels",
            ("train.csv (emotion, pixels) and test.csv (pixels)", "the labels of the 7,178 test images"),
        ),
        ("emotion,pixels", "", ("train.csv (emotion, pixels) without", "7,178")),
        ("", "pixels", ("test.csv (pixels) without", "7,178")),
        ("emotion,pixels", "emotion,pixels", ("test.csv (emotion, pixels) without Usage",)),
    ],
)
def test_the_challenge_s_pair_is_recognised_and_what_it_lacks_is_said(faces, tmp_path, inner, train, test, says):
    challenge(tmp_path / inner, faces, train=train, test=test)
    with pytest.raises(MissingDataError) as error:
        read_fer2013(str(tmp_path))
    for part in (*says, "icml_face_data.csv", "fer2013.tar.gz", str(tmp_path / inner)):
        assert part in str(error.value)
    assert "\n" not in str(error.value)


def test_the_pair_beside_the_whole_table_does_no_harm(faces, plain, tmp_path):
    challenge(tmp_path / "copy", faces)
    write_csv(tmp_path / "copy", faces)
    same(tmp_path / "copy", plain)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("faces.csv", "Rename it to fer2013.csv"),
        ("fer2013.tar.gz", "still packed"),
        ("fer2013.csv.zip", "still packed"),
    ],
)
def test_a_table_under_another_name_and_an_archive_are_pointed_out(faces, tmp_path, name, says):
    write_csv(tmp_path, faces, name)
    with pytest.raises(MissingDataError) as error:
        read_fer2013(str(tmp_path))
    assert says in str(error.value)
    assert name in str(error.value)


@pytest.fixture(scope="module")
def real_lines(real_folder, tmp_path_factory):
    """Real lines of all three splits, and what is read from them."""
    with (real_folder / "fer2013.csv").open() as file:
        text = "".join([next(file), *islice(file, 5), *islice(file, 28_699, 28_714)])
    path = tmp_path_factory.mktemp("lines") / "plain.csv"
    path.write_text(text)
    return text, parse(path)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_real_lines_in_every_spelling(real_lines, tmp_path, spelling):
    text, expected = real_lines
    other = tmp_path / "other.csv"
    other.write_bytes(SPELLINGS[spelling](text).encode())
    read = parse(other)
    assert len(expected.label) > 10
    for name in ("images", "label", "split"):
        assert (getattr(read, name) == getattr(expected, name)).all()
