"""Tables, figures and labels are put in place whole: a disk that fills up leaves the former file and nothing else."""

import errno
import os
import re

import numpy as np
import pandas as pd
import pytest

from fer_bench.annotate.export import write_file, write_table
from fer_bench.atomic import write_atomically
from fer_bench.data.label_file import write_labels
from fer_bench.errors import FerBenchError
from fer_bench.labels import FER7
from fer_bench.studies.reannotation.drawing import new_figure, save_png
from fer_bench.studies.reannotation.label_errors import write_error_table

WRITERS = {
    "labels.csv": lambda path: write_labels(path, ["a"], np.array([3]), np.array([0.5]), FER7),
    "errors.csv": lambda path: write_error_table(path, ["id"], [["a"]]),
    "figure.png": lambda path: save_png(new_figure(1, 1)[0], path),
    "answers.csv": lambda path: write_table(pd.DataFrame({"rater": ["a"]}), path),
    "chosen.csv": lambda path: write_file(path, b"new"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch, name):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / name
    path.write_bytes(b"former")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises((OSError, FerBenchError)):
            WRITERS[name](path)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [(name, b"former")]
    WRITERS[name](path)
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert path.read_bytes() != b"former"


def test_what_cannot_be_written_is_called_by_its_own_name(tmp_path):
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", tmp_path / ("a" * 255)):
        with pytest.raises(OSError, match=re.escape(repr(str(path)))) as refused:
            write_atomically(path, b"new")
        assert ".part" not in str(refused.value)
    assert [file.name for file in tmp_path.iterdir()] == ["folder"]
