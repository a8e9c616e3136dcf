from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_bench import paths
from fer_bench.data import cache
from fer_bench.data.duplicates import find_duplicates
from fer_bench.data.samples import SPLITS, Subset
from fer_bench.datasets.fer2013 import module
from fer_bench.datasets.fer2013.module import OFFICIAL, read_fer2013
from fer_bench.errors import BadDataError, HardwareError, MissingDataError
from fer_bench.protocols import PROTOCOLS
from tests.fakes import SPLIT_OF, Faces, make_faces, smooth_images, write_csv, write_folders, write_icml

REAL = os.environ.get("FER_BENCH_TEST_FER2013")
needs_real = pytest.mark.skipif(not REAL, reason="FER_BENCH_TEST_FER2013 names no folder with the real fer2013.csv")

WRITERS = {"csv": write_csv, "icml": write_icml, "folders": write_folders}


@pytest.fixture(scope="module")
def faces():
    return make_faces()


@pytest.mark.parametrize("inner", ["fer2013", "."])
@pytest.mark.parametrize("layout", WRITERS)
def test_every_layout_gives_the_same_faces_labels_splits_and_checksums(faces, tmp_path, layout, inner):
    WRITERS[layout](tmp_path / "there" / inner, faces)
    reference = tmp_path / "reference"
    write_csv(reference, faces)

    read, expected = read_fer2013(str(tmp_path / "there")), read_fer2013(str(reference))

    assert read.checksums == expected.checksums
    assert set(read.checksums) == set(SPLITS)
    assert len(set(read.checksums.values())) == 3
    for split in SPLITS:
        found = sorted((int(read.targets["fer7"][i]), read.images[int(i)].tobytes()) for i in read.where(split))
        wanted = sorted(
            (int(expected.targets["fer7"][i]), expected.images[int(i)].tobytes()) for i in expected.where(split)
        )
        assert found == wanted


@pytest.mark.parametrize("layout", ["csv", "icml"])
def test_csv_keeps_the_official_order_and_names_samples_by_row(faces, tmp_path, layout):
    path = WRITERS[layout](tmp_path, faces)
    samples = read_fer2013(str(tmp_path))
    assert samples.layout == path.name
    assert samples.ids.tolist() == [f"{i:05d}" for i in range(len(faces))]
    assert (np.asarray(samples.images) == faces.images).all()
    assert samples.targets["fer7"].tolist() == faces.labels.tolist()
    assert [SPLIT_OF[str(u)] for u in faces.usage] == samples.split.tolist()


def test_class_folders_are_mapped_by_name_not_by_position(faces, tmp_path):
    # Alphabetically, neutral comes before sad and surprise; as ids it comes last. Spellings differ between copies.
    write_folders(tmp_path, faces, names=("Angry", "disgust", "fear", "Happiness", "Sad", "Suprise", "neutral"))
    samples = read_fer2013(str(tmp_path))
    for sample_id, label in zip(samples.ids, samples.targets["fer7"], strict=True):
        row = int(Path(str(sample_id)).stem.split("_")[1])
        assert label == faces.labels[row]


def test_an_incomplete_csv_is_used_and_said_to_be_incomplete(faces, tmp_path):
    write_csv(tmp_path, faces)
    assert any("not the official" in note for note in read_fer2013(str(tmp_path)).notes)


def test_a_changed_pixel_or_label_changes_the_checksum_of_its_split_only(faces, tmp_path):
    write_csv(tmp_path / "a", faces)
    changed = Faces(faces.images.copy(), faces.labels.copy(), faces.usage)
    row = int(np.flatnonzero(faces.usage == "PublicTest")[0])
    changed.images[row, 0, 0] ^= 1
    write_csv(tmp_path / "b", changed)
    relabelled = Faces(faces.images, faces.labels.copy(), faces.usage)
    relabelled.labels[row] = (relabelled.labels[row] + 1) % 7
    write_csv(tmp_path / "c", relabelled)
    a, b, c = (read_fer2013(str(tmp_path / name)).checksums for name in "abc")
    for other in (b, c):
        assert {split: a[split] == other[split] for split in SPLITS} == {
            "train": True,
            "validation": False,
            "test": True,
        }


def test_second_open_does_not_parse_again(faces, tmp_path, monkeypatch):
    write_csv(tmp_path, faces)
    first = read_fer2013(str(tmp_path))
    monkeypatch.setattr(module, "_parse", lambda path: pytest.fail("parsed again"))
    second = read_fer2013(str(tmp_path))
    assert (np.asarray(second.images) == np.asarray(first.images)).all()
    assert second.checksums == first.checksums
    assert isinstance(second.images, np.memmap)
    assert not second.images.flags.writeable


def test_second_open_of_folders_decodes_nothing(faces, tmp_path, monkeypatch):
    write_folders(tmp_path / "copy", faces)
    first = read_fer2013(str(tmp_path / "copy"))
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded again"))
    assert read_fer2013(str(tmp_path / "copy")).checksums == first.checksums


def test_a_changed_source_never_meets_the_old_cache(faces, tmp_path):
    path = write_csv(tmp_path, faces)
    before = read_fer2013(str(tmp_path))
    stat = path.stat()
    changed = Faces(faces.images, (faces.labels + 1) % 7, faces.usage)
    write_csv(tmp_path, changed)
    assert path.stat().st_size == stat.st_size
    after = read_fer2013(str(tmp_path))
    assert after.targets["fer7"].tolist() == changed.labels.tolist()
    assert before.key != after.key


def test_two_users_of_one_cache_with_the_same_file_share_it(faces, tmp_path, monkeypatch):
    write_csv(tmp_path / "a", faces)
    write_csv(tmp_path / "b", faces)
    read_fer2013(str(tmp_path / "a"))
    monkeypatch.setattr(module, "_parse", lambda path: pytest.fail("parsed again"))
    read_fer2013(str(tmp_path / "b"))


def _cache_folder():
    (folder,) = [path.parent for path in (paths.cache_dir() / "fer2013").glob("*/facts.json")]
    return folder


DAMAGES = {
    "an array cut in half": lambda folder: (folder / "images.npy").write_bytes(
        (folder / "images.npy").read_bytes()[:5000]
    ),
    "an empty array": lambda folder: (folder / "images.npy").write_bytes(b""),
    "an array that is gone": lambda folder: (folder / "label.npy").unlink(),
    "empty facts": lambda folder: (folder / "facts.json").write_text(""),
    "facts that are no facts": lambda folder: (folder / "facts.json").write_text("[1, 2"),
    "facts of another kind": lambda folder: (folder / "facts.json").write_text("[]"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_reported_with_its_folder(faces, tmp_path, damage):
    write_csv(tmp_path, faces)
    read_fer2013(str(tmp_path))
    folder = _cache_folder()
    DAMAGES[damage](folder)
    with pytest.raises(BadDataError) as error:
        read_fer2013(str(tmp_path))
    assert str(folder) in error.value.problem
    assert "Delete that folder" in error.value.hint


def test_an_interrupted_build_leaves_no_cache_entry(faces, tmp_path, monkeypatch):
    write_csv(tmp_path, faces)
    dump = json.dumps

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(cache.json, "dumps", interrupted)
    with pytest.raises(KeyboardInterrupt):
        read_fer2013(str(tmp_path))
    assert not [p for p in (paths.cache_dir() / "fer2013").iterdir() if p.suffix != ".lock"]
    monkeypatch.setattr(cache.json, "dumps", dump)
    assert len(read_fer2013(str(tmp_path))) == len(faces)


def test_a_cache_that_cannot_be_written_is_a_hardware_error(faces, tmp_path, monkeypatch):
    write_csv(tmp_path / "copy", faces)
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(HardwareError, match="FER_BENCH_CACHE"):
        read_fer2013(str(tmp_path / "copy"))


def test_a_source_that_cannot_be_read_is_not_blamed_on_the_cache(faces, tmp_path, monkeypatch):
    write_csv(tmp_path, faces)

    def unreadable(path):
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.setattr(module, "_parse", unreadable)
    with pytest.raises(BadDataError, match=r"fer2013\.csv.*cannot be read"):
        read_fer2013(str(tmp_path))


def test_missing_data_says_what_was_looked_for_where_and_how_to_get_it(tmp_path):
    with pytest.raises(MissingDataError) as error:
        read_fer2013(str(tmp_path / "nowhere"))
    text = str(error.value)
    for part in (
        "fer2013.csv",
        "icml_face_data.csv",
        str(tmp_path / "nowhere"),
        "Kaggle",
        "--data-dir",
        "FER_BENCH_DATA",
    ):
        assert part in text


def _edit(path, line, change):
    lines = path.read_text().split("\n")
    lines[line - 1] = change(lines[line - 1])
    path.write_text("\n".join(lines))


def _cell(at, value):
    def change(line):
        cells = line.split(",")
        cells[at] = value(cells[at]) if callable(value) else value
        return ",".join(cells)

    return change


BAD_LINES = {
    "label out of range": (_cell(0, "7"), "label '7' is outside 0 to 6"),
    "negative label": (_cell(0, "-1"), "label '-1' is outside"),
    "label is text": (_cell(0, "gleeful"), "label 'gleeful' is outside"),
    "a pixel too few": (_cell(1, lambda cell: cell.rsplit(" ", 1)[0]), "2303 pixels instead of 48 x 48 = 2304"),
    "a pixel too many": (_cell(1, lambda cell: cell + " 0"), "2305 pixels"),
    "no pixel": (_cell(1, ""), "0 pixels"),
    "a pixel of 256": (_cell(1, lambda cell: "256 " + cell.split(" ", 1)[1]), "outside 0 to 255"),
    "a pixel of 65537": (_cell(1, lambda cell: "65537 " + cell.split(" ", 1)[1]), "outside 0 to 255"),
    "a pixel of -1": (_cell(1, lambda cell: "-1 " + cell.split(" ", 1)[1]), "outside 0 to 255"),
    "a pixel that is text": (_cell(1, lambda cell: "x " + cell.split(" ", 1)[1]), "not an integer"),
    "a pixel with a fraction": (_cell(1, lambda cell: "1.5 " + cell.split(" ", 1)[1]), "not an integer"),
    "unknown usage": (_cell(2, "Testing"), "Usage 'Testing' is none of Training, PublicTest, PrivateTest"),
    "truncated": (lambda line: line[:100], "2 columns instead of 3; the file is truncated"),
}


@pytest.mark.parametrize("case", BAD_LINES)
def test_a_bad_line_is_named_by_its_number(faces, tmp_path, case):
    change, expected = BAD_LINES[case]
    path = write_csv(tmp_path, faces)
    _edit(path, 5, change)
    with pytest.raises(BadDataError) as error:
        read_fer2013(str(tmp_path))
    assert f"{path}, line 5: " in error.value.problem
    assert expected in error.value.problem
    assert error.value.hint


def test_a_file_that_breaks_off_is_named_by_its_last_line(faces, tmp_path):
    path = write_csv(tmp_path, faces)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    n_lines = path.read_bytes().count(b"\n") + 1
    with pytest.raises(BadDataError, match=f"line {n_lines}: "):
        read_fer2013(str(tmp_path))


@pytest.mark.parametrize("header", ["label,pixels,Usage", "", "emotion pixels Usage"])
def test_another_header_is_shown(faces, tmp_path, header):
    path = write_csv(tmp_path, faces)
    _edit(path, 1, lambda _: header)
    with pytest.raises(BadDataError, match="line 1: expected the columns emotion, pixels and Usage"):
        read_fer2013(str(tmp_path))


def test_header_without_rows(tmp_path):
    (tmp_path / "fer2013.csv").write_text("emotion,pixels,Usage\n")
    with pytest.raises(BadDataError, match="no rows"):
        read_fer2013(str(tmp_path))


def test_an_empty_class_is_named_with_its_split(faces, tmp_path):
    keep = ~((faces.labels == 1) & (faces.usage == "PrivateTest"))
    write_csv(tmp_path, Faces(faces.images[keep], faces.labels[keep], faces.usage[keep]))
    with pytest.raises(BadDataError, match="test has no image of disgust"):
        read_fer2013(str(tmp_path))


def test_an_image_of_another_size_in_class_folders_is_named(faces, tmp_path):
    write_folders(tmp_path, faces)
    path = next((tmp_path / "train" / "happy").iterdir())
    cv2.imwrite(str(path), smooth_images(1, side=64)[0])
    with pytest.raises(BadDataError) as error:
        read_fer2013(str(tmp_path))
    assert f"{path}: the image is 64 x 64 px, not 48 x 48" in error.value.problem
    assert "folder:NAME" in error.value.hint


def test_complete_class_folders_that_still_carry_the_rows_are_the_known_copy(tmp_path, monkeypatch):
    # The real sizes in small: five rows have no name in FER+ and identify nothing.
    faces = make_faces()
    counts = {"train": 42, "validation": 14, "test": 14}
    monkeypatch.setattr(module, "OFFICIAL", counts)
    monkeypatch.setattr(module, "UNNAMED_ROWS", np.array([3, 17, 43, 57, 69]))
    write_csv(tmp_path / "csv", faces)
    write_folders(tmp_path / "folders", faces)
    table, folders = read_fer2013(str(tmp_path / "csv")), read_fer2013(str(tmp_path / "folders"))
    assert folders.checksums == table.checksums
    assert folders.ids.tolist() == table.ids.tolist()
    assert folders.split.tolist() == table.split.tolist()
    assert folders.targets["fer7"].tolist() == table.targets["fer7"].tolist()
    assert all((folders.images[i] == table.images[i]).all() for i in range(len(faces)))
    assert folders.layout == "class folders"


@needs_real
def test_the_real_file(real_faces):
    samples = read_fer2013(str(real_faces))
    assert (
        {split: len(samples.where(split)) for split in SPLITS}
        == OFFICIAL
        == {"train": 28709, "validation": 3589, "test": 3589}
    )
    assert samples.checksums == PROTOCOLS["fer2013-fer7"].checksums
    assert samples.notes == []
    assert np.bincount(samples.targets["fer7"]).tolist() == [4953, 547, 5121, 8989, 6077, 4002, 6198]


@needs_real
def test_exact_duplicates_across_the_real_splits(real_faces):
    samples = read_fer2013(str(real_faces))
    elsewhere: dict[bytes, int] = {}
    for i in np.flatnonzero(samples.split != "test"):
        elsewhere.setdefault(samples.images[int(i)].tobytes(), int(i))
    pairs = {
        int(i): elsewhere[content]
        for i in samples.where("test")
        if (content := samples.images[int(i)].tobytes()) in elsewhere
    }
    assert len(pairs) == 315
    some = np.unique([*pairs, *pairs.values(), *range(0, len(samples), 50)])
    found = find_duplicates(Subset(samples.images, some), samples.split[some])
    exact = {int(some[i]) for i, sure in zip(found.test, found.exact, strict=True) if sure}
    assert exact == set(pairs)
