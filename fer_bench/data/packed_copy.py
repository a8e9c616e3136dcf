"""A packed copy of a dataset's images on the disk: how it is laid out, and whether it is as it was written.

A copy is a folder ``packed-<key>`` in the cache: ``plan.json`` from the beginning, ``rows.npy``, shards of raw pixels
``00000.bin``, each with its SHA-256 in ``00000.json``, and ``facts.json`` when it is complete.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_bench import paths
from fer_bench.data.contents import file_digests

FORMAT = 1
ROWS = "rows.npy"


@dataclass(frozen=True)
class Layout:
    """How a copy is laid out on the disk.

    Args:
        folder: of the copy.
        form: as of :class:`~fer_bench.data.packed.FromFiles`.
        n: images.
        shape: of each.
        per_shard: images in each shard but the last.
    """

    folder: Path
    form: str
    n: int
    shape: tuple[int, ...]
    per_shard: int

    @property
    def image_bytes(self) -> int:
        """Of one image."""
        return int(np.prod(self.shape))

    @property
    def n_bytes(self) -> int:
        """Of all images."""
        return self.n * self.image_bytes

    @property
    def shards(self) -> list[Path]:
        """In their order."""
        return [self.folder / f"{i:05d}.bin" for i in range(-(-self.n // self.per_shard))]

    def members(self, shard: int) -> range:
        """Positions of a shard's images."""
        return range(shard * self.per_shard, min((shard + 1) * self.per_shard, self.n))


def stored(dataset: str) -> list[Layout]:
    """The complete copies of a dataset."""
    found = []
    for facts in sorted((paths.cache_dir() / dataset).glob("packed-*/facts.json")):
        try:
            content = json.loads(facts.read_text())
            if content["format"] == FORMAT:
                found.append(
                    Layout(facts.parent, content["form"], content["n"], tuple(content["shape"]), content["per_shard"])
                )
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def damage(layout: Layout) -> list[str]:
    """What of a copy is not as it was written, one phrase each; empty: nothing. Shards are read again only where a
    file's size, times or inode are not as they were.
    """
    rows = (
        [] if rows_of(layout) is not None else [f"{ROWS}, which says what is where, {_state_of(layout.folder / ROWS)}"]
    )
    return [*rows, *(f"{shard.name} {how}" for shard, how in damaged_shards(layout).items())]


def damaged_shards(layout: Layout) -> dict[Path, str]:
    """The shards that are not as they were written, and how they are."""
    there = [shard for shard in layout.shards if shard.is_file()]
    digests = dict(zip(there, file_digests(layout.folder, there), strict=True))
    found = {}
    for i, shard in enumerate(layout.shards):
        whole = len(layout.members(i)) * layout.image_bytes
        if shard not in digests:
            found[shard] = "is missing"
        elif (size := shard.stat().st_size) != whole:
            found[shard] = f"has {size:,} bytes instead of {whole:,}"
        elif not (said := _said(shard)):
            found[shard] = "has lost its checksum"
        elif bytes(digests[shard]).hex() != said:
            found[shard] = "has other content than was written"
    return found


def _state_of(path: Path) -> str:
    return "is damaged, or of another copy" if path.is_file() else "is missing"


def unfinished(dataset: str) -> list[Path]:
    """Folders of copies that were begun and are not complete, or have lost what describes them."""
    known = {layout.folder for layout in stored(dataset)}
    folders = (path for path in (paths.cache_dir() / dataset).glob("packed-*") if path.is_dir())
    return sorted(folder for folder in folders if folder not in known)


def _said(shard: Path) -> str:
    """Digest of a shard as it was written; empty where nothing says it."""
    try:
        return str(json.loads(shard.with_suffix(".json").read_text())["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def rows_of(layout: Layout) -> npt.NDArray[np.uint8] | None:
    """The rows of a copy's images, in their order; None where they are not those from which the copy has its name."""
    try:
        rows = np.load(layout.folder / ROWS)
    except (OSError, ValueError, EOFError):
        return None
    fits = rows.ndim == 2 and len(rows) == layout.n and rows.dtype == np.uint8
    return rows if fits and layout.folder.name == name_of(layout.form, layout.shape, rows) else None


def name_of(form: str, shape: Sequence[int], rows: npt.NDArray[np.uint8]) -> str:
    """The folder of the copy that holds these rows."""
    key = hashlib.sha256(f"{FORMAT}|{form}|{tuple(shape)}|".encode() + rows.tobytes()).hexdigest()[:24]
    return f"packed-{key}"
