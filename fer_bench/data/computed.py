"""Rows of N images that are computed once, kept on disk, and resumed where a pass was interrupted.

A cache's name is a hash of everything that decides its content. It is written block by block into a ``.part`` file with
a marker of how far it has come.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from fer_bench import paths
from fer_bench.atomic import write_atomically
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.errors import BadDataError, DamagedFileWarning, HardwareError

BLOCK = 512
Rows = Callable[[int], Iterator[npt.NDArray[Any]]]


@dataclass(frozen=True)
class Cached:
    """What a cache holds.

    Args:
        values: shape (N, ...), memory-mapped.
        key: name of the cache, from all that decides its content.
        n_computed: rows that were computed this time; 0 where the cache was complete.
    """

    values: npt.NDArray[Any]
    key: str
    n_computed: int


def dataset_identity(datamodule: AffectDataModule) -> dict[str, Any]:
    """What decides a dataset's images and their order.

    Raises:
        BadDataError: the dataset does not say what its images are.
    """
    samples = datamodule.read_samples
    if not samples.checksums:
        problem = (
            f"dataset {datamodule.name!r} has no checksums, so features of different copies cannot be distinguished."
        )
        raise BadDataError(problem, "Its reader must fill in Samples.checksums.")
    ids = hashlib.sha256("\n".join(samples.ids.tolist()).encode()).hexdigest()
    if samples.pictures:
        # What is computed of them serves every split.
        return {"dataset": datamodule.name, "pictures": samples.pictures, "ids": ids}
    return {
        "dataset": datamodule.name,
        "options": datamodule.options,
        "checksums": samples.checksums,
        "key": samples.key,
        "ids": ids,
    }


def read_or_compute(about: dict[str, Any], n: int, rows: Rows, kind: npt.DTypeLike, block: int = BLOCK) -> Cached:
    """Rows from the cache, or computed into it.

    Args:
        about: what decides the content, ready for JSON.
        n: rows.
        rows: called with how many rows are there already; yields the following ones in order, some at a time, shape (b,
            ...).
        kind: type of the values.
        block: rows between two marks of progress.

    Raises:
        HardwareError: the disk is full.

    A damaged or truncated file is computed anew, with a notice.
    """
    key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]
    path = paths.cache_dir() / "features" / f"{key}.npy"
    computed, values = 0, None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        values = _read(path, n, np.dtype(kind))
        if values is None:
            with FileLock(path.with_suffix(".lock")):
                # Another process may have computed it meanwhile.
                values = _read(path, n, np.dtype(kind))
                if values is None:
                    _warn_of_damage(path)
                    computed = _compute(path, n, rows, np.dtype(kind), block)
                    write_atomically(path.with_suffix(".json"), (json.dumps(about, indent=1) + "\n").encode())
                    values = np.load(path, mmap_mode="r")
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise
        problem = f"the feature cache {path} cannot be written: {error.strerror or error}."
        raise HardwareError(
            problem,
            "Free some space, or name another folder with FER_BENCH_CACHE; the same command resumes where it stopped.",
        ) from None
    return Cached(values, key, computed)


def _read(path: Path, n: int, kind: np.dtype[Any]) -> npt.NDArray[Any] | None:
    """What a file holds, memory-mapped; None where there is none, or a damaged one."""
    try:
        values: npt.NDArray[Any] = np.load(path, mmap_mode="r")
    except (ValueError, EOFError, OSError):
        return None
    return values if values.ndim and len(values) == n and values.dtype == kind else None


def _warn_of_damage(path: Path) -> None:
    if path.is_file():
        warnings.warn(f"the feature cache {path} is damaged: it is computed anew", DamagedFileWarning, stacklevel=3)


def _compute(path: Path, n: int, rows: Rows, kind: np.dtype[Any], block: int) -> int:
    """Fill the ``.part`` file from its current end, and put it in place; returns how many rows were computed."""
    part, marker = path.with_suffix(".part"), path.with_suffix(".progress")
    start, out = _resume(part, marker, n, kind)
    done = marked = start
    if start < n:
        for values in rows(start):
            if out is None:
                out = _begin(part, (n, *values.shape[1:]), kind)
            out[done : done + len(values)] = values
            done += len(values)
            if done - marked >= block or done == n:
                # The data before the marker: a marker never speaks of what is not on the disk.
                out.flush()
                write_atomically(marker, json.dumps({"done": done, "shape": out.shape}).encode())
                marked = done
    del out
    part.replace(path)
    marker.unlink(missing_ok=True)
    return n - start


def _resume(part: Path, marker: Path, n: int, kind: np.dtype[Any]) -> tuple[int, Any]:
    """How many rows an interrupted pass has done, and its file; (0, None) where there is none that can be trusted."""
    try:
        progress = json.loads(marker.read_text())
        out = np.lib.format.open_memmap(part, mode="r+")
        if (
            out.dtype == kind
            and list(out.shape) == progress["shape"]
            and out.shape[0] == n
            and 0 <= progress["done"] <= n
        ):
            return int(progress["done"]), out
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return 0, None


def _begin(part: Path, shape: tuple[int, ...], kind: np.dtype[Any]) -> Any:
    out = np.lib.format.open_memmap(part, mode="w+", dtype=kind, shape=shape)
    if hasattr(os, "posix_fallocate"):
        # A memory map that outgrows the disk ends the process; taking the space now is an error that can be reported.
        with part.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, part.stat().st_size)
    return out
