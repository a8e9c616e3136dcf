"""The raw index of AffectNet: every row of either release, or of a part of one, as arrays, built once and cached."""

from __future__ import annotations

import hashlib
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from fer_bench.atomic import write_atomically
from fer_bench.clutter import is_clutter_name
from fer_bench.data.contents import tree_state
from fer_bench.datasets.affectnet.lists import LIST_FOLDERS, list_files, read_lists
from fer_bench.datasets.affectnet.raw import ARRAYS, RawIndex
from fer_bench.datasets.affectnet.release_2021 import is_one_folder, read_2021, sets_of
from fer_bench.errors import BadDataError, MissingDataError

CACHE_VERSION = 2


def raw_index(root: Path, cache: Path | None = None) -> RawIndex:
    """Find the release under a folder and read its index, from the cache where its files have not changed.

    The cache is keyed by the state of every file of the release, see :func:`fer_bench.data.contents.tree_state`.

    Args:
        root: folder that holds the release, or its parent.
        cache: folder for the index, made if needed; None to read without one.

    Returns:
        The index.

    Raises:
        MissingDataError: neither release is found, nor a part of one.
        BadDataError: a file does not hold what the format says.
    """
    release, home = _find(root)
    key = (
        ""
        if cache is None
        else hashlib.sha256(repr((CACHE_VERSION, release, tree_state(home))).encode()).hexdigest()[:16]
    )
    file = None if cache is None else cache / f"affectnet-{release}-{key}.npz"
    if file is not None and file.is_file():
        cached = _load(file, release, home)
        if cached is not None:
            return cached
    index = read_lists(home) if release == "lists" else read_2021(home, release)
    if file is not None:
        _save(file, index)
    return index


def _find(root: Path) -> tuple[str, Path]:
    below = sorted(p for p in root.iterdir() if p.is_dir() and not is_clutter_name(p.name)) if root.is_dir() else []
    # A whole release first, wherever it is; then what is a part of one.
    parts: list[tuple[str, Path]] = []
    for home in (root, *below):
        for release, found in (("2021", len(sets_of(home, "2021"))), ("lists", len(list_files(home)))):
            if found == 2:
                return release, home
            parts += [(release, home)] if found else []
        parts += [("folder", home)] if is_one_folder(home) else []
    homes = list(dict.fromkeys(home for _, home in parts))
    if len(homes) > 1 and root not in homes:
        problem = f"{root}: {homes[0].name} and {homes[1].name} each hold a part of AffectNet."
        raise BadDataError(
            problem, "Call them train_set and val_set where they are these, or name the one that is meant."
        )
    if parts:
        return parts[0]
    seen = ", ".join(p.name for p in below[:8]) or "no folders"
    problem = (
        f"AffectNet is not in {root} (found: {seen}): looked for {LIST_FOLDERS[0]}/{{training,validation}}.csv, for"
        " {train_set,val_set}/{images,annotations} and for images/ with annotations/, there and one level below."
    )
    raise MissingDataError(
        problem,
        "AffectNet is given to researchers on request by its authors; unpack it there, or point to the folder that"
        " holds it.",
    )


def _save(file: Path, index: RawIndex) -> None:
    arrays: dict[str, Any] = {name: getattr(index, name) for name in ARRAYS}
    arrays["missing_reasons"] = np.array(list(index.missing), dtype=str)
    arrays["missing_counts"] = np.array(list(index.missing.values()), dtype=np.int64)
    stream = BytesIO()
    np.savez(stream, **arrays)
    write_atomically(file, stream.getvalue())


def _load(file: Path, release: str, home: Path) -> RawIndex | None:
    """The cached index, or None where the file is damaged: it is then built anew."""
    try:
        with np.load(file, allow_pickle=False) as stored:
            missing = {str(r): int(n) for r, n in zip(stored["missing_reasons"], stored["missing_counts"], strict=True)}
            return RawIndex(release=release, root=home, missing=missing, **{name: stored[name] for name in ARRAYS})
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
