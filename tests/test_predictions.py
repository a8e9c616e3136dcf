from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import time

import numpy as np
import pytest

from fer_bench.atomic import write_atomically
from fer_bench.errors import RecordError
from fer_bench.predictions import Predictions


def predictions(n=20, **columns):
    generator = np.random.default_rng(0)
    content = {
        "ids": np.array([f"é{i:03d}" for i in range(n)]),
        "targets": generator.integers(7, size=n),
        "outputs": generator.random((n, 7)).astype(np.float32),
        "flags": {"duplicate": generator.random(n) < 0.3, "a": np.ones(n, dtype=bool)},
        "groups": np.array([f"p{i % 4}" for i in range(n)]),
    }
    return Predictions(**(content | columns))


def equal(a, b):
    same = (
        a.ids.tolist() == b.ids.tolist()
        and (a.targets == b.targets).all()
        and np.array_equal(a.outputs, b.outputs, equal_nan=True)
    )
    flags = a.flags.keys() == b.flags.keys() and all((a.flags[name] == b.flags[name]).all() for name in a.flags)
    return (
        same
        and flags
        and (a.groups is None) == (b.groups is None)
        and (a.groups is None or (a.groups == b.groups).all())
    )


@pytest.mark.parametrize(
    "columns", [{}, {"flags": {}, "groups": None}, {"targets": np.random.default_rng(1).random((20, 2))}]
)
def test_what_is_written_is_read(tmp_path, columns):
    made = predictions(**columns)
    made.outputs[3] = np.nan
    path = tmp_path / "x.npz"
    write_atomically(path, made.to_bytes())
    assert equal(Predictions.load(path, hashlib.sha256(path.read_bytes()).hexdigest()), made)


def test_the_same_predictions_always_give_the_same_bytes(monkeypatch):
    first = predictions().to_bytes()
    later = time.localtime(time.time() + 90_000_000)
    monkeypatch.setattr(time, "localtime", lambda *_: later)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    assert predictions().to_bytes() == first
    reordered = predictions(flags=dict(reversed(predictions().flags.items())))
    assert reordered.to_bytes() == first


def test_columns_of_other_lengths_and_double_ids_are_refused():
    for name, column in (
        ("targets", np.zeros(3)),
        ("outputs", np.zeros((19, 7))),
        ("groups", np.array(["a"])),
        ("flags", {"duplicate": np.ones(2, dtype=bool)}),
    ):
        with pytest.raises(RecordError, match=f"{'duplicate' if name == 'flags' else name} has"):
            predictions(**{name: column})
    with pytest.raises(RecordError, match="more than once"):
        predictions(ids=np.array(["same"] * 20))


def test_select_by_mask_and_by_position():
    made = predictions()
    some = made.select(np.array([5, 2]))
    assert some.ids.tolist() == ["é005", "é002"]
    assert some.groups.tolist() == ["p1", "p2"]
    assert len(made.select(made.flags["duplicate"])) == int(made.flags["duplicate"].sum())


def test_missing_and_altered_files(tmp_path):
    path = tmp_path / "x.npz"
    with pytest.raises(RecordError, match=r"x\.npz: the predictions file is missing"):
        Predictions.load(path)
    path.write_bytes(predictions().to_bytes())
    with pytest.raises(RecordError, match="not the one that its record names"):
        Predictions.load(path, "0" * 64)


DAMAGES = {
    "empty": lambda good: b"",
    "text": lambda good: b"hello",
    "half": lambda good: good[: len(good) // 2],
    "a changed byte early": lambda good: good[:70] + bytes([good[70] ^ 255]) + good[71:],
    "changed bytes in an array": lambda good: good[:200] + bytes(b ^ 255 for b in good[200:260]) + good[260:],
    "a stream that does not inflate": lambda good: good[:51] + b"\xff" * 8 + good[59:],
    "a lone array": lambda good: b"\x93NUMPY\x01\x00",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_files_are_named(tmp_path, damage):
    path = tmp_path / "x.npz"
    path.write_bytes(DAMAGES[damage](predictions().to_bytes()))
    with pytest.raises(RecordError) as error:
        Predictions.load(path)
    assert str(path) in error.value.problem
    assert "\n" not in str(error.value)


def test_damage_anywhere_is_noticed_or_does_no_harm(tmp_path):
    made = predictions()
    good, path = made.to_bytes(), tmp_path / "x.npz"
    for at in range(0, len(good), 5):
        path.write_bytes(good[:at] + b"\xff" * 8 + good[at + 8 :])
        with contextlib.suppress(RecordError):
            found = Predictions.load(path)
            assert (found.outputs == made.outputs).all()
            assert (found.targets == made.targets).all()
            assert found.ids.tolist() == made.ids.tolist()


def test_archives_without_the_columns_or_with_code_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", ids=np.array(["a"]))
    np.savez(tmp_path / "b.npz", ids=np.array([print], dtype=object), targets=np.zeros(1), outputs=np.zeros((1, 7)))
    np.save(tmp_path / "c.npz", np.zeros(3))
    (tmp_path / "c.npz.npy").rename(tmp_path / "c.npz") if (tmp_path / "c.npz.npy").exists() else None
    for name in "abc":
        with pytest.raises(RecordError, match=rf"{name}\.npz: not a predictions file"):
            Predictions.load(tmp_path / f"{name}.npz")


@pytest.mark.parametrize("when", ["fsync", "replace"])
def test_an_interrupted_write_leaves_the_old_file_and_no_part(tmp_path, monkeypatch, when):
    path = tmp_path / "deep" / "x.bin"
    write_atomically(path, b"old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    if when == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr(type(path), "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in path.parent.iterdir()] == ["x.bin"]
