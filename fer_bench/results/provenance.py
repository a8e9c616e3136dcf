"""Where a result comes from: code, packages and machine."""

from __future__ import annotations

import contextlib
import datetime
import functools
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import fer_bench

PACKAGES = (
    "torch",
    "torchvision",
    "lightning",
    "timm",
    "torchmetrics",
    "albumentations",
    "numpy",
    "scikit-learn",
    "opencv-python",
    "opencv-python-headless",
    "mediapipe",
)


def code() -> dict[str, Any]:
    """Version, commit, whether the package differed from the commit, and the versions of what decides numbers.

    Where the code is without its history, in a container or on a cluster's node, ``FER_BENCH_COMMIT`` names the
    commit.
    """
    source = Path(fer_bench.__file__).parent
    commit = _git(source, "rev-parse", "HEAD") or os.environ.get("FER_BENCH_COMMIT")
    changed = _git(source, "status", "--porcelain", "--", str(source))
    return {
        "version": fer_bench.__version__,
        "commit": commit,
        "modified": None if changed is None else bool(changed),
        "python": platform.python_version(),
        "packages": dict(_versions()),
    }


@functools.cache
def _versions() -> dict[str, str]:
    """What is installed when it is first asked for: what a process has imported stays as it was."""
    versions = {}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def machine() -> dict[str, Any]:
    """Processor, cores and system; what an accelerator adds is filled in by who used it."""
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
    }


def now() -> str:
    """UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        result = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None
