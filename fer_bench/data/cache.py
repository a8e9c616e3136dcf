"""Find what the user has, say how to get what is missing, and keep decoded copies that are keyed by their source."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from fer_bench import paths
from fer_bench.clutter import is_clutter_name
from fer_bench.data.contents import file_digests as file_digests
from fer_bench.data.contents import file_sha256 as file_sha256
from fer_bench.data.contents import listing_of as listing_of
from fer_bench.data.contents import listing_sha256 as listing_sha256
from fer_bench.data.contents import text_sha256 as text_sha256
from fer_bench.data.contents import tree_state as tree_state
from fer_bench.errors import BadDataError, HardwareError, MissingDataError
from fer_bench.protocols import info_of
from fer_bench.untrusted import shown

Arrays = dict[str, npt.NDArray[Any]]
# Of an entry in the cache; entries of another format are left alone.
_FORMAT = 2
# Of a folder in which a dataset is not, how many names.
_SHOWN = 5


def candidates(dataset: str, data_dir: str | None) -> list[Path]:
    """Folders in which a dataset is looked for: ``<root>/<dataset>`` first, then ``<root>`` itself."""
    root = paths.data_root(data_dir)
    return [root / dataset, root]


def missing(dataset: str, looked_for: Iterable[str], folders: Sequence[Path], how_to_get: str = "") -> MissingDataError:
    """Compose the error for a dataset that is not there, which says what is.

    Args:
        dataset: its name.
        looked_for: file names or patterns.
        folders: where was looked.
        how_to_get: one sentence; left out, what the dataset itself says.
    """
    what = " or ".join(looked_for)
    where = " and ".join(f"{folder} ({_held(folder)})" for folder in folders)
    how = how_to_get or info_of(dataset).how_to_get
    problem = f"dataset {dataset!r}: found no {what} in {where}."
    place = f"{f'{how} Then put' if how else 'Put'} it there"
    return MissingDataError(problem, f"{place}, or name its folder with DATA_DIR=, --data-dir or FER_BENCH_DATA.")


def _held(folder: Path) -> str:
    """What is there instead: an archive that is still packed, or a folder too many, is then seen at once."""
    try:
        found = sorted(path for path in folder.iterdir() if not is_clutter_name(path.name))
    except OSError as error:
        return "no such folder" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
    # Folders first: the data are in one of them more often than not.
    names = [[shown(path.name, 40) + end for path in found if path.is_dir() == bool(end)] for end in ("/", "")]
    listed = [*names[0], *names[1]]
    more = ", ..." if len(listed) > _SHOWN else ""
    return f"there: {', '.join(listed[:_SHOWN])}{more}" if listed else "empty"


def cached(dataset: str, key: str, build: Callable[[], tuple[Arrays, dict[str, Any]]]) -> tuple[Arrays, dict[str, Any]]:
    """Memory-mapped arrays from the cache, or built and put there.

    Args:
        dataset: folder name within the cache.
        key: identity of the source and of the reader's version; a changed source never meets a stale copy.
        build: returns arrays and JSON-able facts.

    Returns:
        The arrays (memory-mapped, read-only) and the facts.

    Raises:
        HardwareError: the disk is full.
        BadDataError: the cached copy is damaged, or the source cannot be read.
    """
    folder = paths.cache_dir() / dataset / f"{_FORMAT}-{key[:24]}"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not (folder / "facts.json").is_file():
            with FileLock(str(folder) + ".lock"):
                if not (folder / "facts.json").is_file():
                    _put(folder, *_built(build))
    except OSError as error:
        problem = f"the cache {folder} cannot be written: {error.strerror or error}."
        raise HardwareError(problem, "Free some space, or name another folder with FER_BENCH_CACHE.") from None
    try:
        return _open(folder)
    except (ValueError, EOFError, OSError, KeyError, TypeError) as error:
        problem = f"the cached copy {folder} is damaged ({error})."
        raise BadDataError(problem, "Delete that folder; it is computed again.") from None


def is_cached(dataset: str, key: str) -> bool:
    """Whether :func:`cached` has these arrays already."""
    return (paths.cache_dir() / dataset / f"{_FORMAT}-{key[:24]}" / "facts.json").is_file()


def _built(build: Callable[[], tuple[Arrays, dict[str, Any]]]) -> tuple[Arrays, dict[str, Any]]:
    try:
        return build()
    except OSError as error:
        # The source's fault, not the cache's.
        problem = f"{error.filename or 'the source'} cannot be read: {error.strerror or error}."
        raise BadDataError(problem, "Check the disk and the permissions.") from None


def _open(folder: Path) -> tuple[Arrays, dict[str, Any]]:
    content = json.loads((folder / "facts.json").read_text())
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in content["arrays"]}
    facts: dict[str, Any] = content["facts"]
    return arrays, facts


def _put(folder: Path, arrays: Arrays, facts: dict[str, Any]) -> None:
    # Under the lock: what another process has left here, it left when it was killed.
    for dead in folder.parent.glob(f".{folder.name}.*.part"):
        shutil.rmtree(dead, ignore_errors=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
    try:
        for name, array in arrays.items():
            np.save(part / f"{name}.npy", array)
        (part / "facts.json").write_text(json.dumps({"arrays": sorted(arrays), "facts": facts}))
        if folder.exists():
            shutil.rmtree(folder)
        part.rename(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
