"""Small data, and files of predictions in every format in which a program could save them."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from fer_bench.labels import FER7
from fer_bench.results.store import Store
from tests.fakes import make_faces, write_csv

PROTOCOL = "fer2013-fer7"
SPELLINGS = {
    "angry": ("angry", "Anger", " ANGRY "),
    "disgust": ("disgust", "Disgusted"),
    "fear": ("fear", "fearful"),
    "happy": ("happy", "Happiness", "joy"),
    "sad": ("sad", "sadness"),
    "surprise": ("surprise", "suprise"),
    "neutral": ("neutral", "Neutrality"),
}


def faces_at(folder, per_class=(4, 2, 4)):
    """A small fer2013.csv; returns its data root."""
    write_csv(folder / "fer2013", make_faces(per_class))
    return folder


def probabilities(n, seed=0, n_classes=7):
    return np.random.default_rng(seed).dirichlet(np.ones(n_classes), size=n)


def write(path, columns):
    """Columns by name as the format that the path's ending says; None is an empty cell."""
    if path.suffix == ".npz":
        np.savez(path, **{name: np.array(cells) for name, cells in columns.items()})
    elif path.suffix == ".parquet":
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.table({name: pa.array(cells) for name, cells in columns.items()}), path)
    else:
        delimiter = "\t" if path.suffix == ".tsv" else ","
        text = io.StringIO()
        writer = csv.writer(text, delimiter=delimiter)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
        path.write_text(text.getvalue(), encoding="utf-8")
    return path


def table_of(ids, outputs, key="id", names=FER7.names):
    """Columns of ids and one per class."""
    return {key: list(ids), **{name: [float(v) for v in outputs[:, i]] for i, name in enumerate(names)}}


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """The small faces, once a module."""
    return faces_at(tmp_path_factory.mktemp("faces"))


@pytest.fixture
def store(faces, tmp_path, monkeypatch):
    """An empty store beside the small faces."""
    monkeypatch.setenv("FER_BENCH_CACHE", str(faces / "cache"))
    monkeypatch.setenv("FER_BENCH_DATA", str(faces))
    return Store(tmp_path / "leaderboards")
