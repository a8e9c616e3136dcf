"""Where things are: settings, leaderboards, runs, data, caches. Each can be moved by an environment variable.

Within a checkout, or any folder that holds ``leaderboards/results``, results are in that folder. Anywhere else they are
in a folder of the user's own (``~/.local/share/fer_bench``), so that trying things never fills the folder in which a
shell happens to be. In scratch mode (:func:`scratch`, ``--scratch``) they are in the user's own scratch folder wherever
that is, and the project's store is only read.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

from fer_bench.errors import SpecError

_PACKAGE = Path(__file__).resolve().parent
_SCRATCH: ContextVar[bool] = ContextVar("fer_bench_scratch", default=False)
_FOLDER: ContextVar[Path | None] = ContextVar("fer_bench_scratch_folder", default=None)


def expanded(text: str | Path) -> Path:
    """A path with the home folder that its ``~`` stands for.

    Raises:
        SpecError: that of a user who does not exist.
    """
    path = Path(text)
    try:
        return path.expanduser()
    except RuntimeError:
        # A file may be called so.
        if path.exists():
            return path
        problem = f"{text}: there is no home folder of {path.parts[0]!r}."
        raise SpecError(problem, "Write the whole path.") from None


def project_root() -> Path:
    """The folder that holds ``leaderboards/`` and ``runs/``.

    ``FER_BENCH_HOME``, else the nearest folder from here upwards that has ``benchmarks/defaults.yaml`` or
    ``leaderboards/results``, else the user's own.
    """
    if home := os.environ.get("FER_BENCH_HOME"):
        return expanded(home).resolve()
    return _project_here() or user_dir()


def _project_here() -> Path | None:
    here = Path.cwd()
    marks = (Path("benchmarks", "defaults.yaml"), Path("leaderboards", "results"))
    return next((folder for folder in (here, *here.parents) if any((folder / mark).exists() for mark in marks)), None)


def user_dir() -> Path:
    """The user's own folder: ``$XDG_DATA_HOME/fer_bench``, else ``~/.local/share/fer_bench``."""
    return expanded(os.environ.get("XDG_DATA_HOME") or "~/.local/share") / "fer_bench"


def scratch_dir() -> Path:
    """The folder of scratch mode (``FER_BENCH_SCRATCH``, else ``scratch`` in the user's own folder)."""
    return _FOLDER.get() or _moved("FER_BENCH_SCRATCH", user_dir() / "scratch")


@contextlib.contextmanager
def scratch(on: bool = True, folder: Path | None = None) -> Iterator[Path]:
    """Put records, boards and runs into the scratch folder for as long as this lasts; the project's store is read where
    scratch has no such run.

    Args:
        on: False leaves scratch mode, within it.
        folder: instead of the usual scratch folder.

    Returns:
        The scratch folder.

    Example:
        >>> import fer_bench
        >>> with fer_bench.scratch() as folder:
        ...     fer_bench.Store().root == folder / "leaderboards"
        True
    """
    before, chosen = _SCRATCH.set(on), _FOLDER.set(folder or _FOLDER.get())
    try:
        yield scratch_dir()
    finally:
        _SCRATCH.reset(before)
        _FOLDER.reset(chosen)


def in_scratch() -> bool:
    """Whether scratch mode is on."""
    return _SCRATCH.get()


def benchmarks_dir() -> Path:
    """The folder of YAML settings: the project's own, else the copy that ships inside the package."""
    own = project_root() / "benchmarks"
    if (own / "defaults.yaml").is_file():
        return own
    checkout = _PACKAGE.parent / "benchmarks"
    return checkout if (checkout / "defaults.yaml").is_file() else _PACKAGE / "_benchmarks"


def leaderboards_dir() -> Path:
    """The folder of records and rendered boards (``FER_BENCH_LEADERBOARDS``, else ``leaderboards/``); in scratch mode
    that of the scratch folder.
    """
    if in_scratch():
        return scratch_dir() / "leaderboards"
    return _moved("FER_BENCH_LEADERBOARDS", project_root() / "leaderboards")


def runs_dir() -> Path:
    """The folder of checkpoints and logs of trainings (``FER_BENCH_RUNS``, else ``runs/``); in scratch mode that of the
    scratch folder. Where ``FER_BENCH_RUNS`` is an address, this machine's copy of what is there, in the cache.
    """
    if in_scratch():
        return scratch_dir() / "runs"
    if address := runs_address():
        return cache_dir() / "runs" / hashlib.sha256(address.encode()).hexdigest()[:12]
    return _moved("FER_BENCH_RUNS", project_root() / "runs")


def runs_address() -> str | None:
    """Where trainings are kept beyond this machine (``FER_BENCH_RUNS=s3://...``); None where it names a folder, and in
    scratch mode.
    """
    value = os.environ.get("FER_BENCH_RUNS", "")
    return value.rstrip("/") if "://" in value and not in_scratch() else None


def cache_dir() -> Path:
    """The folder of decoded datasets (``FER_BENCH_CACHE``, else ``~/.cache/fer_bench``)."""
    return _moved("FER_BENCH_CACHE", expanded(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "fer_bench")


def data_root(data_dir: str | None = None) -> Path:
    """Where datasets are looked for: the argument, else ``FER_BENCH_DATA``, else ``data/`` of the project; outside any
    project also ``data/`` right here.
    """
    if data_dir:
        return expanded(data_dir)
    outside = not os.environ.get("FER_BENCH_HOME") and _project_here() is None
    return _moved(
        "FER_BENCH_DATA", Path.cwd() / "data" if outside and (Path.cwd() / "data").is_dir() else project_root() / "data"
    )


def weights_dirs(data_dir: str | None = None) -> list[Path]:
    """Where pretrained weights are looked for, in this order: ``FER_BENCH_WEIGHTS`` if it is set, and ``weights`` in
    the data root.
    """
    own = os.environ.get("FER_BENCH_WEIGHTS")
    return [*([expanded(own)] if own else []), data_root(data_dir) / "weights"]


def _moved(variable: str, default: Path) -> Path:
    value = os.environ.get(variable)
    return expanded(value) if value else default
