"""Packed copies of a dataset's images: made, completed, and read again to be checked."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from fer_bench.apps.disk import size_text
from fer_bench.data.contents import distrust
from fer_bench.data.packed import damaged, pack, stored
from fer_bench.datasets.load import build_datamodule, dataset_there
from fer_bench.durations import in_words
from fer_bench.errors import BadDataError, MissingDataError
from fer_bench.layering import layered
from fer_bench.spec import Execution, RunSpec

_EVERY_SECONDS = 10.0


def packing(
    dataset: str,
    task: str | None,
    image_size: int | None,
    data_dir: str | None,
    options: Mapping[str, Any],
    *,
    jobs: int = 0,
) -> Iterator[str]:
    """Make a packed copy, or complete one; yields lines about it.

    Args:
        dataset: its name.
        task: whose images are packed; None: the dataset's default task.
        image_size: side of the images; None: the dataset's own.
        data_dir: dataset root directory.
        options: of the dataset.
        jobs: threads that decode; 0: one per core.

    Raises:
        FerBenchError: the dataset cannot be read, its images are not decoded from files, or the disk is full.
    """
    spec = _spec(dataset, task, image_size, data_dir, options)
    datamodule = build_datamodule(spec, reading=True)
    images = datamodule.read().images
    began = said = time.monotonic()
    for layout, done in pack(datamodule.name, images, jobs):
        now = time.monotonic()
        if now - said > _EVERY_SECONDS:
            said = now
            yield f"{done:,} of {layout.n:,} images"
    size = size_text(layout.n_bytes)
    shape = " x ".join(map(str, layout.shape))
    yield f"{spec.dataset}: {layout.n:,} images of {shape}, {size}, in {in_words(time.monotonic() - began)}"
    yield str(layout.folder)


def checked(
    dataset: str,
    task: str | None,
    image_size: int | None,
    data_dir: str | None,
    options: Mapping[str, Any],
    *,
    jobs: int = 0,
) -> Iterator[str]:
    """Read all packed copies of a dataset again; yields a line about each.

    Args:
        dataset: its name.
        task: not needed.
        image_size: only copies of this side; None: all.
        data_dir: not needed.
        options: of the dataset.
        jobs: not needed.

    Raises:
        MissingDataError: there is none.
        BadDataError: a part of one is not as it was written.
    """
    spec = _spec(dataset, task, image_size, data_dir, options)
    name = build_datamodule(spec, reading=True).name
    copies = [copy for copy in stored(name) if image_size is None or image_size in copy.shape[:2]]
    if not copies:
        problem = f"dataset {spec.dataset!r}: there is no packed copy."
        raise MissingDataError(problem, f"`fer-bench pack {spec.dataset}` makes one.")
    with distrust():
        for copy in copies:
            if bad := damaged(copy):
                problem = f"the packed copy {copy.folder} is damaged: {', '.join(bad)}."
                raise BadDataError(problem, "The same command without --check writes these parts again.")
            yield f"{copy.folder}: {copy.n:,} images, {copy.form}: as they were written"


def _spec(
    dataset: str, task: str | None, image_size: int | None, data_dir: str | None, options: Mapping[str, Any]
) -> RunSpec:
    dataset = dataset_there(dataset, data_dir)
    if task is None and "classes" not in options:
        task = str(layered({"dataset": dataset})["task"])
    settings = {
        "dataset": dataset,
        "dataset_options": dict(options),
        "image_size": image_size,
        "execution": Execution(data_dir=data_dir, images="packed"),
        **({"task": task} if task else {}),
    }
    return RunSpec.model_validate(settings)
