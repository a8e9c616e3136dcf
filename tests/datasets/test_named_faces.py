"""JAFFE and KDEF: what the names say. The names are those that the authors' codes and public programs quote; the
pictures are made up.
"""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fer_bench.cli.audit import report
from fer_bench.datasets.jaffe import JaffeDataModule, read_jaffe
from fer_bench.datasets.kdef import KdefDataModule, read_kdef
from fer_bench.errors import BadDataError, MissingDataError
from fer_bench.labels import FER7
from fer_bench.protocols.kdef import KdefOptions
from tests.datasets.fakes_pictures import write_picture

JAFFE_QUOTED = {
    "KA.AN1.39.tiff": "angry",
    "KA.DI1.42.tiff": "disgust",
    "KA.FE3.47.tiff": "fear",
    "KA.HA1.29.tiff": "happy",
    "KA.NE1.26.tiff": "neutral",
    "KA.SA2.34.tiff": "sad",
    "KA.SU3.38.tiff": "surprise",
    "KL.HA2.159.tiff": "happy",
}
# The example of the authors' table of codes, and the names of public programs.
KDEF_QUOTED = {"AF01ANFL.JPG": "angry", "AF01AFS.JPG": "fear", "AF01AFFL.JPG": "fear"}
PEOPLE = [f"{sex}{i:02d}" for sex in "FM" for i in range(1, 7)]
CODES = ("AF", "AN", "DI", "HA", "NE", "SA", "SU")


def labelled(samples):
    return {name: FER7.names[label] for name, label in zip(samples.ids, samples.targets["fer7"], strict=True)}


def jaffe(root, people=10):
    for p in range(people):
        for i, code in enumerate(CODES[1:]):
            write_picture(root / f"{chr(65 + p)}Z.{code}1.{6 * p + i + 1}.tiff", 6 * p + i)
    return root


def test_jaffes_names(tmp_path):
    for i, name in enumerate(JAFFE_QUOTED):
        write_picture(tmp_path / "jaffe" / "jaffedbase" / name, i)
    write_picture(tmp_path / "jaffe" / "logo.png")
    samples = read_jaffe(str(tmp_path), size=32)
    assert labelled(samples) == {name.removesuffix(".tiff"): label for name, label in JAFFE_QUOTED.items()}
    assert sorted(set(samples.columns["identity"])) == ["KA", "KL"]
    assert samples.images[0].shape == (32, 32, 3)
    assert "1 pictures left out, whose names do not follow the dataset's: logo.png" in samples.notes
    assert "this copy has 8, the complete one 213" in samples.notes


def test_jaffes_names_in_a_copy_that_was_converted(tmp_path):
    for i, name in enumerate(JAFFE_QUOTED):
        write_picture(tmp_path / "jaffe" / f"{name}.bmp", i)
    assert labelled(read_jaffe(str(tmp_path))) == {name[:-5]: label for name, label in JAFFE_QUOTED.items()}


def test_kdefs_names_angles_and_crops(tmp_path):
    portrait = np.zeros((76, 56, 3), np.uint8)
    portrait[10:66] = 200
    for name in KDEF_QUOTED:
        write_picture(tmp_path / "kdef/KDEF/AF01" / name, portrait)
    # The same woman in the second session, and an averaged face.
    write_picture(tmp_path / "kdef/KDEF/BF01/BF01HAHR.JPG", portrait)
    write_picture(tmp_path / "kdef/AKDEF/FAFFL.JPG", portrait)
    samples = read_kdef(str(tmp_path), size=28)
    quoted = {name.removesuffix(".JPG"): label for name, label in KDEF_QUOTED.items()}
    assert labelled(samples) == quoted | {"BF01HAHR": "happy"}
    assert set(samples.columns["identity"]) == {"F01"}
    assert sorted(samples.columns["attribute:angle"]) == ["FL", "FL", "HR", "S"]
    assert samples.images[0].min() > 190
    assert any("left out" in note and "FAFFL.JPG" in note for note in samples.notes)
    assert read_kdef(str(tmp_path), KdefOptions(angles="straight")).ids.tolist() == ["AF01AFS"]
    assert len(read_kdef(str(tmp_path), KdefOptions(angles="half"))) == 2
    (tmp_path / "kdef/KDEF/AF01/AF01AFS.JPG").unlink()
    with pytest.raises(BadDataError, match=r"none of 3 pictures is of the angles S\. .*angles=all"):
        read_kdef(str(tmp_path), KdefOptions(angles="straight"))


@pytest.mark.parametrize(("module", "read"), [(JaffeDataModule, read_jaffe), (KdefDataModule, read_kdef)])
def test_wrong_folders_copies_and_damage(tmp_path, module, read):
    with pytest.raises(MissingDataError, match=rf"{module.dataset!r}: found no pictures such as .*researchers"):
        read(str(tmp_path))
    name = "KA.AN1.39.tiff" if read is read_jaffe else "AF01AFS.JPG"
    write_picture(tmp_path / "a" / name)
    write_picture(tmp_path / "b" / name, 1)
    with pytest.raises(BadDataError, match=rf"is there twice, in a/{name} and in b/{name}"):
        read(str(tmp_path))
    (tmp_path / "b" / name).unlink()
    (tmp_path / "a" / name).write_bytes(b"II*\x00")
    with pytest.raises(BadDataError, match="1 of 1 pictures cannot be used, more than 1%"):
        read(str(tmp_path))


def test_what_is_there_instead_is_said(tmp_path):
    home = tmp_path / "kdef"
    with pytest.raises(MissingDataError, match=r"kdef \(no such folder\) and \S+ \(empty\)"):
        read_kdef(str(tmp_path))
    home.mkdir()
    (home / "KDEF_and_AKDEF.zip").write_bytes(b"PK")
    (home / ".DS_Store").write_bytes(b"")
    with pytest.raises(MissingDataError, match=r"kdef \(there: KDEF_and_AKDEF.zip\) and \S+ \(there: kdef/\)"):
        read_kdef(str(tmp_path))
    for name in ("a.txt", "b.txt", "c\n.txt", "d.txt", "e.txt", "z"):
        (home / name).mkdir() if name == "z" else (home / name).touch()
    with pytest.raises(MissingDataError, match=r"there: z/, KDEF_and_AKDEF.zip, a.txt, b.txt, c\\n.txt, \.\.\.\)"):
        read_kdef(str(tmp_path))


def test_nobody_is_in_two_splits(tmp_path):
    jaffe(tmp_path / "jaffe")
    module = JaffeDataModule("fer7", data_dir=str(tmp_path), image_size=32)
    module.setup()
    samples = module.read_samples
    parts = {part: set(samples.groups[samples.split == part]) for part in ("train", "validation", "test")}
    assert [len(people) for people in parts.values()] == [7, 2, 1]
    assert not parts["train"] & parts["test"]
    assert next(iter(module.val_dataloader()))["image"].shape == (12, 3, 32, 32)
    said = "\n".join(report("jaffe", None, str(tmp_path), 0))
    assert "unverified: the reader follows the names" in said


def test_kdef_as_a_dataset(tmp_path):
    for p, person in enumerate(PEOPLE):
        for i, code in enumerate(CODES):
            for s, session in enumerate("AB"):
                write_picture(tmp_path / f"kdef/{session}{person}/{session}{person}{code}S.JPG", 100 * p + 10 * i + s)
    said = "\n".join(report("kdef", None, str(tmp_path), 0))
    assert "this copy has 168, the complete one 4,900" in said
    assert "unverified: the reader follows the authors' table of codes" in said
    module = KdefDataModule("fer7", data_dir=str(tmp_path), image_size=16, options={"fold": 3, "folds": 6})
    module.setup()
    assert len(module.read_samples.where("test")) == 28


def test_a_picture_that_turns_bad_is_named(tmp_path):
    root = jaffe(tmp_path / "jaffe", people=20)
    assert len(read_jaffe(str(tmp_path))) == 120
    path = root / "AZ.AN1.1.tiff"
    path.write_bytes(path.read_bytes()[:100])
    samples = read_jaffe(str(tmp_path))
    assert len(samples) == 119
    assert samples.quarantined[0][0] == "AZ.AN1.1"
    assert cv2.imread(str(path)) is None
