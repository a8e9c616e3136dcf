"""Annotation files that are not what their names say: one error that names the file, or the file is counted as
unusable; never a traceback."""

from __future__ import annotations

import json
import shutil

import pytest

from fer_bench.datasets.afew_va import find_clips, read_afew_va
from fer_bench.datasets.affectnet.index import raw_index
from fer_bench.datasets.affectnet.raw import COLUMNS
from fer_bench.datasets.ferplus.generated import _read_labels
from fer_bench.datasets.ferplus.votes import read_votes
from fer_bench.datasets.semaine.sessions import find_recordings
from fer_bench.errors import BadDataError, MissingDataError
from tests.datasets.fakes_va import write_afew_va, write_avec, write_semaine

CONTENTS = {
    "a cell without end": lambda header: (header + "\n" + "x" * 200_000 + "\n").encode(),
    "a header without end": lambda _: ("x" * 200_000 + "\n").encode(),
    "a path without end": (
        lambda header: (header + "\n" + ",".join(["x" * 300 + "/a"] + ["0"] * header.count(",")) + "\n").encode()
    ),
    "UTF-16": lambda header: (header + "\n1,2,3\n").encode("utf-16"),
    "bytes": lambda _: bytes(range(256)) * 4,
    "nothing": lambda _: b"",
}


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))


def votes(root, content):
    (root / "fer2013new.csv").write_bytes(
        content("Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF")
    )
    read_votes(root / "fer2013new.csv")


def generated(root, content):
    (root / "label.csv").write_bytes(content('fer0000000.png,"(0, 0, 48, 48)",4,0,0,1,3,2,0,0,0,0'))
    _read_labels("train", root / "label.csv")


def affectnet(root, content):
    folder = root / "Manually_Annotated_file_lists"
    folder.mkdir()
    (folder / "training.csv").write_bytes(content(",".join(COLUMNS)))
    raw_index(root)


def avec(root, content):
    write_avec(root)
    next(root.rglob("TU_VA.csv")).write_bytes(content("Valence,Arousal"))
    find_recordings(root)


@pytest.mark.parametrize("reader", [votes, generated, affectnet, avec])
@pytest.mark.parametrize("content", CONTENTS)
def test_a_table_that_is_none(tmp_path, reader, content):
    with pytest.raises((BadDataError, MissingDataError), match=str(tmp_path)) as error:
        reader(tmp_path, CONTENTS[content])
    assert error.value.hint


@pytest.mark.parametrize(
    "content",
    [b"[" * 100_000, b'{"frames": ' * 300 + b"1" + b"}" * 300, b'{"frames": ' + b"1" * 5000 + b"}", b"\xff\xfe{", b""],
)
def test_a_clip_whose_json_is_too_deep_too_long_or_none_is_counted(tmp_path, content):
    write_afew_va(tmp_path, clips=4)
    clip = find_clips(tmp_path)[0]
    clip.write_bytes(content)
    samples = read_afew_va(str(tmp_path))
    assert samples.quarantined[0][1] in ("not valid JSON", "JSON without frames")


@pytest.mark.parametrize("name", ["../../outside", "first", "²", "1" * 5000])
def test_a_frame_is_a_number_and_leads_out_of_no_folder(tmp_path, name):
    write_afew_va(tmp_path, clips=4)
    clip = find_clips(tmp_path)[0]
    content = json.loads(clip.read_text())
    frame = sorted(content["frames"])[0]
    content["frames"][name] = content["frames"].pop(frame)
    clip.write_text(json.dumps(content))
    if len(name) < 100:
        shutil.copy(clip.parent / f"{frame}.png", clip.parent / f"{name}.png")
    assert "which is not a number" in read_afew_va(str(tmp_path)).quarantined[0][1]


@pytest.mark.parametrize(
    "content",
    [
        b"<?xml version='1.0' encoding='klingon'?><session/>",
        b"<?xml version='1.0' encoding='utf-7'?><session/>",
        b"<a>" * 9,
        None,
    ],
)
def test_a_session_whose_xml_cannot_be_read_is_counted(tmp_path, content):
    write_semaine(tmp_path, sessions=2, seconds=1)
    path = next(tmp_path.rglob("*.xml"))
    path.unlink()
    path.mkdir() if content is None else path.write_bytes(content)
    left_out = find_recordings(tmp_path)[2]
    assert (str(path), "no readable session XML") in left_out
