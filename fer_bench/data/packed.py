"""A packed copy of a dataset's images: decoded, at the size that a network is fed with, in a few large files.

Every image has a row that names what it was made of (the content of its file, and the box that was cut out), so a copy
serves whatever is a part of it: another task, fold or split. Where one image has no such row any more, because its file
has changed, the copy is not used.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from fer_bench import paths
from fer_bench.atomic import write_atomically
from fer_bench.data.packed_copy import FORMAT, ROWS, Layout, damage, damaged_shards, name_of, rows_of, stored
from fer_bench.data.samples import Images, Subset
from fer_bench.errors import BadDataError, DamagedFileWarning, HardwareError, Notice

_SHARD_BYTES = 256 * 2**20
_OPEN_FILES = 64


@runtime_checkable
class FromFiles(Protocol):
    """Images that are decoded from files, all of one shape."""

    @property
    def form(self) -> str:
        """What their pixels depend on besides the rows."""
        ...

    def rows(self) -> npt.NDArray[np.uint8]:
        """What each image is made of: shape (N, K); equal rows are equal images. Empty: not known."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]: ...


class Packed:
    """Images of a packed copy.

    They are read, not mapped: a mapping counts as memory of the process, and ends it where a file is shorter than it
    was.

    Args:
        layout: of the copy.
        at: shape (N,), positions in it.
    """

    def __init__(self, layout: Layout, at: npt.NDArray[np.int64]) -> None:
        self.layout, self._at = layout, at
        self._open: dict[int, int] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": {}}

    def __del__(self) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)

    def __len__(self) -> int:
        return len(self._at)

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]:
        """One image, of the copy's shape."""
        return self.stack([index])[0]

    def stack(self, index: Sequence[int] | npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """Several images, (B, ...), read into one array.

        Raises:
            BadDataError: a shard is shorter than it was, or gone.
        """
        out = np.empty((len(index), *self.layout.shape), dtype=np.uint8)
        for row, position in zip(out, self._at[np.asarray(index, dtype=np.int64)].tolist(), strict=True):
            shard, within = divmod(position, self.layout.per_shard)
            content = os.pread(self._descriptor(shard), row.nbytes, within * row.nbytes)
            if len(content) != row.nbytes:
                problem = f"the packed copy {self.layout.folder} is damaged: {shard:05d}.bin ends early."
                raise BadDataError(problem, "`fer-bench pack` writes that part again.")
            row.reshape(-1)[:] = np.frombuffer(content, dtype=np.uint8)
        return out

    def _descriptor(self, shard: int) -> int:
        if shard not in self._open:
            if len(self._open) >= _OPEN_FILES:
                os.close(self._open.pop(next(iter(self._open))))
            try:
                self._open[shard] = os.open(self.layout.folder / f"{shard:05d}.bin", os.O_RDONLY)
            except OSError as error:
                problem = f"the packed copy {self.layout.folder}: {shard:05d}.bin cannot be read ({error.strerror})."
                raise BadDataError(problem, "`fer-bench pack` writes that part again.") from None
        return self._open[shard]


def packed(dataset: str, images: Images) -> Images:
    """The same images from a packed copy, where there is one that holds them all; otherwise as they are.

    Args:
        dataset: its name in the cache.
        images: as read; of a :class:`~fer_bench.data.samples.Subset` those below it.
    """
    base, positions = _below(images)
    copies = [copy for copy in stored(dataset) if isinstance(base, FromFiles) and copy.form == base.form]
    if not copies or not isinstance(base, FromFiles) or not len(rows := base.rows()):
        return images
    lacking = []
    for layout in copies:
        there = rows_of(layout)
        if there is not None and (n := int((_positions(there, rows) < 0).sum())):
            lacking.append(n)
        elif bad := damage(layout):
            warnings.warn(
                f"the packed copy {layout.folder} is damaged ({', '.join(bad)}): images are decoded from their files;"
                " `fer-bench pack` writes those parts again",
                DamagedFileWarning,
                stacklevel=2,
            )
        else:
            assert there is not None
            found = Packed(layout, _positions(there, rows))
            return found if positions is None else Subset(found, positions)
    if lacking:
        warnings.warn(
            f"{dataset}: the packed copy lacks {min(lacking)} of {len(rows)} images as their files are now: images are"
            " decoded from their files; `fer-bench pack` packs them again",
            Notice,
            stacklevel=2,
        )
    return images


def pack(dataset: str, images: Images, jobs: int = 0) -> Iterator[tuple[Layout, int]]:
    """Write a packed copy, or the parts of it that are missing or damaged.

    A shard is complete or not there, so that a pass which was killed resumes after its last whole shard.

    Args:
        dataset: its name in the cache.
        images: as read.
        jobs: threads that decode; 0: one per core.

    Yields:
        The copy, and how many of its images are there: at the beginning, and after each shard.

    Raises:
        BadDataError: images that are not decoded from files, or one that cannot be read.
        HardwareError: the disk is full.
    """
    base, _ = _below(images)
    if not isinstance(base, FromFiles) or not is_packable(images):
        problem = f"dataset {dataset!r}: its images are not decoded from files at one size."
        raise BadDataError(problem, "There is nothing to pack: they are read as fast as from a packed copy.")
    rows = base.rows()
    first = np.sort(np.unique(_as_values(rows), return_index=True)[1])
    layout = _plan(dataset, base, rows[first])
    try:
        layout.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{layout.folder}.lock"):
            for done in _write(layout, base, rows[first], first, jobs):
                yield layout, done
    except OSError as error:
        problem = f"the packed copy {layout.folder} cannot be written: {error.strerror or error}."
        raise HardwareError(
            problem,
            "Free some space, or name another folder with FER_BENCH_CACHE; the same command resumes where it stopped.",
        ) from None


def is_packable(images: Images) -> bool:
    """Whether images are decoded from files of which each is known by its content."""
    base, _ = _below(images)
    return isinstance(base, FromFiles) and len(base.rows()) > 0


def row_digests(form: Sequence[Any], contents: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Rows of images that are made of a file and something else.

    Args:
        form: N values, such as boxes, that a text can stand for.
        contents: shape (N, K), digests of the files.

    Returns:
        Shape (N, 32), uint8.
    """
    joined = b"".join(
        hashlib.sha256(content.tobytes() + repr(value).encode()).digest()
        for value, content in zip(form, contents, strict=True)
    )
    return np.frombuffer(joined, dtype=np.uint8).reshape(len(contents), 32)


def _below(images: Images) -> tuple[Images, npt.NDArray[np.int64] | None]:
    return (images.images, images.positions) if isinstance(images, Subset) else (images, None)


def _as_values(rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.void]:
    """Each row as one value, to be sorted and found."""
    return np.ascontiguousarray(rows).view(f"V{rows.shape[1]}").reshape(-1)


def _positions(there: npt.NDArray[np.uint8], rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Where each row is among those of a copy, -1 where it is not."""
    if there.shape[1] != rows.shape[1]:
        return np.full(len(rows), -1)
    known, wanted = _as_values(there), _as_values(rows)
    order = np.argsort(known)
    at = order[np.minimum(np.searchsorted(known, wanted, sorter=order), len(known) - 1)]
    return np.where(known[at] == wanted, at, -1)


def _plan(dataset: str, images: FromFiles, rows: npt.NDArray[np.uint8]) -> Layout:
    shape = images[0].shape
    per_shard = max(_SHARD_BYTES // int(np.prod(shape)), 1)
    folder = paths.cache_dir() / dataset / name_of(images.form, shape, rows)
    return Layout(folder, images.form, len(rows), shape, per_shard)


def _write(
    layout: Layout,
    images: FromFiles,
    rows: npt.NDArray[np.uint8],
    first: npt.NDArray[np.int64],
    jobs: int,
) -> Iterator[int]:
    """Write what is missing; yields how many images are there."""
    content = {
        "format": FORMAT,
        "form": layout.form,
        "n": layout.n,
        "shape": layout.shape,
        "per_shard": layout.per_shard,
    }
    missing = [int(shard.stem) for shard in damaged_shards(layout)]
    facts = layout.folder / "facts.json"
    if missing:
        facts.unlink(missing_ok=True)
        write_atomically(layout.folder / "plan.json", json.dumps(content).encode())
        need = sum(len(layout.members(shard)) for shard in missing) * layout.image_bytes
        if (free := shutil.disk_usage(layout.folder).free) < need:
            problem = f"{layout.folder}: {need // 2**20} MiB are needed, and {free // 2**20} MiB are free."
            raise HardwareError(problem, "Free some space, or name another folder with FER_BENCH_CACHE.")
    done = layout.n - sum(len(layout.members(shard)) for shard in missing)
    yield done
    with ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
        for shard in missing:
            _write_shard(layout, shard, images, first, pool)
            done += len(layout.members(shard))
            yield done
    if missing or rows_of(layout) is None or not _same_facts(facts, content):
        part = layout.folder / "rows.part.npy"
        np.save(part, rows)
        part.replace(layout.folder / ROWS)
        write_atomically(facts, json.dumps(content).encode())


def _same_facts(facts: Path, content: dict[str, Any]) -> bool:
    try:
        return bool(json.loads(facts.read_text()) == json.loads(json.dumps(content)))
    except (OSError, ValueError):
        return False


def _write_shard(
    layout: Layout, shard: int, images: FromFiles, first: npt.NDArray[np.int64], pool: ThreadPoolExecutor
) -> None:
    path, members = layout.shards[shard], layout.members(shard)
    part = path.with_suffix(".part")
    with part.open("wb") as file:

        def put(position: int) -> None:
            image = np.ascontiguousarray(images[int(first[position])])
            # Not a memory map: on a full disk that would end the process.
            written = os.pwrite(file.fileno(), image.data, (position - members.start) * layout.image_bytes)
            if written != layout.image_bytes:
                raise OSError(28, "No space left on device", str(part))

        for _ in pool.map(put, members):
            pass
        os.fsync(file.fileno())
    with part.open("rb") as whole:
        digest = hashlib.file_digest(whole, "sha256").hexdigest()
    part.replace(path)
    write_atomically(path.with_suffix(".json"), json.dumps({"sha256": digest}).encode())
