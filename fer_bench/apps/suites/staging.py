"""Datasets copied to a node's own disk, once a node: its runs read them from there."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
from pathlib import Path

from filelock import FileLock

from fer_bench import paths
from fer_bench.apps.suites.task import Task
from fer_bench.atomic import write_atomically
from fer_bench.errors import HardwareError
from fer_bench.own_data import TABLE
from fer_bench.protocols import dataset_name, parts_of

_DONE = ".staged"
# Another process of the node may be copying a large dataset.
_PATIENCE_SECONDS = 24 * 3600.0


def staged(task: Task) -> Task:
    """A task whose datasets are on this node's disk, and whose decoded copies go there too.

    What is directly in the data folder, not in a folder of the dataset's own, and tables of images are read where
    they are.

    Args:
        task: with ``stage``.

    Raises:
        HardwareError: there cannot be such a folder on this node.
        OSError: the disk of the node is full.
    """
    place = paths.expanded(task.stage)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = f"--stage {task.stage}: this folder cannot be made on {socket.gethostname()}: {error.strerror}."
        raise HardwareError(problem, "Name a folder on the nodes' own disks that may be written.") from None
    source = paths.data_root(task.execution.data_dir)
    named = [task.spec.dataset if task.spec else "", task.grid.dataset if task.grid else "", task.dataset]
    parts = [part for name in named if name for part in (parts_of(name) or (name,))]
    names = [dataset_name(name) for name in parts if not name.startswith(TABLE)]
    os.environ["FER_BENCH_CACHE"] = str(place / "cache")
    # Each folder that data are read from has one of its own.
    target = place / "data" / hashlib.sha256(str(source.resolve()).encode()).hexdigest()[:8]
    copied = [copy_once(source / name, target / name, task.session) for name in names if (source / name).is_dir()]
    if not copied or len(copied) < len(names):
        return task
    # Weights and detectors lie beside the datasets.
    os.environ.setdefault("FER_BENCH_WEIGHTS", str(source / "weights"))
    if (model := source / "models" / "face_landmarker.task").is_file():
        os.environ.setdefault("FER_BENCH_LANDMARKER", str(model))
    execution = task.execution.model_copy(update={"data_dir": str(target)})
    spec = task.spec and task.spec.model_copy(update={"execution": execution})
    return task.model_copy(update={"execution": execution, "spec": spec})


def copy_once(source: Path, target: Path, session: str) -> Path:
    """Bring a copy of a folder up to date, unless that was done in this session already.

    Args:
        source: a dataset.
        target: its copy; what the source does not have is removed there.
        session: what is done once.

    Returns:
        The copy.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    done = target.with_name(f"{target.name}{_DONE}")
    with FileLock(target.with_name(f"{target.name}.lock"), timeout=_PATIENCE_SECONDS):
        if target.is_dir() and done.is_file() and done.read_text() == session:
            return target
        done.unlink(missing_ok=True)
        print(f"staging     {source} to {target}", flush=True)
        kept = set()
        for folder, _, files in os.walk(source, followlinks=True):
            there = target / Path(folder).relative_to(source)
            there.mkdir(parents=True, exist_ok=True)
            for name in files:
                kept.add(there / name)
                if not _same(Path(folder) / name, there / name):
                    shutil.copy2(Path(folder) / name, there / name)
        for folder, _, files in os.walk(target):
            for name in files:
                if (path := Path(folder) / name) not in kept:
                    path.unlink()
        write_atomically(done, session.encode())
    return target


def _same(one: Path, other: Path) -> bool:
    """Whether a copy has the size and the time of its source."""
    if not other.is_file():
        return False
    a, b = one.stat(), other.stat()
    return (a.st_size, a.st_mtime_ns) == (b.st_size, b.st_mtime_ns)
