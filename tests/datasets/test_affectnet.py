"""Both releases of AffectNet in their real layouts, small."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from fer_bench.datasets.affectnet import index
from fer_bench.datasets.affectnet.raw import COLUMNS
from fer_bench.datasets.affectnet.reader import read_affectnet
from fer_bench.errors import BadDataError, MissingDataError
from fer_bench.labels import FER7, FER8

LANDMARKS = np.arange(136) / 2


def write_lists(
    root: Path, rows: dict[str, list[tuple]], header: bool = True, without_image: tuple[str, ...] = ()
) -> None:
    lists = root / "Manually_Annotated_file_lists"
    lists.mkdir(parents=True)
    for name, entries in rows.items():
        lines = [",".join(COLUMNS)] if header else []
        for path, box, expression, valence, arousal in entries:
            lines.append(
                ",".join(
                    [
                        path,
                        *map(str, box),
                        ";".join(f"{v:.2f}" for v in LANDMARKS),
                        str(expression),
                        str(valence),
                        str(arousal),
                    ]
                )
            )
            image = root / "Manually_Annotated_Images" / path
            image.parent.mkdir(parents=True, exist_ok=True)
            if path not in without_image:
                image.write_bytes(b"jpg")
        (lists / f"{name}.csv").write_text("\n".join(lines) + "\n")


def old_rows() -> dict[str, list[tuple]]:
    box = (10, 20, 100, 120)
    train = [(f"{i % 3}/{i:04d}.jpg", box, i % 8, round(-1 + i / 20, 2), round(1 - i / 20, 2)) for i in range(40)]
    train += [
        ("1/none.jpg", box, 8, 0.0, 0.0),
        ("1/uncertain.jpg", box, 9, -2, -2),
        ("1/noface.JPG", ("NULL", "NULL", "NULL", "NULL"), 10, -2, -2),
        ("2/novalue.jpg", box, 1, -2, 0.5),
        ("2/wild.jpg", box, 1, 3.5, 0.5),
        ("2/left.jpg", (-5, -7, 50, 60), 3, 0.1, 0.9),
        ("2/outside.jpg", (-50, 0, 40, 40), 3, 0.1, 0.9),
        ("2/gone.jpg", box, 3, 0.1, 0.9),
        ("0/0000.jpg", box, 0, 0.1, 0.9),
    ]
    return {"training": train, "validation": [(f"9/{i:04d}.jpg", box, i % 8, 0.25, -0.25) for i in range(16)]}


def write_2021(root: Path, n: int = 40, as_text: bool = False, landmarks: bool = True) -> None:
    for folder, count in (("train_set", n), ("val_set", 16)):
        (root / folder / "images").mkdir(parents=True)
        notes = root / folder / "annotations"
        notes.mkdir()
        for i in range(count):
            (root / folder / "images" / f"{i}.jpg").write_bytes(b"jpg")
            for kind, value in (
                ("exp", i % 8),
                ("val", round(-1 + i % 40 / 20, 2)),
                ("aro", round(1 - i % 40 / 20, 2)),
            ):
                np.save(notes / f"{i}_{kind}.npy", np.array(str(value) if as_text else value))
            if landmarks:
                np.save(notes / f"{i}_lnd.npy", LANDMARKS)


@pytest.mark.parametrize("header", [True, False])
def test_lists_are_read_with_and_without_header(tmp_path: Path, header: bool) -> None:
    write_lists(tmp_path, old_rows(), header, without_image=("2/gone.jpg",))
    index = read_affectnet(tmp_path, validation=0.2)
    assert index.release == "lists"
    assert index.dropped == {
        "expression none": 1,
        "expression uncertain": 1,
        "expression no-face": 1,
        "no valence or arousal (-2)": 1,
        "valence or arousal outside [-1, 1]": 1,
        "empty box": 1,
        "no image file": 1,
        "listed twice": 1,
    }
    assert len(index) == 40 + 1 + 16
    assert index.clipped == 1
    left = index.ids.tolist().index("2/left.jpg")
    assert index.boxes[left].tolist() == [0, 0, 45, 53]
    assert index.boxes[0].tolist() == [10, 20, 100, 120]
    np.testing.assert_allclose(index.landmarks[0].ravel(), LANDMARKS)
    assert index.landmarks.shape == (57, 68, 2)
    assert all((index.root / p).is_file() for p in index.paths)
    assert {reason: index.dropped[reason] for reason in ("empty box", "expression no-face")} == {
        "empty box": 1,
        "expression no-face": 1,
    }


def test_expressions_follow_the_label_set_by_name(tmp_path: Path) -> None:
    write_lists(tmp_path, old_rows())
    eight, seven = read_affectnet(tmp_path), read_affectnet(tmp_path, FER7)
    names = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
    assert [FER8.names[i] for i in eight.expression[:8]] == list(names)
    assert [FER7.names[i] for i in seven.expression[:7]] == [
        "neutral",
        "happy",
        "sad",
        "surprise",
        "fear",
        "disgust",
        "angry",
    ]
    assert seven.dropped["expression contempt"] == 5 + 2
    assert "expression contempt" not in eight.dropped


def test_need_decides_which_missing_label_drops_a_row(tmp_path: Path) -> None:
    write_lists(tmp_path, old_rows())
    expression = read_affectnet(tmp_path, need=["expression"])
    affect = read_affectnet(tmp_path, need=["valence_arousal"])
    assert {"2/novalue.jpg", "2/wild.jpg"} <= set(expression.ids)
    assert np.isnan(expression.valence[expression.ids.tolist().index("2/wild.jpg")])
    none = affect.ids.tolist().index("1/none.jpg")
    assert affect.expression[none] == -1
    assert "1/uncertain.jpg" not in affect.ids


@pytest.mark.parametrize("as_text", [True, False])
def test_2021_release_casts_strings(tmp_path: Path, as_text: bool) -> None:
    write_2021(tmp_path / "AffectNet", as_text=as_text)
    index = read_affectnet(tmp_path)
    assert index.release == "2021"
    assert len(index) == 56
    assert index.ids[11] == "train/11"
    assert index.paths[11] == "train_set/images/11.jpg"
    np.testing.assert_allclose([index.valence[11], index.arousal[11]], [-0.45, 0.45])
    assert FER8.names[index.expression[11]] == "surprise"
    np.testing.assert_allclose(index.landmarks[11].ravel(), LANDMARKS)
    assert (index.boxes == -1).all()
    assert (index.split == "test").sum() == 16


def test_2021_release_with_holes(tmp_path: Path) -> None:
    write_2021(tmp_path, landmarks=False)
    (tmp_path / "train_set/annotations/3_val.npy").unlink()
    (tmp_path / "train_set/images/4.jpg").unlink()
    np.save(tmp_path / "train_set/annotations/5_aro.npy", np.array(-2.0))
    index = read_affectnet(tmp_path)
    assert index.dropped == {"no annotation file": 1, "no image file": 1, "no valence or arousal (-2)": 1}
    assert np.isnan(index.landmarks).all()


@pytest.mark.parametrize(
    ("train", "val"), [("train", "val"), ("Train_Set", "Val_Set"), ("train_set/train_set", "val_set/val_set")]
)
def test_sets_in_folders_of_other_names_are_both_read(tmp_path: Path, train: str, val: str) -> None:
    write_2021(tmp_path / "owners")
    home = tmp_path / "other"
    for own, place in (("train_set", train), ("val_set", val)):
        (home / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "owners" / own).rename(home / place)
    found = read_affectnet(home)
    assert (found.release, found.lacking) == ("2021", "")
    assert ((found.split == "test") == [name.startswith("val/") for name in found.ids]).all()
    assert (found.split == "test").sum() == 16
    assert all((found.root / path).is_file() for path in found.paths)


def test_two_parts_of_which_nothing_says_what_they_are_are_refused(tmp_path: Path) -> None:
    write_2021(tmp_path)
    for own, other in (("train_set", "faces_a"), ("val_set", "faces_b")):
        (tmp_path / own).rename(tmp_path / other)
    with pytest.raises(BadDataError, match="faces_a and faces_b each hold a part"):
        read_affectnet(tmp_path)
    for own, other in (("faces_a", "train"), ("faces_b", "training")):
        (tmp_path / own).rename(tmp_path / other)
    with pytest.raises(BadDataError, match="train and training are both of the train set"):
        read_affectnet(tmp_path)


def test_a_code_that_is_not_whole_is_no_code(tmp_path: Path) -> None:
    write_2021(tmp_path)
    np.save(tmp_path / "train_set" / "annotations" / "3_exp.npy", np.array(3.5))
    found = read_affectnet(tmp_path)
    assert found.dropped == {"expression code unknown": 1}
    assert "train/3" not in found.ids
    rows = old_rows()
    rows["training"][0] = (*rows["training"][0][:2], 0.5, *rows["training"][0][3:])
    # The same image, written as programs on Windows do: it must not be there twice.
    rows["training"].append((rows["training"][1][0].replace("/", "\\"), *rows["training"][1][1:]))
    write_lists(tmp_path / "lists", rows)
    lists = read_affectnet(tmp_path / "lists", need=("expression",))
    assert lists.dropped["expression code unknown"] == 1
    assert len(np.unique(lists.ids)) == len(lists)


def test_damaged_npy_names_the_file(tmp_path: Path) -> None:
    write_2021(tmp_path)
    bad = tmp_path / "train_set/annotations/7_val.npy"
    np.save(bad, np.array(["0.5", "0.6"]))
    with pytest.raises(BadDataError, match=r"7_val\.npy: 24 bytes of <U3, expected 1"):
        read_affectnet(tmp_path)
    np.save(bad, np.array("high"))
    with pytest.raises(BadDataError, match=r"7_val\.npy: holds .*high.*, not a number"):
        read_affectnet(tmp_path)
    np.save(bad, np.array({"a": 1}, dtype=object), allow_pickle=True)
    with pytest.raises(BadDataError, match=r"7_val\.npy: holds object"):
        read_affectnet(tmp_path)
    bad.write_bytes(b"")
    with pytest.raises(BadDataError, match=r"7_val\.npy: not a \.npy file"):
        read_affectnet(tmp_path)


def test_list_errors_name_file_and_line(tmp_path: Path) -> None:
    rows = old_rows()
    rows["training"][4] = ("1/0004.jpg", (0, 0, 9, 9), "happy", 0, 0)
    write_lists(tmp_path, rows)
    with pytest.raises(BadDataError, match=r"training\.csv, line 6: expression is 'happy'"):
        read_affectnet(tmp_path)
    (tmp_path / "Manually_Annotated_file_lists/validation.csv").write_text("a,b,c\n")
    (tmp_path / "Manually_Annotated_file_lists/training.csv").write_text("a,b,c\n")
    with pytest.raises(BadDataError, match=r"training\.csv, line 1: expected the columns subDirectory_filePath"):
        read_affectnet(tmp_path)


def test_nothing_there_says_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with pytest.raises(MissingDataError, match=r"found: other.*Manually_Annotated_file_lists.*train_set"):
        read_affectnet(tmp_path)
    with pytest.raises(MissingDataError, match="no folders"):
        read_affectnet(tmp_path / "absent")


def test_validation_is_carved_from_train_by_id_and_class(tmp_path: Path) -> None:
    write_2021(tmp_path, n=160)
    index = read_affectnet(tmp_path, validation=0.2)
    chosen = index.split == "validation"
    assert np.bincount(index.expression[chosen]).tolist() == [4] * 8
    assert all(i.startswith("train/") for i in index.ids[chosen])
    assert (index.split == "test").tolist() == [i.startswith("val/") for i in index.ids]
    other = read_affectnet(tmp_path, validation=0.2, seed=1)
    assert 0 < (chosen & (other.split == "validation")).sum() < chosen.sum()
    # Images that leave the release take no other image with them.
    for i in range(0, 160, 16):
        (tmp_path / f"train_set/images/{i}.jpg").unlink()
    fewer = read_affectnet(tmp_path, validation=0.2)
    kept = set(fewer.ids[fewer.split == "validation"]) & set(index.ids[chosen])
    assert len(kept) >= (fewer.split == "validation").sum() - 1


def test_cache_is_used_until_the_release_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, cache = tmp_path / "AffectNet", tmp_path / "cache"
    write_2021(root)
    first = read_affectnet(root, cache=cache)
    built = index.read_2021
    monkeypatch.setattr(index, "read_2021", lambda home: pytest.fail("the index was built again"))
    again = read_affectnet(root, cache=cache)
    for name in ("ids", "paths", "expression", "valence", "arousal", "landmarks", "split"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert again.dropped == first.dropped
    monkeypatch.setattr(index, "read_2021", built)
    for part, name in (
        ("images", "40.jpg"),
        ("annotations", "40_exp.npy"),
        ("annotations", "40_val.npy"),
        ("annotations", "40_aro.npy"),
    ):
        file = root / "train_set" / part / name
        np.save(file, np.array(0.0)) if name.endswith("npy") else file.write_bytes(b"")
        os.utime(file.parent, ns=(1, 2 + len(name)))
    assert len(read_affectnet(root, cache=cache)) == len(first) + 1
    stored = sorted(cache.iterdir())
    assert len(stored) == 2
    for file in stored:
        file.write_bytes(b"damaged")
    assert len(read_affectnet(root, cache=cache)) == len(first) + 1


def _index_column(text):
    header, *rows = text.splitlines()
    return "\n".join(["," + header, *(f"{i},{row}" for i, row in enumerate(rows))]) + "\n"


SAVED_AGAIN = {
    "a blank last line": lambda text: text + "\n",
    "blank lines": lambda text: text.replace("\n", "\n\n") + "  \n\t\n",
    "a last line of commas": lambda text: text + ",,,,,,,,\n",
    "Windows line ends": lambda text: text.replace("\n", "\r\n") + "\r\n",
    "quoted": lambda text: "".join('"' + line.replace(",", '","') + '"\n' for line in text.splitlines()),
    "an index column": _index_column,
    "header in small letters": lambda text: text.replace("subDirectory_filePath", "subdirectory_filepath"),
    "a byte order mark": lambda text: "\ufeff" + text,
}


@pytest.mark.parametrize("case", SAVED_AGAIN)
def test_lists_saved_again_are_the_same_data(tmp_path: Path, case: str) -> None:
    write_lists(tmp_path, old_rows())
    expected = read_affectnet(tmp_path)
    for name in ("training", "validation"):
        path = tmp_path / "Manually_Annotated_file_lists" / f"{name}.csv"
        path.write_bytes(SAVED_AGAIN[case](path.read_text()).encode())
    index = read_affectnet(tmp_path)
    assert index.ids.tolist() == expected.ids.tolist()
    assert index.dropped == expected.dropped
    for name in ("expression", "valence", "boxes", "landmarks", "split"):
        assert np.array_equal(getattr(index, name), getattr(expected, name), equal_nan=name in ("valence", "landmarks"))


def test_a_bad_line_after_blank_ones_is_named_by_its_own_number(tmp_path: Path) -> None:
    write_lists(tmp_path, old_rows())
    path = tmp_path / "Manually_Annotated_file_lists" / "validation.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], "", "", lines[1], lines[2].rsplit(",", 1)[0] + ",much"]))
    with pytest.raises(BadDataError, match=r"validation\.csv, line 5: arousal is 'much'"):
        read_affectnet(tmp_path)
