"""muxspace's faces, on the first lines of the real legend and some of those that are unlike the rest."""

from __future__ import annotations

import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_bench.data.splits import hold_out
from fer_bench.datasets.load import build_datamodule
from fer_bench.datasets.muxspace import PERSON, MuxspaceDataModule
from fer_bench.errors import MissingDataError, SpecError
from fer_bench.labels import FER8
from fer_bench.spec import build

# Real lines of data/legend.csv, its header included.
LEGEND = """user.id,image,emotion
628,facial-expressions_2868588k.jpg,anger
628,facial-expressions_2868585k.jpg,surprise
628,facial-expressions_2868584k.jpg,disgust
628,facial-expressions_2868582k.jpg,fear
"""
# And its one contradiction.
OPPOSED = "jhamski,Avinash_30.jpg,SURPRISE\njhamski,Avinash_30.jpg,SADNESS\n"
REAL = os.environ.get("FER_BENCH_TEST_MUXSPACE")


def write(root, lines):
    (root / "data").mkdir(parents=True)
    (root / "images").mkdir()
    (root / "data" / "legend.csv").write_text(lines)
    for i, line in enumerate(lines.splitlines()[1:]):
        picture = np.random.default_rng(i).integers(0, 255, (60, 50, 3)).astype(np.uint8)
        cv2.imwrite(str(root / "images" / line.split(",")[1]), picture)


@pytest.mark.parametrize(
    ("name", "person"),
    [
        ("George_W_Bush_0012.jpg", "George_W_Bush"),
        ("Avinash_30.jpg", "Avinash"),
        ("facial-expressions_2868588k.jpg", "facial-expressions"),
        ("HrithikRoshan_7.jpg", "HrithikRoshan"),
        ("Stacey_Dales-Schuman_0001.jpg", "Stacey_Dales-Schuman"),
    ],
)
def test_the_person_is_the_beginning_of_the_file_name(name, person):
    assert re.search(PERSON, name)[1] == person


def test_labels_people_and_splits(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))
    names = ("anger", "HAPPINESS", "Neutral", "sadness", "surprise", "disgust", "fear", "contempt")
    made = "".join(f"906,Person{'ABCDEFGHIJKLMNOPQRST'[i % 20]}_{i:04d}.jpg,{names[i % 8]}\n" for i in range(160))
    write(tmp_path / "muxspace", LEGEND + made + "906,PersonA_0000.jpg,Anger\n" + OPPOSED)
    module = MuxspaceDataModule("fer8", data_dir=str(tmp_path))
    module.setup()
    samples = module.read_samples
    assert len(samples) == 164
    assert ("Avinash_30.jpg", "rows that contradict each other") in samples.quarantined
    labels = dict(zip(samples.ids.tolist(), samples.targets["fer8"].tolist(), strict=True))
    assert FER8.names[labels["facial-expressions_2868585k.jpg"]] == "surprise"
    assert FER8.names[labels["PersonB_0001.jpg"]] == "happiness"
    people = samples.columns["identity"].astype(str)
    assert all(len(set(samples.split[people == person])) == 1 for person in np.unique(people))
    assert (samples.split == "test")[hold_out(samples.ids, samples.targets["fer8"], 0.2, people, salt="test")].all()
    assert "2 rows name an image that an earlier row names too" in samples.notes
    assert "duplicate" in samples.columns
    assert samples.images[0].shape[:2] == (96, 96)


def test_where_it_is_not_and_what_it_has_not(tmp_path):
    with pytest.raises(MissingDataError, match=r"data/legend\.csv.*muxspace/facial_expressions"):
        MuxspaceDataModule("fer8", data_dir=str(tmp_path)).read()
    with pytest.raises(SpecError, match="no option 'identity'"):
        build({"dataset": "muxspace", "task": "fer8", "dataset_options": {"identity": "x"}})


@pytest.mark.skipif(not REAL, reason="FER_BENCH_TEST_MUXSPACE names no copy of muxspace/facial_expressions")
def test_the_real_copy(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))
    spec = build({"dataset": "muxspace", "task": "fer8", "image_size": 24, "execution": {"data_dir": str(Path(REAL))}})
    module = build_datamodule(spec, reading=True)
    module.setup()
    samples = module.read_samples
    assert len(samples) == 13_681
    assert samples.facts["people"]["n_in_several_splits"] == 0
