"""Where things lie: settings, leaderboards, runs, data, caches. Each can be moved by an environment variable."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def project_root() -> Path:
    """The folder that holds ``leaderboards/`` and ``runs/``.

    ``FER_BENCH_HOME``, else the nearest folder from here upwards that has ``benchmarks/defaults.yaml``, else the checkout that the package
    was installed from, else the current folder.
    """
    if home := os.environ.get("FER_BENCH_HOME"):
        return Path(home).expanduser().resolve()
    here = Path.cwd()
    for folder in (here, *here.parents, _PACKAGE.parent):
        if (folder / "benchmarks" / "defaults.yaml").is_file():
            return folder
    return here


def benchmarks_dir() -> Path:
    """The folder of YAML settings: the project's own, else the copy that ships inside the package."""
    own = project_root() / "benchmarks"
    if (own / "defaults.yaml").is_file():
        return own
    checkout = _PACKAGE.parent / "benchmarks"
    return checkout if (checkout / "defaults.yaml").is_file() else _PACKAGE / "_benchmarks"


def leaderboards_dir() -> Path:
    """The folder of records and rendered boards (``FER_BENCH_LEADERBOARDS``, else ``leaderboards/``)."""
    return _moved("FER_BENCH_LEADERBOARDS", project_root() / "leaderboards")


def runs_dir() -> Path:
    """The folder of checkpoints and logs of running and finished trainings (``FER_BENCH_RUNS``, else ``runs/``)."""
    return _moved("FER_BENCH_RUNS", project_root() / "runs")


def cache_dir() -> Path:
    """The folder of decoded datasets (``FER_BENCH_CACHE``, else ``~/.cache/fer_bench``)."""
    return _moved("FER_BENCH_CACHE", Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "fer_bench")


def data_root(data_dir: str | None = None) -> Path:
    """Where datasets are looked for: the argument, else ``FER_BENCH_DATA``, else ``data/``."""
    return Path(data_dir).expanduser() if data_dir else _moved("FER_BENCH_DATA", project_root() / "data")


def weights_dirs(data_dir: str | None = None) -> list[Path]:
    """Where pretrained weights are looked for, in this order: ``FER_BENCH_WEIGHTS`` if it is set, and ``weights`` in the data root."""
    own = os.environ.get("FER_BENCH_WEIGHTS")
    return [*([Path(own).expanduser()] if own else []), data_root(data_dir) / "weights"]


def _moved(variable: str, default: Path) -> Path:
    value = os.environ.get(variable)
    return Path(value).expanduser() if value else default
