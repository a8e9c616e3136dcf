"""Tables of images and labels; the lines of ``LEGEND`` are those of a published file, its mixed case and its
contradiction included."""

from __future__ import annotations

import csv

import cv2
import numpy as np
import pandas as pd
import pytest

from fer_bench.datasets import class_folders
from fer_bench.datasets.load import build_datamodule
from fer_bench.errors import BadDataError, MissingDataError, SpecError
from fer_bench.labels import FER7, FER8
from fer_bench.spec import RunSpec
from tests.fakes import smooth_images, write_class_folders

EXPW = """angry_actor_104.jpg 0 28 113 226 141 22.9362 0
angry_actor_109.jpg 0 31 157 345 219 50.3056 0
angry_actor_120.jpg 1 53 53 372 372 13.9434 2
"""
RAF = "".join(
    f"{split}_{i:05d}.jpg {i % 7 + 1}\n" for split, n in (("train", 28), ("test", 7)) for i in range(1, n + 1)
)
LEGEND = """user.id,image,emotion
628,facial-expressions_2868588k.jpg,anger
628,facial-expressions_2868585k.jpg,surprise
628,facial-expressions_2868584k.jpg,disgust
628,facial-expressions_2868582k.jpg,fear
dwdii,Aaron_Eckhart_0001.jpg,neutral
302,Aaron_Guiel_0001.jpg,happiness
302,Alain_Cervantes_0001.jpg,sadness
302,Arnaud_Clement_0001.jpg,contempt
dwdii,Kimberly_Bruckner_0001.jpg,happiness
JN721,Kimberly_Bruckner_0001.jpg,happiness
jhamski,Dileep_5.jpg,HAPPINESS
jhamski,Dileep_33.jpg,ANGER
jhamski,Dileep_17.jpg,SURPRISE
jhamski,Avinash_1.jpg,NEUTRAL
jhamski,Avinash_10.jpg,SADNESS
jhamski,Avinash_2.jpg,DISGUST
jhamski,Avinash_28.jpg,FEAR
jhamski,Avinash_30.jpg,SURPRISE
jhamski,Avinash_30.jpg,SADNESS
"""


def spec_of(tmp_path, file="labels.csv", task="fer7", classes=None, size=None, **options):
    if classes is not None:
        options["classes"] = classes
    return RunSpec(dataset=f"table:{tmp_path / file}", task=task, dataset_options=options, image_size=size)


def read(tmp_path, file="labels.csv", **settings):
    return build_datamodule(spec_of(tmp_path, file, **settings)).read()


def write(tmp_path, header, rows, file="labels.csv", delimiter=","):
    with (tmp_path / file).open("w", newline="") as stream:
        writer = csv.writer(stream, delimiter=delimiter)
        writer.writerow(header)
        writer.writerows(rows)


def write_named(folder, names):
    folder.mkdir(parents=True)
    for name, image in zip(names, smooth_images(len(names)), strict=True):
        assert cv2.imwrite(str(folder / name), image)


@pytest.fixture
def rows(tmp_path):
    """Images ``train/happy/0001.png`` and so on, and the rows that name them: path, class, split."""
    for split, n in (("train", 6), ("validation", 2), ("test", 3)):
        write_class_folders(tmp_path / split, n, seed=n)
    return [
        (p.relative_to(tmp_path).as_posix(), p.parent.name, p.parts[-3]) for p in sorted(tmp_path.rglob("*/*/*.png"))
    ]


def test_a_table_is_the_same_data_as_the_folders_that_it_describes(tmp_path, rows):
    write(tmp_path, ["image", "label", "split"], rows)
    spec = spec_of(tmp_path)
    assert (spec.dataset, spec.protocol) == ("table:labels", "labels-fer7")
    assert str(tmp_path) not in spec.model_dump_json(exclude={"execution"})
    table = build_datamodule(spec).read()
    folders = build_datamodule(RunSpec(dataset="folder:x", execution={"data_dir": str(tmp_path)})).read()
    assert table.checksums == folders.checksums
    assert sorted(table.ids) == sorted(folders.ids)
    assert table.layout == "labels.csv: image, label, split"


def test_where_a_table_is_changes_no_identity_and_what_is_in_it_does(tmp_path, rows):
    write(tmp_path, ["image", "label", "split"], rows)
    before = read(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    for name in ("train", "validation", "test", "labels.csv"):
        (tmp_path / name).rename(tmp_path / "elsewhere" / name)
    moved = spec_of(tmp_path / "elsewhere")
    assert moved.run_id() == RunSpec(dataset="table:labels").run_id()
    assert build_datamodule(moved).read().checksums == before.checksums
    write(tmp_path / "elsewhere", ["image", "label", "split"], [(rows[0][0], "neutral", rows[0][2]), *rows[1:]])
    assert build_datamodule(moved).read().checksums != before.checksums


@pytest.mark.parametrize(
    ("header", "delimiter"),
    [
        (["path", "emotion", "Usage"], ";"),
        (["File", "Expression", "Set"], "\t"),
        (["filename", "class", "partition"], ","),
    ],
)
def test_other_names_of_columns_and_other_delimiters(tmp_path, rows, header, delimiter):
    write(tmp_path, header, rows, delimiter=delimiter)
    samples = read(tmp_path)
    assert len(samples) == len(rows)
    assert samples.layout == f"labels.csv: image from '{header[0]}', label from '{header[1]}', split from '{header[2]}'"


def test_parquet_with_labels_that_became_floats(tmp_path, rows):
    frame = pd.DataFrame(
        {
            "image": [row[0] for row in rows],
            "label": [float(FER7.index(row[1])) for row in rows],
            "split": [row[2] for row in rows],
        }
    )
    frame.to_parquet(tmp_path / "faces.parquet")
    samples = read(tmp_path, "faces.parquet", classes=dict(enumerate(FER7.names)))
    assert [FER7.names[label] for label in samples.targets["fer7"]] == [
        identifier.split("/")[1] for identifier in samples.ids
    ]
    frame.to_csv(tmp_path / "faces.csv")
    assert read(tmp_path, "faces.csv", classes=dict(enumerate(FER7.names))).checksums == samples.checksums


def test_a_published_table_with_mixed_case_and_a_contradiction(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "legend.csv").write_text(LEGEND)
    names = dict.fromkeys(line.split(",")[1] for line in LEGEND.splitlines()[1:])
    write_named(tmp_path / "images", names)
    with pytest.raises(BadDataError, match=r"these labels are not classes of fer7: 'contempt' \(1\)") as error:
        read(tmp_path, "data/legend.csv")
    assert error.value.hint == "Use --task fer8, whose classes they are."
    with pytest.raises(
        BadDataError, match=r"1 of 17 images cannot be used.*Avinash_30\.jpg \(rows that contradict each other\)"
    ):
        read(tmp_path, "data/legend.csv", task="fer8")
    # The whole file has 13,690 rows, of which this is the only contradiction.
    monkeypatch.setattr(class_folders, "MAX_BAD_SHARE", 0.1)
    samples = read(tmp_path, "data/legend.csv", task="fer8")
    found = {str(i): FER8.names[label] for i, label in zip(samples.ids, samples.targets["fer8"], strict=True)}
    assert found == {
        name: emotion.lower()
        for name, emotion in (line.split(",")[1:] for line in LEGEND.splitlines()[1:])
        if name != "Avinash_30.jpg"
    }
    assert samples.quarantined == [("Avinash_30.jpg", "rows that contradict each other")]
    assert "1 images were left out: their rows contradict each other" in samples.notes
    assert "2 rows name an image that an earlier row names too" in samples.notes
    # The annotator is not the person in the picture.
    assert samples.groups is None
    named = read(
        tmp_path, "data/legend.csv", classes=[name.upper() for name in FER8.names], image="image", label="Emotion"
    )
    assert named.checksums == samples.checksums


def test_a_list_without_a_header_says_which_columns_it_has_and_is_read_by_their_numbers(tmp_path):
    (tmp_path / "label.lst.txt").write_text(EXPW)
    write_named(tmp_path / "Images", [line.split()[0] for line in EXPW.splitlines()])
    with pytest.raises(BadDataError, match="no column of labels; the columns are 1, 2, 3, 4, 5, 6, 7, 8"):
        read(tmp_path, "label.lst.txt")
    samples = read(tmp_path, "label.lst.txt", label=8, classes={0: "angry", 2: "fear"})
    assert next(iter(samples.targets.values())).tolist() == [0, 0, 1]
    assert samples.layout == "label.lst.txt: image from '1', label from '8' (without a header)"
    (tmp_path / "named.txt").write_text("name face_id top left right bottom confidence label\n" + EXPW)
    named = read(tmp_path, "named.txt", classes={0: "angry", 2: "fear"})
    assert named.checksums == samples.checksums
    assert (
        "columns that look like boxes of faces (top, left, right, bottom) are not used: whole images are read"
        in named.notes
    )


def test_raf_db_is_read_from_its_list_without_code(tmp_path):
    (tmp_path / "EmoLabel").mkdir()
    (tmp_path / "EmoLabel" / "list_patition_label.txt").write_text(RAF)
    write_named(
        tmp_path / "Image" / "aligned", [line.split()[0].replace(".jpg", "_aligned.jpg") for line in RAF.splitlines()]
    )
    mapping = dict(enumerate(("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"), start=1))
    samples = read(
        tmp_path,
        "EmoLabel/list_patition_label.txt",
        classes=mapping,
        images="Image/aligned",
        split="^(train|test)_",
        validation=0.5,
    )
    assert set(samples.split[[str(i).startswith("test") for i in samples.ids]]) == {"test"}
    assert set(samples.split[[str(i).startswith("train") for i in samples.ids]]) == {"train", "validation"}
    with pytest.raises(SpecError, match="matches nothing in"):
        read(tmp_path, "EmoLabel/list_patition_label.txt", classes=mapping, images="Image/aligned", split="^(train)_")
    with pytest.raises(BadDataError, match=r"'0' as dataset_options\.split"):
        read(tmp_path, "EmoLabel/list_patition_label.txt", classes=mapping, images="Image/aligned", split=r"_(\d)")


def test_the_dialect_in_which_a_table_was_saved_changes_nothing(tmp_path, rows):
    lines = ["image,label,split", *(",".join(row) for row in rows)]
    write(tmp_path, lines[0].split(","), rows)
    expected = read(tmp_path).checksums
    text = "\n".join(lines) + "\n"
    for content in (
        text.encode("utf-16"),
        text.encode("utf-8-sig"),
        text.replace("\n", "\r").encode(),
        ("sep=;\n" + text.replace(",", ";")).encode(),
        text.replace(",", " ").encode(),
        text.replace(",", "   ").encode(),
        "\n".join(", ".join(f'"{cell}"' for cell in line.split(",")) for line in lines).encode(),
        "\n".join([lines[0], *(f"{line},," for line in lines[1:])]).encode(),
        "\n".join([lines[0], *(f"{number},{line}" for number, line in enumerate(lines[1:]))]).encode(),
        "\n".join([lines[0] + ",caf\xe9", *(f"{line},No\xebl" for line in lines[1:])]).encode("cp1252"),
        "\n".join(["Image Name,Emotion-Label,SPLIT", *lines[1:]]).encode(),
        "\n".join(['"note; with; marks",image,label,split', *(f'"a;b;c;d;e",{line}' for line in lines[1:])]).encode(),
        text.replace("train/", "TRAIN/").replace(".png", ".PNG").encode(),
        "\n".join([lines[0], *(f"/content/drive/faces/{line}" for line in lines[1:])]).encode(),
    ):
        (tmp_path / "labels.csv").write_bytes(content)
        assert read(tmp_path).checksums == expected, content[:80]


def test_people_are_found_in_any_spelling_of_their_column_and_a_doubled_column_is_refused(tmp_path, rows):
    for name in ("Subject ID", "subject-id", "subjectId", "PERSON"):
        write(tmp_path, ["image", "label", "split", name], [(*row, f"p{i}") for i, row in enumerate(rows)])
        assert read(tmp_path).groups is not None
    write(tmp_path, ["image", "label", "label", "split"], [(row[0], "happy", *row[1:]) for row in rows])
    with pytest.raises(BadDataError, match="two columns are called 'label'"):
        read(tmp_path)


def test_absolute_and_upward_paths_are_never_names_of_samples(tmp_path, rows):
    write(tmp_path, ["image", "label"], [(str(tmp_path / row[0]), row[1]) for row in rows])
    assert sorted(read(tmp_path).ids) == sorted(row[0] for row in rows)
    (tmp_path / "tables").mkdir()
    write(tmp_path / "tables", ["image", "label"], [(f"..\\{row[0]}".replace("/", "\\"), row[1]) for row in rows])
    assert sorted(read(tmp_path, "tables/labels.csv").ids) == sorted(row[0] for row in rows)


def test_people_come_from_a_column_or_from_the_path(tmp_path):
    write_class_folders(tmp_path, 20, people=10)
    found = [(p.relative_to(tmp_path).as_posix(), p.parent.name, p.name[:4]) for p in sorted(tmp_path.rglob("*/*.png"))]
    write(tmp_path, ["image", "label", "subject"], found)
    for options in ({}, {"identity": "Subject"}, {"identity": r"S\d+"}):
        samples = read(tmp_path, **options)
        people = [set(samples.groups[samples.where(split)]) for split in ("train", "validation", "test")]
        assert len(set.union(*people)) == 10
        assert not people[0] & people[2]
    write(tmp_path, ["image", "label", "subject"], [(*found[0][:2], ""), *found[1:]])
    with pytest.raises(BadDataError, match="1 images have no person in the column 'subject'"):
        read(tmp_path)


def test_values_of_valence_and_arousal(tmp_path, rows):
    generator = np.random.default_rng(0)
    values = generator.uniform(-1, 1, (len(rows), 2)).round(3)
    write(
        tmp_path, ["image", "Valence", "Arousal"], [(row[0], *value) for row, value in zip(rows, values, strict=True)]
    )
    samples = read(tmp_path, task="va")
    assert np.allclose(samples.targets["va"], values, atol=1e-6)
    assert read(tmp_path, task="arousal").targets["arousal"].shape == (len(rows), 1)
    write(tmp_path, ["image", "valence", "arousal"], [(row[0], 3, 0) for row in rows])
    with pytest.raises(BadDataError, match="row 1: valence = '3' is not a number from -1 to 1"):
        read(tmp_path, task="va")


def test_names_without_their_ending_and_composed_otherwise(tmp_path, rows):
    import unicodedata

    (tmp_path / "train" / "happy" / "0001.png").rename(
        tmp_path / "train" / "happy" / unicodedata.normalize("NFD", "é.png")
    )
    named = [(row[0].removesuffix(".png").replace("train/happy/0001", "train/happy/é"), row[1]) for row in rows]
    write(tmp_path, ["image", "label"], named)
    assert sorted(read(tmp_path).ids) == sorted(name for name, _ in named)


def test_repeated_rows_count_once_and_empty_labels_not_at_all(tmp_path, rows):
    write(tmp_path, ["image", "label", "split"], [*rows[:-1], (rows[-1][0], "", rows[-1][2]), rows[0]])
    samples = read(tmp_path)
    assert len(samples) == len(rows) - 1
    assert samples.notes == [
        "1 rows name an image that an earlier row names too",
        "1 images were left out: their label is empty or mapped to nothing",
    ]


def test_an_image_of_two_people_is_a_contradiction(tmp_path, rows):
    people = [(*row, f"p{i // 4}") for i, row in enumerate(rows)]
    write(tmp_path, ["image", "label", "split", "identity"], [*people, (*rows[0], "p9")])
    with pytest.raises(BadDataError, match=rf"the first is {rows[0][0]} \(rows that contradict each other\)"):
        read(tmp_path)


def test_a_person_who_is_spelt_in_two_ways_is_noted(tmp_path, rows):
    people = {"train": "Anna", "validation": "Ben", "test": "anna"}
    write(tmp_path, ["image", "label", "split", "identity"], [(*row, people[row[2]]) for row in rows])
    notes = build_datamodule(spec_of(tmp_path)).read_samples.notes
    assert any("count as different people, and are in different splits: 'Anna' and 'anna'" in note for note in notes)


def test_many_contradictions_are_refused_by_name(tmp_path, rows):
    write(tmp_path, ["image", "label", "split"], [*rows, (rows[3][0], "neutral", rows[3][2])])
    with pytest.raises(
        BadDataError,
        match=r"1 of 77 images cannot be used, more than 1%; the first is \S+ \(rows that contradict each other\)",
    ):
        read(tmp_path)


@pytest.mark.parametrize(
    ("header", "change", "expected"),
    [
        (["photo", "label", "split"], None, "no column of images; the columns are photo, label, split"),
        (["image", "what", "split"], None, "no column of labels; the columns are image, what, split"),
        (["image", "label", "split"], {1: "bored"}, r"not classes of fer7: 'bored' \(77\)"),
        (["image", "label", "split"], {2: "later"}, "'later' in the column 'split' is not a split"),
        (["image", "label", "split"], {0: "nowhere.png"}, "none of the images that it names can be used"),
        (["image", "label", "split"], {0: ""}, "row 1: it names no image"),
        (["image", "label", "split"], {0: "x" * 5000}, "none of the images that it names can be used"),
        (["image", "label", "split"], {0: "a/" * 5000 + "b.png"}, "none of the images that it names can be used"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path, rows, header, change, expected):
    write(tmp_path, header, [tuple((change or {}).get(i, cell) for i, cell in enumerate(row)) for row in rows])
    with pytest.raises((BadDataError, MissingDataError), match=expected) as error:
        read(tmp_path)
    assert error.value.hint


def test_damaged_files_and_wrong_options(tmp_path, rows):
    with pytest.raises(MissingDataError, match="no such file"):
        spec_of(tmp_path, "nowhere.csv")
    write(tmp_path, ["image", "label", "split"], rows)
    for options, expected in (
        ({"label": "emotoin"}, "has no such column"),
        ({"lable": "emotion"}, "Did you mean 'label'"),
        ({"images": "nope"}, "no such folder"),
    ):
        with pytest.raises((SpecError, MissingDataError), match=expected):
            read(tmp_path, **options)
    with pytest.raises(BadDataError, match="no row has the label 'bored'"):
        read(tmp_path, classes=[*FER7.names, "bored"])
    (tmp_path / "labels.csv").write_bytes(b"image,label\n\x81\x8d,happy\n")
    with pytest.raises(BadDataError, match="neither UTF-8 nor UTF-16 nor Windows-1252"):
        read(tmp_path)
    (tmp_path / "labels.csv").write_bytes(b"image,label\na.png,happy\0\n")
    with pytest.raises(BadDataError, match="zero bytes"):
        read(tmp_path)
    (tmp_path / "labels.csv").write_text("image,label\na.png,happy,3\n")
    with pytest.raises(BadDataError, match="line 2: 3 cells instead of 2"):
        read(tmp_path)
    (tmp_path / "labels.csv").write_text("image,label\n")
    with pytest.raises(BadDataError, match="a header and no rows"):
        read(tmp_path)
    (tmp_path / "labels.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(BadDataError, match="not readable as Parquet"):
        read(tmp_path, "labels.parquet")


def test_a_table_is_found_again_by_its_name(tmp_path, rows):
    write(tmp_path, ["image", "label", "split"], rows)
    datamodule = build_datamodule(RunSpec(dataset="table:labels", execution={"data_dir": str(tmp_path)}))
    assert len(datamodule.read()) == len(rows)
    with pytest.raises(MissingDataError, match=r"found no other\.csv"):
        build_datamodule(RunSpec(dataset="table:other", execution={"data_dir": str(tmp_path)})).read()
