"""A digest is remembered only for a file that is as it was in size, times and inode."""

import hashlib
import os
import time
from pathlib import Path

import numpy as np
import pytest

from fer_bench.data import contents
from fer_bench.errors import BadDataError


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(contents, "_SETTLED_NS", 0)


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    read: list[Path] = []
    real = contents._sha256
    monkeypatch.setattr(contents, "_sha256", lambda path, strict: read.append(path) or real(path, strict))
    return read


def folder(tmp_path: Path) -> tuple[Path, list[Path]]:
    root = tmp_path / "files"
    root.mkdir()
    for name in "abc":
        (root / name).write_text(name * 10)
    return root, sorted(root.iterdir())


def test_unchanged_files_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, files = folder(tmp_path)
    read = count_reads(monkeypatch)
    first = contents.file_digests(root, files)
    assert bytes(first[0]) == hashlib.sha256(b"a" * 10).digest()
    assert np.array_equal(contents.file_digests(root, files), first)
    assert len(read) == 3
    with contents.distrust():
        contents.file_digests(root, files)
    assert len(read) == 6


def test_other_content_of_the_same_size_and_time_is_seen(tmp_path: Path) -> None:
    root, files = folder(tmp_path)
    before = contents.listing_sha256(root, files)
    stat = files[1].stat()
    time.sleep(0.02)
    files[1].write_text("x" * 10)
    os.utime(files[1], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (files[1].stat().st_size, files[1].stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    assert contents.listing_sha256(root, files) != before
    single = contents.file_sha256(files[1])
    time.sleep(0.02)
    files[1].write_text("y" * 10)
    os.utime(files[1], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert contents.file_sha256(files[1]) != single == hashlib.sha256(b"x" * 10).hexdigest()


def test_a_listing_is_of_names_and_content_wherever_the_folder_is(tmp_path: Path) -> None:
    root, files = folder(tmp_path)
    before = contents.listing_sha256(root, reversed(files))
    moved = root.rename(tmp_path / "elsewhere")
    assert contents.listing_sha256(moved, sorted(moved.iterdir())) == before
    (moved / "a").rename(moved / "d")
    assert contents.listing_sha256(moved, sorted(moved.iterdir())) != before


def test_files_that_changed_a_moment_ago_are_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "_SETTLED_NS", 10**12)
    root, files = folder(tmp_path)
    read = count_reads(monkeypatch)
    contents.file_digests(root, files)
    contents.file_digests(root, files)
    assert len(read) == 6


def test_an_unreadable_file_and_a_damaged_memo(tmp_path: Path) -> None:
    root, files = folder(tmp_path)
    before = contents.file_digests(root, files)
    for memo in (tmp_path / "cache" / "digests").iterdir():
        memo.write_bytes(b"damaged")
    assert np.array_equal(contents.file_digests(root, files), before)
    with pytest.raises(BadDataError, match="cannot be read"):
        contents.file_sha256(root / "missing")
