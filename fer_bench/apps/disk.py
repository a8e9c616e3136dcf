"""What the suite keeps on the disk besides its records, by kind: everything here can be made again, and nothing else is
listed.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from filelock import FileLock, Timeout

from fer_bench import paths
from fer_bench.atomic import is_part
from fer_bench.results import kept
from fer_bench.tracking import session as tracking

# What each flag of `fer-bench clean` covers.
KINDS = {
    "runs": ("trainings", "reports", "choices", "suites", "tracked runs"),
    "cache": ("decoded copies", "crops", "digests", "published weights"),
    "features": ("features",),
    "leftovers": ("leftovers",),
}
# A folder of a training has at least one of these.
_OF_A_TRAINING = ("inputs.json", "trained.json", "last.ckpt", "best.ckpt", "run.lock")
_FEATURES = re.compile(r"[0-9a-f]{32}\.(npy|json|part|progress|lock)")
# `.<name>.<anything>.part`, what was to become the folder of that name.
_PART_FOLDER = re.compile(r"\.([^.]+)\..+\.part", re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """Something that can be removed as a whole.

    Args:
        kind: one of the values of :data:`KINDS`.
        paths: its files and folders, none of them a link.
        lock: of whoever is at work on it; None where nobody holds one.
    """

    kind: str
    paths: tuple[Path, ...]
    lock: Path | None = None

    @cached_property
    def n_bytes(self) -> int:
        """Of all its files; holes in them take no space."""
        return sum(
            min(found.st_size, getattr(found, "st_blocks", 2**53) * 512)
            for found in _states(self.paths)
            if stat.S_ISREG(found.st_mode)
        )

    @cached_property
    def changed(self) -> float:
        """When it was last written to, in seconds since 1970."""
        return max((found.st_mtime for found in _states(self.paths)), default=0.0)

    def in_use(self) -> bool:
        """Whether a process holds its lock."""
        if self.lock is None or not self.lock.is_file():
            return False
        try:
            with FileLock(self.lock, timeout=0):
                return False
        except Timeout:
            return True
        except OSError:
            # Who may not even open the lock leaves the rest alone, too.
            return True


def entries() -> Iterator[Entry]:
    """All that the folders of runs and of the cache hold; links, and what the suite would not call so, are left out."""
    protected = [
        place.resolve()
        for place in (paths.leaderboards_dir(), paths.benchmarks_dir(), paths.data_root(), paths.project_root())
    ]
    # Copies of what is at an address are in the cache.
    own = () if paths.runs_address() else _in_runs(paths.runs_dir())
    for entry in (*own, *_in_cache(paths.cache_dir())):
        whole = [path.resolve() for path in entry.paths]
        if not any(place.is_relative_to(path) for place in protected for path in whole):
            yield entry


def size_text(n_bytes: int) -> str:
    """A size for people: ``1.3 GiB``."""
    value, unit = float(n_bytes), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def is_part_folder(name: str) -> bool:
    """Whether a folder is called like the beginning, or the end, of another."""
    return _PART_FOLDER.fullmatch(name) is not None


def _in_runs(root: Path) -> Iterator[Entry]:
    for folder in _folders(root):
        if is_part_folder(folder.name):
            yield Entry("leftovers", (folder,))
        elif folder.name == "reports":
            yield from (Entry("reports", (report,)) for report in _folders(folder))
        elif folder.name == "suites":
            yield from (Entry("suites", (suite,), suite / "driver.lock") for suite in _folders(folder))
        elif folder.name == tracking.FOLDER:
            # One of Weights & Biases for each record that no training was tracked for.
            yield from (Entry("tracked runs", (run,)) for run in _folders(folder / "wandb"))
        elif folder.name == "auto":
            yield from (Entry("choices", (file,)) for file in _files(folder) if file.suffix == ".json")
        elif any((folder / name).is_file() for name in _OF_A_TRAINING):
            yield Entry("trainings", (folder,), folder / "run.lock")
            yield from _parts(folder)


def _in_cache(root: Path) -> Iterator[Entry]:
    for folder in _folders(root):
        if folder.name == "features":
            yield from _features(folder)
        elif folder.name == "runs":
            for copies in _folders(folder):
                yield from _in_runs(copies)
        elif folder.name == kept.FOLDER:
            yield from (Entry("digests", (store,)) for store in _folders(folder))
        elif folder.name == "crops":
            yield from (Entry("crops", (crops,)) for crops in _folders(folder))
        elif folder.name == "weights":
            files = (file for file in _files(folder) if file.suffix == ".safetensors")
            yield from (Entry("published weights", (file,), file.with_suffix(".lock")) for file in files)
        elif folder.name in ("digests", "affectnet"):
            yield from (
                Entry("digests" if folder.name == "digests" else "decoded copies", (file,))
                for file in _files(folder)
                if file.suffix == ".npz"
            )
        else:
            yield from _decoded(folder)
        yield from _parts(folder)


def _decoded(folder: Path) -> Iterator[Entry]:
    """Decoded and packed copies of a dataset, and what killed processes left of others."""
    for found in _folders(folder):
        name = found.name
        if part := _PART_FOLDER.fullmatch(name):
            # Whoever is writing it holds the lock of what it is to become.
            yield Entry("leftovers", (found,), folder / f"{part[1]}.lock")
        elif any((found / kept).is_file() for kept in ("facts.json", "plan.json")):
            yield Entry("decoded copies", (found,), folder / f"{name}.lock")


def _features(folder: Path) -> Iterator[Entry]:
    """Features, an interrupted pass included, by key."""
    by_key: dict[str, list[Path]] = {}
    for file in _files(folder):
        if _FEATURES.fullmatch(file.name):
            by_key.setdefault(file.stem, []).append(file)
    for key, files in by_key.items():
        own = [file for file in files if file.suffix != ".lock"]
        if own:
            yield Entry("features", tuple(own), folder / f"{key}.lock")


def _parts(folder: Path) -> Iterator[Entry]:
    yield from (Entry("leftovers", (file,)) for file in _files(folder) if is_part(file.name))


def _folders(root: Path) -> list[Path]:
    return _sorted(root, folders=True)


def _files(root: Path) -> list[Path]:
    return _sorted(root, folders=False)


def _sorted(root: Path, *, folders: bool) -> list[Path]:
    """What is directly in a folder, without links; nothing of one that cannot be read."""
    try:
        with os.scandir(root) as found:
            return sorted(
                Path(entry.path)
                for entry in found
                if (entry.is_dir if folders else entry.is_file)(follow_symlinks=False)
            )
    except OSError:
        return []


def _states(roots: tuple[Path, ...]) -> Iterator[os.stat_result]:
    """States of files and folders, those inside included; what vanishes meanwhile is passed over."""
    waiting = list(roots)
    while waiting:
        path = waiting.pop()
        try:
            yield path.lstat()
            if path.is_dir() and not path.is_symlink():
                waiting.extend(path.iterdir())
        except OSError:
            continue
