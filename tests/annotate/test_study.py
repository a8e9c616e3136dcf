from __future__ import annotations

import re
from pathlib import Path

import pytest

from fer_bench.annotate.study import StudyFile, load_study, write_example
from fer_bench.errors import BadDataError, FerBenchError, MissingDataError, SpecError
from fer_bench.yaml_lines import read_yaml

from .fakes import draw_face, write_study


def test_reads_images_labels_practice_and_catch(tmp_path: Path) -> None:
    study = load_study(write_study(tmp_path))
    assert len(study.main) == 12
    assert {image.label for image in study.main} == {"happy", "neutral", "sad", "surprise"}
    assert [image.name for image in study.practice] == ["extra/practice.png"]
    assert study.catch[0][1].points() == ("category", "valence")


def test_example_is_a_valid_study(tmp_path: Path) -> None:
    path = write_example(tmp_path / "study.yaml")
    StudyFile.model_validate(read_yaml(path).content)
    # every key that is commented out is valid too
    text = re.sub(
        r"(?m)^(\s*)#"
        r" (?=(table|per_rater|reject_reasons|deciding_factors|age_groups|practice|catch|prescreen|completion_url| "
        r" [-\w ]))",
        r"\1",
        path.read_text(),
    )
    path.write_text(text.replace("wheel: false", "wheel: true"))
    full = StudyFile.model_validate(read_yaml(path).content)
    assert all((full.practice, full.catch, full.prescreen, full.completion_url))
    assert full.images.per_rater == 50
    with pytest.raises(SpecError, match="exists"):
        write_example(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title:", "titel:", r"study\.yaml, line 3: unknown key 'titel'.*Did you mean 'title'"),
        ("repeat_gap: 3", "repeat_gap: three", r"study\.yaml, line 18: repeat_gap: .*integer.*'three'"),
        ("version: '1'", "version: 1.10", r"line 2: version: .*quotes"),
        ("name: faces", "name: ../faces", r"line 1: name: "),
        ("- happy\n", "- happy\n  - Happy\n", r"line 8: form\.categories: an entry is listed twice"),
        ("- 6\n", "- 16\n", r"line 28: catch\.0\.expect\.valence\.0: .*less than or equal to 9"),
        ("    - 6\n    - 9", "    - 9\n    - 6", r"line 27: catch\.0\.expect\.valence: the lower bound is above"),
        (
            "    category:\n    - happy",
            "    category:\n    - hapy",
            r"line 25: catch\.0\.expect\.category: 'hapy' is not one of",
        ),
        ("seed: 7", "seed: 7\nseed: 8", r"line 5: key 'seed' is given twice \(first on line 4\)"),
        ("seed: 7", "seed: [7", r"line \d+: not valid YAML"),
        ("repeats: 2", "repeats: 12", r"line 17: repeats: 12 of 12 images cannot be repeated.*at most 9"),
        ("folder: images", "folder: nowhere", r"line \d+: images\.folder: .*nowhere is not a folder"),
        (
            "folder: images",
            "folder: images\n  per_rater: 40",
            r"line 7: images\.per_rater is 40, but there are 12 images",
        ),
        ("extra/practice.png", "extra/absent.png", r"practice: 1 of 1 images are missing .*extra/absent\.png"),
        ("extra/practice.png", "../study.yaml", r"'\.\./study\.yaml' does not stay below"),
        ("extra/practice.png", "/etc/passwd.png", r"does not stay below"),
        ("extra/practice.png", "extra/laughing.png", r"is listed twice among practice and catch"),
    ],
)
def test_malformed_study_names_file_line_and_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = write_study(tmp_path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(FerBenchError, match=message) as caught:
        load_study(path)
    assert "\n" not in str(caught.value)


def test_missing_key_and_wrong_kinds_of_file(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="key 'consent' is missing"):
        load_study(write_study(tmp_path, consent=None))
    with pytest.raises(SpecError, match="there is no file"):
        load_study(tmp_path / "absent.yaml")
    for content in (b"\xff\xfe\x00", b"- a\n- b\n", b"", b"x: \x07"):
        (tmp_path / "bad.yaml").write_bytes(content)
        with pytest.raises(SpecError):
            load_study(tmp_path / "bad.yaml")


def test_catch_must_ask_what_it_expects(tmp_path: Path) -> None:
    catch = [{"image": "extra/laughing.png", "expect": {"wheel": ["joy"]}}]
    with pytest.raises(SpecError, match=r"catch\.0\.expect\.wheel is expected, but the form does not ask"):
        load_study(write_study(tmp_path, catch=catch))


def test_table_of_images(tmp_path: Path) -> None:
    path = write_study(tmp_path, images={"folder": "images", "table": "chosen.csv"}, repeats=0)
    table = tmp_path / "chosen.csv"
    table.write_text("path,label\nhappy/001.png,fear\nsad/000.png,\n")
    assert [(image.name, image.label) for image in load_study(path).main] == [
        ("happy/001.png", "fear"),
        ("sad/000.png", ""),
    ]
    for rows, error in (
        ("file\nhappy/001.png\n", "no column 'path'"),
        ("path\nhappy/001.png\nhappy/001.png\n", "is listed twice"),
        ("path\nhappy/777.png\n", "1 of 1 images are missing"),
        ("path\n../../secret.png\n", "line 2: image path .* does not stay below"),
        ("path,label\nhappy/001.png,a,b\n", "line 2: number of columns"),
        ("path\nhappy/001.svg\n", "not one of the image formats"),
    ):
        table.write_text(rows)
        with pytest.raises((BadDataError, MissingDataError), match=error):
            load_study(path)


def test_a_file_that_is_no_image_is_refused(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    (tmp_path / "images" / "happy" / "000.png").write_text("<svg onload=alert(1)>")
    with pytest.raises(BadDataError, match=r"happy/000\.png is not an image"):
        load_study(path)


def test_digest_follows_what_shapes_answers(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    before = load_study(path).digest()
    assert load_study(path).digest() == before
    draw_face(tmp_path / "images" / "sad" / "new.png", -1.0)
    assert load_study(path).digest() != before
